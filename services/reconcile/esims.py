"""The supplier's list of eSIMs beside our orders: what is there and not here, and what is here and not there."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import (
    Esim,
    EsimStatus,
    FindingKind,
    Fulfilment,
    FulfilmentStatus,
    Order,
    OrderKind,
    Package,
    SupplierAttempt,
    SupplierAttemptStatus,
    db,
)
from services import findings
from services import fulfilment_rows as rows
from services.order_states import WORKED_ON
from services.orders import lock_order
from services.reconcile.report import Report
from services.shop import Shop
from services.suppliers import ListedEsim, NotCancellable

log = logging.getLogger(__name__)

# What was ordered just now is still being written down here, or not listed yet there.
QUIET = timedelta(minutes=10)
# How our references look (fulfilment_rows.add_request); anything else was ordered by somebody else on the account.
OURS = re.compile(r"[0-9A-HJKMNP-TV-Z]{10}-\d+")
UNCLEAR = (SupplierAttemptStatus.SENDING, SupplierAttemptStatus.UNKNOWN)


@dataclass(frozen=True)
class _Known:
    """What our books say of one reference."""

    order_id: int
    attempt: SupplierAttemptStatus
    fulfilment: FulfilmentStatus
    esim_id: int | None
    packages: int


def check_esims(shop: Shop, report: Report, since: datetime) -> None:
    """Look at every eSIM that the supplier has allocated since then, and for every one of ours on its list."""
    before = shop.clock.now() - QUIET
    ours = _delivered(since + QUIET, before)
    seen: set[str] = set()
    complete = False
    with report.looking_at("the eSIMs at the supplier"):
        listed = list(shop.supplier.list_esims(since))
        known = _known([each.reference for each in listed])
        _clear(shop, listed, known)
        for each in listed:
            seen.add(each.reading.supplier_esim_id)
            if OURS.fullmatch(each.reference):
                with report.looking_at(f"eSIM {each.reading.supplier_esim_id}"):
                    _look_at(shop, report, each, known.get(each.reference), before)
        complete = True
    if complete:
        _report_missing(shop, report, ours, seen)


def _known(references: Sequence[str]) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    booked = select(func.count(Package.id)).where(Package.esim_id == Order.esim_id).scalar_subquery()
    # SQLite takes a limited number of values in one statement (sqlite.org/limits.html, section 9).
    for start in range(0, len(references), 500):
        query = (
            select(
                *(SupplierAttempt.reference, SupplierAttempt.order_id, SupplierAttempt.status),
                *(Fulfilment.status.label("fulfilment"), Order.esim_id, booked.label("packages")),
            )
            .join(Order, Order.id == SupplierAttempt.order_id)
            .join(Fulfilment, Fulfilment.order_id == SupplierAttempt.order_id)
            .where(SupplierAttempt.reference.in_(references[start : start + 500]), Order.kind == OrderKind.PURCHASE)
        )
        for row in db.session.execute(query):
            found[row.reference] = _Known(row.order_id, row.status, row.fulfilment, row.esim_id, row.packages)
    db.session.commit()
    return found


def _look_at(shop: Shop, report: Report, each: ListedEsim, known: _Known | None, before: datetime) -> None:
    if known is None:
        _look_at_unknown(shop, report, each, before)
    elif known.fulfilment is FulfilmentStatus.REFUSED:
        if known.esim_id is None:
            _give_back(shop, report, each, known.order_id)
    elif known.fulfilment is FulfilmentStatus.HELD and known.attempt in UNCLEAR:
        _take_up(shop, report, each, known.order_id)
    elif known.esim_id is not None and each.reading.package_count > known.packages:
        _report_topups(shop, report, each, known.esim_id)


def _clear(shop: Shop, listed: Sequence[ListedEsim], known: Mapping[str, _Known]) -> None:
    """Settle findings about listed eSIMs that have gone away by themselves."""
    noticed = {(finding.kind, finding.reference) for finding in findings.open_findings(db.session())}
    db.session.commit()
    for each in listed:
        reference, ours = each.reading.supplier_esim_id, known.get(each.reference)
        gone = {
            FindingKind.SUPPLIER_ORDER_MISSING: True,
            FindingKind.SUPPLIER_ORDER_UNKNOWN: ours is not None or each.reading.status is EsimStatus.CANCELLED,
            FindingKind.ESIM_REFUNDED: each.reading.status is EsimStatus.CANCELLED,
            FindingKind.TOPUP_UNKNOWN: ours is not None and each.reading.package_count <= ours.packages,
        }
        for kind, is_gone in gone.items():
            if is_gone and (kind, reference) in noticed:
                with shop.transaction() as session:
                    findings.clear_one(session, kind, reference, shop.clock.now())


def _look_at_unknown(shop: Shop, report: Report, each: ListedEsim, before: datetime) -> None:
    """Put an eSIM before a person that carries a reference of ours, unless there is an order that will ask for it."""
    added = each.reading.newest_package_at
    if each.reading.status is EsimStatus.CANCELLED or (added is not None and added > before):
        return
    public_id, reference = each.reference.rpartition("-")[0], each.reading.supplier_esim_id
    with shop.transaction() as session:
        order = session.scalars(select(Order).where(Order.public_id == public_id)).one_or_none()
        if order is None:
            report.count("esim_unknown")
            kind, details = FindingKind.SUPPLIER_ORDER_UNKNOWN, each.reference
        elif order.fulfilment is not None and order.fulfilment.status is FulfilmentStatus.REFUSED:
            # Made again after a backup was restored, and refunded: the buyer may have had the eSIM before.
            kind, details = FindingKind.ESIM_REFUNDED, each.reading.status.value
        else:
            return
        order_id = order.id if order is not None else None
        findings.notice(session, kind, reference, shop.clock.now(), order_id=order_id, details=details)


def _give_back(shop: Shop, report: Report, each: ListedEsim, order_id: int) -> None:
    """Give an eSIM back that came after its order had ended: nobody was ever shown its codes."""
    if each.reading.status is EsimStatus.CANCELLED:
        return
    reference = each.reading.supplier_esim_id
    try:
        shop.supplier.cancel(reference)
    except NotCancellable as error:
        with shop.transaction() as session:
            findings.notice(
                session,
                FindingKind.ESIM_REFUNDED,
                reference,
                shop.clock.now(),
                order_id=order_id,
                details=f"{each.reading.status.value}, {error.code}",
            )
        return
    log.warning("eSIM %s of order %s came too late and was given back", reference, order_id)
    report.count("esim_given_back")


def _take_up(shop: Shop, report: Report, each: ListedEsim, order_id: int) -> None:
    """Let an order go on that was held because nobody knew whether the supplier had it: it has."""
    with shop.transaction() as session:
        lock_order(session, order_id)
        attempt = rows.find_request(order_id)
        fulfilment = session.get_one(Fulfilment, order_id, populate_existing=True, with_for_update=True)
        if attempt is None or fulfilment.status is not FulfilmentStatus.HELD:
            return
        rows.accept(shop, session, attempt, each.supplier_order_id)
        rows.move(shop, session, order_id, FulfilmentStatus.ORDERED)
        if fulfilment.reason in ("outcome_unknown", "price_changed"):
            rows.put_back(shop, fulfilment)
        elif fulfilment.reason == "refunded":
            # The next run gives it back.
            rows.move(shop, session, order_id, FulfilmentStatus.REFUSED, reason="refunded")
    report.count("esim_found")


def _report_topups(shop: Shop, report: Report, each: ListedEsim, esim_id: int) -> None:
    """Put an eSIM before a person that holds more packages than we have sold for it, while none is under way."""
    with shop.transaction() as session:
        booked = session.scalar(select(func.count()).select_from(Package).where(Package.esim_id == esim_id)) or 0
        if each.reading.package_count <= booked or _renewal_under_way(session, esim_id):
            return
        report.count("topup_unknown")
        details = f"{each.reading.package_count} packages, {booked} sold"
        reference = each.reading.supplier_esim_id
        findings.notice(session, FindingKind.TOPUP_UNKNOWN, reference, shop.clock.now(), details=details)


def _renewal_under_way(session: Session, esim_id: int) -> bool:
    open_states = (*WORKED_ON, FulfilmentStatus.HELD)
    found = session.scalars(
        select(Order.id)
        .join(Fulfilment, Fulfilment.order_id == Order.id)
        .where(Order.esim_id == esim_id, Order.kind == OrderKind.RENEWAL, Fulfilment.status.in_(open_states))
    )
    return found.first() is not None


def _delivered(since: datetime, before: datetime) -> dict[str, int]:
    """Return the eSIMs that came to us in a span of time, with their orders."""
    query = (
        select(Esim.supplier_esim_id, Order.id)
        .join(Order, Order.esim_id == Esim.id)
        .join(SupplierAttempt, SupplierAttempt.order_id == Order.id)
        .where(
            Order.kind == OrderKind.PURCHASE,
            SupplierAttempt.status == SupplierAttemptStatus.ACCEPTED,
            # By the time of the first request: the supplier's order is at least as young.
            SupplierAttempt.created_at >= since,
            SupplierAttempt.answered_at < before,
        )
    )
    found = dict(db.session.execute(query).all())
    db.session.commit()
    return found


def _report_missing(shop: Shop, report: Report, ours: dict[str, int], seen: set[str]) -> None:
    for reference in sorted(ours.keys() - seen):
        report.count("esim_missing")
        with shop.transaction() as session:
            findings.notice(
                session, FindingKind.SUPPLIER_ORDER_MISSING, reference, shop.clock.now(), order_id=ours[reference]
            )
