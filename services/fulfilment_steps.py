"""The steps of a fulfilment; each raises the supplier's errors and leaves what to make of them to `fulfilment`.

The rule behind all of them: a request to the supplier is a row before it is sent, and a request whose answer never came
is looked up before anything is sent again.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from models import (
    Esim,
    Fulfilment,
    FulfilmentStatus,
    Order,
    OrderKind,
    PackageStatus,
    Payment,
    PaymentKind,
    Plan,
    SupplierAttempt,
    SupplierAttemptStatus,
    TokenPurpose,
    db,
)
from services import fulfilment_rows as rows
from services import links, usage
from services.account_tokens import issue
from services.accounts import normalise_email
from services.mail import messages
from services.order_states import WORKED_ON
from services.orders import lock_order
from services.payments.refunds import request_refund
from services.renewal_rules import is_as_promised, was_applied
from services.renewals import topup_cost
from services.shop import Shop
from services.suppliers import PurchaseRequest, Reading, Refused, TopupRequest

log = logging.getLogger(__name__)

# A supplier may show a top-up some time after it accepted it; before that, its absence proves nothing.
SETTLING_TIME = timedelta(seconds=60)
# A top-up that stays without a trace after this many requests is for a person.
MOST_SENDS = 3


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
    with rows.sending(shop, attempt):
        result = shop.supplier.place_order(request)
    with shop.transaction() as session:
        rows.accept(shop, session, attempt, result.supplier_order_id)
        rows.move(shop, session, order.id, FulfilmentStatus.ORDERED)
    return True


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
    with shop.transaction() as session:
        order = lock_order(session, order.id)
        if order.esim_id is None:
            esim = rows.add_esim(shop, session, order, result.profile)
            order.esim_id = esim.id
            claim = _claim_url(shop, session, order)
            messages.esim_ready(shop, order, esim, claim)
        rows.move(shop, session, order.id, FulfilmentStatus.APPLIED)
    return True


def verify_purchase(shop: Shop, order: Order) -> bool:
    """Read the eSIM again at the supplier and check that it holds what was bought."""
    reading = _read(shop, order)
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
    reading = _read(shop, order)
    if attempt.status is not SupplierAttemptStatus.WAITING:
        if was_applied(rows.reading_before(db.session(), attempt, esim.id), reading):
            return _accept_topup(shop, order, attempt)
        if shop.clock.now() < attempt.sent_at + SETTLING_TIME:
            return False
        if attempt.sends >= MOST_SENDS:
            hold(shop, order.id, "outcome_unknown")
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
    reading = _read(shop, order)
    attempt = rows.find_request(order.id)
    assert attempt is not None
    before = rows.reading_before(db.session(), attempt, _esim(order).id)
    as_promised = is_as_promised(before, reading, order.plan_facts["data_bytes"], order.days)
    return _finish(shop, order, reading, verified=as_promised, before=before)


def refuse(shop: Shop, order_id: int, error: Refused) -> None:
    """End an order that the supplier refused for good: the money goes back at once, and the buyer is told."""
    log.error("order %s refused by the supplier: %s", order_id, error)
    attempt = rows.find_request(order_id)
    if attempt is not None and attempt.sends > 1:
        # An earlier request of this order had no answer: until a person has looked, it may have been carried out.
        hold(shop, order_id, "refused_after_unknown")
        return
    with shop.transaction() as session:
        order = lock_order(session, order_id)
        if not rows.move(shop, session, order_id, FulfilmentStatus.REFUSED, reason=type(error).__name__):
            return
        attempt = rows.find_request(order_id)
        if attempt is not None:
            attempt.status, attempt.error = SupplierAttemptStatus.REFUSED, type(error).__name__
            attempt.answered_at = shop.clock.now()
        payment = session.scalars(
            select(Payment).where(Payment.order_id == order.id, Payment.kind == PaymentKind.SETTLING)
        ).one()
        if payment.amount_minor:
            request_refund(shop, payment, payment.amount_minor, source="auto", cause="refused")


def hold(shop: Shop, order_id: int, reason: str) -> None:
    """Put an order before a person and tell the buyer that one looks at it."""
    log.error("order %s held: %s", order_id, reason)
    with shop.transaction() as session:
        order = lock_order(session, order_id)
        if rows.move(shop, session, order_id, FulfilmentStatus.HELD, reason=reason):
            messages.order_delayed(shop, order)


def _accept_topup(shop: Shop, order: Order, attempt: SupplierAttempt) -> bool:
    """Record that the top-up is on the eSIM: at this supplier, accepted is applied."""
    with shop.transaction() as session:
        order = lock_order(session, order.id)
        rows.accept(shop, session, attempt, None)
        assert order.esim_id is not None
        rows.add_package(shop, session, order, order.esim_id, PackageStatus.QUEUED)
        rows.move(shop, session, order.id, FulfilmentStatus.ORDERED)
        rows.move(shop, session, order.id, FulfilmentStatus.APPLIED)
    return True


def _finish(shop: Shop, order: Order, reading: Reading, *, verified: bool, before: Reading | None = None) -> bool:
    now = shop.clock.now()
    with shop.transaction() as session:
        order = lock_order(session, order.id)
        esim = session.get_one(Esim, order.esim_id, populate_existing=True)
        usage.apply_reading(session, esim, reading, now)
        if verified and rows.move(shop, session, order.id, FulfilmentStatus.VERIFIED):
            if before is not None:
                messages.renewal_confirmed(shop, order, esim, before.to_json(), reading.to_json())
            return True
    return False


def _claim_url(shop: Shop, session: Session, order: Order) -> str | None:
    """Return a link by which a buyer without a password takes the account, None for everybody else."""
    if order.account.claimed_at is not None or normalise_email(order.email) != order.account.email:
        return None
    token = issue(session, order.account, TokenPurpose.CLAIM, shop.clock.now())
    return links.claim_url(shop, order.language, token.secret)


def _esim(order: Order) -> Esim:
    assert order.kind is OrderKind.PURCHASE or order.esim_id is not None
    return db.session.get_one(Esim, order.esim_id)


def _read(shop: Shop, order: Order) -> Reading:
    supplier_esim_id = _esim(order).supplier_esim_id
    db.session.commit()
    return shop.supplier.read_esim(supplier_esim_id)
