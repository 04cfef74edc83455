"""Comparing the shelf with what the supplier sells: costs are taken over, what is gone is taken off the shelf."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from sqlalchemy import select

from models import Plan, PlanState
from services import audit
from services.audit import SHOP, Action, Actor
from services.catalogue import move_catalogue_version
from services.shop import Shop

log = logging.getLogger(__name__)


class NothingListed(Exception):
    """The supplier lists no plan or no top-up at all, which is more likely its trouble than the truth."""


@dataclass
class Differences:
    """What a sync found, by the supplier's plan codes."""

    costs: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    no_topup: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.costs or self.gone or self.no_topup)


def sync_catalogue(shop: Shop, *, by: Actor | None = None) -> Differences:
    """Bring costs and availability up to date with the supplier; a second run changes nothing.

    A plan that the supplier no longer sells is hidden, never deleted, because orders refer to it. What changes goes
    into the audit when a person asked for it (`by`). Opens its own transaction. Raises SupplierError and NothingListed.
    """
    listed = {plan.plan_code: plan for plan in shop.supplier.list_plans()}
    topups = any(plan.topup for plan in listed.values())
    if all(plan.topup for plan in listed.values()):
        raise NothingListed(shop.supplier.code)
    found = Differences()
    now = shop.clock.now()
    with shop.transaction() as session:
        query = select(Plan).where(Plan.supplier == shop.supplier.code, Plan.state != PlanState.RETIRED)
        for plan in session.scalars(query):
            offer = listed.get(plan.supplier_plan_code)
            plan.supplier_checked_at = now
            if offer is None:
                if plan.state is PlanState.ACTIVE:
                    plan.state = PlanState.HIDDEN
                    found.gone.append(plan.supplier_plan_code)
                continue
            if plan.supplier_cost != offer.cost:
                plan.supplier_cost = offer.cost
                found.costs.append(plan.supplier_plan_code)
            if plan.supplier_topup_code is not None and plan.supplier_topup_code not in listed:
                if not topups:
                    raise NothingListed(f"{shop.supplier.code}: no top-ups")
                plan.supplier_topup_code = None
                found.no_topup.append(plan.supplier_plan_code)
        if found.gone or found.no_topup:
            move_catalogue_version(session)
        if found and by is not None:
            audit.record(session, Action.CATALOGUE_SYNCED, SHOP, by=by, now=now, after=_described(found))
    return found


def _described(found: Differences) -> audit.Facts:
    return {name: ", ".join(codes) for name, codes in vars(found).items() if codes}
