"""The steps of a fulfilment; each raises the supplier's errors and leaves what to make of them to `fulfilment`.

The rule behind all of them: a request to the supplier is a row before it is sent, and a request whose answer never came
is looked up before anything is sent again.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from models import (
    Esim,
    Fulfilment,
    FulfilmentStatus,
    Order,
    OrderKind,
    Package,
    PackageStatus,
    Plan,
    SupplierAttempt,
    SupplierAttemptStatus,
    db,
)
from services import fulfilment_ends as ends
from services import fulfilment_rows as rows
from services import usage
from services.accounts import claim_url_for
from services.failpoints import failpoint
from services.mail import messages
from services.order_states import WORKED_ON
from services.orders import lock_order
from services.renewal_rules import is_as_promised, was_applied
from services.renewals import topup_cost
from services.shop import Shop
from services.suppliers import (
    NotFound,
    NotTopupable,
    PriceChanged,
    PurchaseRequest,
    PurchaseResult,
    Reading,
    Refused,
    TopupRequest,
)

log = logging.getLogger(__name__)

# A supplier may show a top-up some time after it accepted it; before that, its absence proves nothing. The more
# requests have stayed without a trace, the longer the next one waits.
SETTLING_TIMES = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 30))
# A top-up that stays without a trace after this many requests, about an hour, is for a person.
MOST_SENDS = len(SETTLING_TIMES)
# How far the supplier's clock may be from ours.
SKEW = timedelta(minutes=2)


def order_esim(shop: Shop, order: Order) -> bool:
    """Order a new eSIM under our reference; sending the same reference again buys nothing twice."""
    plan = db.session.get_one(Plan, order.plan_id)
    attempt = rows.prepare_request(shop, order, before=None)
    request = PurchaseRequest(
        reference=attempt.reference,
        plan_code=plan.supplier_plan_code,
        expected_cost=plan.supplier_cost,
        days=order.days if plan.days_min != plan.days_max else None,
    )
    try:
        with rows.sending(shop, attempt):
            result = shop.supplier.place_order(request)
    except (Refused, PriceChanged):
        found = _find_earlier(shop, attempt)
        if found is None:
            raise
        result = found
    with shop.transaction() as session:
        lock_order(session, order.id)
        rows.accept(shop, session, attempt, result.supplier_order_id)
        return rows.move(shop, session, order.id, FulfilmentStatus.ORDERED)


def _find_earlier(shop: Shop, attempt: SupplierAttempt) -> PurchaseResult | None:
    """Return what an earlier request without an answer has bought, None when there was none or it bought nothing."""
    row = rows.find_request(attempt.order_id)
    db.session.commit()
    if row is None or not row.sends:
        return None
    return shop.supplier.find_order(attempt.reference)


def collect_esim(shop: Shop, order: Order) -> bool:
    """Fetch the eSIM once the supplier has allocated it, and hand it to the buyer by page and mail."""
    attempt = db.session.scalars(
        select(SupplierAttempt).where(
            SupplierAttempt.order_id == order.id, SupplierAttempt.status == SupplierAttemptStatus.ACCEPTED
        )
    ).one()
    assert attempt.supplier_order_id is not None
    db.session.commit()
    result = shop.supplier.get_order(attempt.supplier_order_id)
    if result.profile is None:
        return False
    failpoint("fulfil.collected")
    with shop.transaction() as session:
        order = lock_order(session, order.id)
        if not rows.move(shop, session, order.id, FulfilmentStatus.APPLIED):
            # Held or ended while the supplier answered: nothing is handed over.
            return False
        if order.esim_id is None:
            esim = rows.add_esim(shop, session, order, result.profile)
            order.esim_id = esim.id
            claim_url = claim_url_for(shop, session, order, shop.clock.now())
            messages.esim_ready(shop, order, esim, claim_url)
        failpoint("fulfil.stored")
    return True


def verify_purchase(shop: Shop, order: Order) -> bool:
    """Read the eSIM again at the supplier and check that it holds what was bought."""
    reading = read(shop, order)
    # Per day for a plan by the day: suppliers differ in whether they count one day or all of them.
    expected = order.plan_facts["data_bytes"]
    complete = expected is None or (reading.total_bytes or 0) >= expected
    return _finish(shop, order, reading, verified=complete)


def order_topup(shop: Shop, order: Order) -> bool:
    """Order a top-up unless an earlier request turns out to have been carried out.

    The supplier's promise to recognise a reference covers orders, not top-ups (docs/suppliers.md), so the totals from
    before the first request tell what became of it.
    """
    plan, esim = db.session.get_one(Plan, order.plan_id), _esim(order)
    attempt = _take_turn(shop, order)
    if attempt is None:
        return False
    # Read in our turn, so that from here on nothing but our own request makes the figures grow.
    reading = _read_for_topup(shop, order)
    if attempt.status is SupplierAttemptStatus.WAITING:
        if _is_there_already(order, esim, reading):
            rows.take_over(shop, attempt, rows.booked_reading(db.session(), esim.id, reading))
            return _accept_topup(shop, order, attempt)
    elif was_applied(rows.reading_before(db.session(), attempt, esim.id), reading):
        return _accept_topup(shop, order, attempt)
    elif not _may_send_again(shop, attempt):
        return False
    assert plan.supplier_topup_code is not None
    attempt = rows.prepare_request(shop, order, before=reading)
    request = TopupRequest(
        reference=attempt.reference,
        supplier_esim_id=esim.supplier_esim_id,
        plan_code=plan.supplier_topup_code,
        expected_cost=topup_cost(esim, plan.supplier_topup_code),
    )
    with rows.sending(shop, attempt):
        shop.supplier.place_topup(request)
    return _accept_topup(shop, order, attempt)


def _read_for_topup(shop: Shop, order: Order) -> Reading:
    """Return what the supplier says of an eSIM; one that it has not known for an hour is gone and takes no top-up."""
    try:
        return read(shop, order)
    except NotFound as error:
        if order.paid_at is None or shop.clock.now() < order.paid_at + ends.SURE_AFTER:
            raise
        raise NotTopupable(str(error), error.code) from error


def _may_send_again(shop: Shop, attempt: SupplierAttempt) -> bool:
    """Return whether a top-up without a trace may be sent once more; after too many the order is held."""
    settled = attempt.sent_at + SETTLING_TIMES[min(max(attempt.sends, 1), MOST_SENDS) - 1]
    if shop.clock.now() < settled:
        return False
    if attempt.sends >= MOST_SENDS:
        ends.hold(shop, attempt.order_id, "outcome_unknown")
        return False
    return True


def _is_there_already(order: Order, esim: Esim, reading: Reading) -> bool:
    """Return whether the supplier has added a package since the order was placed that our books do not have.

    That is so when our books are older than the world: a backup was restored after this renewal had been carried out.
    """
    booked = db.session.scalar(select(func.count()).select_from(Package).where(Package.esim_id == esim.id)) or 0
    # Another renewal of which nobody knows may be the one that is there.
    unclear = db.session.scalar(
        select(func.count())
        .select_from(SupplierAttempt)
        .join(Order, Order.id == SupplierAttempt.order_id)
        .where(Order.esim_id == esim.id, Order.id != order.id, SupplierAttempt.status.in_(ends.UNCLEAR))
    )
    db.session.commit()
    newest = reading.newest_package_at
    more = reading.package_count > booked + (unclear or 0)
    return more and newest is not None and newest >= order.created_at - SKEW


def _take_turn(shop: Shop, order: Order) -> SupplierAttempt | None:
    """Return the request that stands for this renewal; None while another renewal of the same eSIM comes first.

    Totals can prove one top-up at a time. Whose turn it is is decided under a lock on the eSIM, because two renewals
    may be paid in the same moment.
    """
    with shop.transaction() as session:
        session.execute(select(Esim.id).where(Esim.id == order.esim_id).with_for_update())
        attempt = rows.find_request(order.id)
        if attempt is None and _is_next_renewal(session, order):
            attempt = rows.add_request(shop, session, order)
        return attempt


def _is_next_renewal(session: Session, order: Order) -> bool:
    """Return whether no other renewal of the same eSIM has taken its turn, or was paid earlier, and is under way."""
    begun = (
        select(SupplierAttempt.id)
        .where(SupplierAttempt.order_id == Order.id, SupplierAttempt.status != SupplierAttemptStatus.REFUSED)
        .exists()
    )
    paid_earlier = or_(Order.paid_at < order.paid_at, and_(Order.paid_at == order.paid_at, Order.id < order.id))
    others = (
        select(Order.id)
        .join(Fulfilment, Fulfilment.order_id == Order.id)
        .where(
            Order.esim_id == order.esim_id,
            Order.id != order.id,
            Order.kind == OrderKind.RENEWAL,
            Fulfilment.status.in_(WORKED_ON),
            or_(begun, paid_earlier),
        )
    )
    return session.scalars(others).first() is None


def verify_renewal(shop: Shop, order: Order) -> bool:
    """Read the eSIM again and compare it with what was promised before paying; only then say so to the buyer."""
    reading = read(shop, order)
    attempt = rows.find_request(order.id)
    assert attempt is not None
    before = rows.reading_before(db.session(), attempt, _esim(order).id)
    as_promised = is_as_promised(before, reading, order.plan_facts["data_bytes"], order.days)
    return _finish(shop, order, reading, verified=as_promised, before=before)


def _accept_topup(shop: Shop, order: Order, attempt: SupplierAttempt) -> bool:
    """Record that the top-up is on the eSIM: at this supplier, accepted is applied."""
    with shop.transaction() as session:
        order = lock_order(session, order.id)
        rows.accept(shop, session, attempt, None)
        assert order.esim_id is not None
        rows.add_package(shop, session, order, order.esim_id, PackageStatus.QUEUED)
        rows.move(shop, session, order.id, FulfilmentStatus.ORDERED)
        return rows.move(shop, session, order.id, FulfilmentStatus.APPLIED)


def _finish(shop: Shop, order: Order, reading: Reading, *, verified: bool, before: Reading | None = None) -> bool:
    now = shop.clock.now()
    failpoint("fulfil.read")
    with shop.transaction() as session:
        order = lock_order(session, order.id)
        esim = session.get_one(Esim, order.esim_id, populate_existing=True)
        usage.apply_reading(session, esim, reading, now)
        if verified and rows.move(shop, session, order.id, FulfilmentStatus.VERIFIED):
            if before is not None:
                messages.renewal_confirmed(shop, order, esim, before.to_json(), reading.to_json())
            failpoint("fulfil.confirmed")
            return True
    return False


def _esim(order: Order) -> Esim:
    assert order.kind is OrderKind.PURCHASE or order.esim_id is not None
    return db.session.get_one(Esim, order.esim_id)


def read(shop: Shop, order: Order) -> Reading:
    """Return what the supplier says of the eSIM of an order now; raises its errors."""
    supplier_esim_id = _esim(order).supplier_esim_id
    db.session.commit()
    return shop.supplier.read_esim(supplier_esim_id)
