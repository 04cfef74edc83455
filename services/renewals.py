"""Renewing an eSIM: which top-ups the supplier accepts for it, and what each of them would change."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from models import Esim, EsimStatus, Plan, PlanCountry, db
from services.catalogue import PlanView, list_topup_plans
from services.renewal_rules import EsimState, after_renewal
from services.shop import Shop
from services.suppliers import SupplierError

log = logging.getLogger(__name__)

# What a supplier accepts for an eSIM changes with the eSIM's state, not by the minute.
TOPUPS_FRESH_FOR = timedelta(minutes=10)
# The states in which a top-up is accepted (docs/suppliers.md).
RENEWABLE = (EsimStatus.NEW, EsimStatus.INSTALLED, EsimStatus.ACTIVE, EsimStatus.DEPLETED)


@dataclass(frozen=True, kw_only=True)
class RenewalPreview:
    """What a renewal would change, for showing it before anything is paid."""

    plan: PlanView
    before: EsimState
    after: EsimState


def refresh_topups(shop: Shop, esim: Esim, now: datetime) -> None:
    """Ask the supplier which top-ups it accepts for the eSIM, unless it was asked within ten minutes.

    Keeps what was known when the supplier is silent. Opens its own transaction.
    """
    if esim.topups_read_at is not None and now - esim.topups_read_at < TOPUPS_FRESH_FOR:
        return
    iccid = esim.iccid
    db.session.commit()
    try:
        topups = shop.supplier.list_topups(iccid)
    except SupplierError as error:
        log.warning("top-ups of eSIM %s unknown: %s", esim.id, error)
        return
    with shop.transaction() as session:
        row = session.get_one(Esim, esim.id, populate_existing=True)
        row.topups = [{"code": topup.plan_code, "cost": topup.cost} for topup in topups]
        row.topups_read_at = now


def list_offers(session: Session, esim: Esim, language: str, currency: str) -> list[PlanView]:
    """Return the plans on the shelf that the supplier accepts as a top-up of this eSIM."""
    codes = [topup["code"] for topup in esim.topups or ()]
    return list_topup_plans(session, codes, language, currency)


def topup_cost(esim: Esim, topup_code: str) -> int | None:
    """Return what the supplier last asked for this top-up, in ten-thousandths of a US dollar; None when unknown."""
    return next((topup["cost"] for topup in esim.topups or () if topup["code"] == topup_code), None)


def preview(esim: Esim, plan: PlanView) -> RenewalPreview:
    """Return what renewing `esim` with `plan` would change, by what the supplier last said."""
    before = esim_state(esim)
    return RenewalPreview(plan=plan, before=before, after=after_renewal(before, plan.data_bytes, plan.days_min))


def esim_state(esim: Esim) -> EsimState:
    """Return the eSIM's state as the supplier last told it."""
    return EsimState.from_figures(esim, esim.usage_as_of or esim.usage_read_at)


def renewable_esim_for(session: Session, account_id: int, countries: tuple[str, ...], now: datetime) -> Esim | None:
    """Return an eSIM of the account that covers one of `countries` and can be renewed, the newest one; or None."""
    candidates = session.scalars(
        select(Esim)
        .join(Plan, Plan.id == Esim.plan_id)
        .where(
            Esim.account_id == account_id,
            Plan.supplier_topup_code.is_not(None),
            Plan.id.in_(select(PlanCountry.plan_id).where(PlanCountry.country.in_(countries))),
            Esim.status.in_(RENEWABLE),
            or_(Esim.expires_at.is_(None), Esim.expires_at > now),
        )
        .order_by(Esim.id.desc())
        .limit(1)
    )
    return candidates.first()
