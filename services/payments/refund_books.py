"""What has gone back of a payment, as Stripe says, and what that makes of its order."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from models import FindingKind, Order, OrderStatus, Payment, PaymentKind, Refund, RefundStatus, db
from services import findings, money
from services.identifiers import random_key
from services.languages import DEFAULT_LANGUAGE
from services.mail import messages
from services.order_states import ORDER, REFUND, sources
from services.orders import lock_order
from services.payments import RefundState
from services.shop import Shop

log = logging.getLogger(__name__)

MOVING = (RefundStatus.REQUESTED, RefundStatus.PENDING)
COUNTED = (RefundStatus.REQUESTED, RefundStatus.PENDING, RefundStatus.SUCCEEDED)
ENDED = (RefundStatus.FAILED, RefundStatus.CANCELED)
STATUSES = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.CANCELED,
}
PENDING_CHECK = timedelta(hours=1)


def left_minor(session: Session, payment: Payment) -> int:
    """Return how much of a payment has neither gone back nor is on its way, in minor units of its currency."""
    gone = session.scalar(
        select(func.coalesce(func.sum(Refund.amount_minor), 0)).where(
            Refund.payment_id == payment.id, Refund.status.in_(COUNTED)
        )
    )
    return payment.amount_minor - int(gone or 0)


def refunded_minor(session: Session, order: Order) -> int:
    """Return how much of the payment that settled an order is back with the buyer, in minor units of its currency."""
    if order.status not in (OrderStatus.PART_REFUNDED, OrderStatus.REFUNDED):
        return 0
    total = session.scalar(
        select(func.sum(Refund.amount_minor))
        .join(Payment)
        .where(
            Payment.order_id == order.id,
            Payment.kind == PaymentKind.SETTLING,
            Refund.status == RefundStatus.SUCCEEDED,
        )
    )
    return int(total or 0)


def mirror_refunds(shop: Shop, states: Iterable[RefundState]) -> int:
    """Bring our books in step with refunds at Stripe, whoever made them; return how many were news to us.

    Inside the caller's transaction. Refunds of payments that are not ours are left alone.
    """
    return sum(_mirror(shop, state) for state in states)


def _mirror(shop: Shop, state: RefundState) -> bool:
    session = db.session()
    payment = session.scalars(select(Payment).where(Payment.reference == state.payment_reference)).one_or_none()
    if payment is None or not state.payment_reference:
        return False
    # The order's lock first, as everywhere; then whether somebody else has just stored the same refund.
    lock_order(session, payment.order_id)
    known = Refund.reference == state.reference
    if state.request_key is not None:
        known = or_(known, (Refund.idempotency_key == state.request_key) & Refund.reference.is_(None))
    refund = session.scalars(select(Refund).where(known).execution_options(populate_existing=True)).first()
    target = STATUSES.get(state.status, RefundStatus.PENDING)
    if refund is None:
        refund = _add_made_at_stripe(shop, session, payment, state)
    elif refund.reference is not None and refund.status is target:
        return False
    record_refund(shop, refund.id, state.reference, target)
    return True


def _add_made_at_stripe(shop: Shop, session: Session, payment: Payment, state: RefundState) -> Refund:
    """Add the row of a refund that was made in Stripe's Dashboard, or whose row is lost."""
    refund = Refund(
        payment_id=payment.id,
        status=RefundStatus.REQUESTED,
        source="stripe",
        cause=f"stripe:{hashlib.sha256(state.reference.encode()).hexdigest()[:32]}",
        idempotency_key=random_key(),
        reference=state.reference,
        amount_minor=state.amount_minor,
        currency=state.currency,
        created_at=shop.clock.now(),
    )
    session.add(refund)
    session.flush()
    return refund


def record_refund(shop: Shop, refund_id: int, reference: str | None, target: RefundStatus) -> None:
    """Move a refund to `target` where its table allows, and its order with it; inside the caller's transaction."""
    session = db.session()
    refund = session.get_one(Refund, refund_id)
    payment = session.get_one(Payment, refund.payment_id)
    order = lock_order(session, payment.order_id)
    session.refresh(refund)
    if refund.status not in sources(REFUND, target) and refund.status is not target:
        return
    moved = refund.status is not target
    refund.reference, refund.status = reference, target
    refund.next_try_at = shop.clock.now() + PENDING_CHECK if target is RefundStatus.PENDING else None
    session.flush()
    if not moved:
        return
    _book(shop, session, order, payment)
    if target is RefundStatus.SUCCEEDED:
        messages.order_refunded(shop, order, refund, refund.cause)
        _clear_failures(shop, session, payment)
    elif target in ENDED:
        _report_failure(shop, session, order, refund, payment)


def _book(shop: Shop, session: Session, order: Order, payment: Payment) -> None:
    """Bring the order's status in step with what is back; a surplus that returns leaves the order as it is."""
    if payment.kind is not PaymentKind.SETTLING:
        return
    gone = session.scalar(
        select(func.coalesce(func.sum(Refund.amount_minor), 0)).where(
            Refund.payment_id == payment.id, Refund.status == RefundStatus.SUCCEEDED
        )
    )
    target = OrderStatus.PART_REFUNDED if gone else OrderStatus.PAID
    if gone and gone >= payment.amount_minor:
        target = OrderStatus.REFUNDED
    if order.status in sources(ORDER, target):
        order.status = target
        if target is OrderStatus.REFUNDED:
            # An order whose money is back is not delivered any more: its fulfilment ends by itself.
            shop.knock("fulfil", order.id)


def _report_failure(shop: Shop, session: Session, order: Order, refund: Refund, payment: Payment) -> None:
    """Put a refund that did not arrive before a person, unless the money went back by another refund meanwhile."""
    log.error("refund %s of order %s did not arrive: %s", refund.id, order.public_id, refund.status.value)
    if refund.status is RefundStatus.CANCELED and left_minor(session, payment) <= 0:
        return
    findings.notice(
        session,
        FindingKind.REFUND_FAILED,
        f"refund {refund.id}",
        shop.clock.now(),
        order_id=order.id,
        details=f"{_amount(refund)} {refund.reference or ''}".strip(),
    )


def _amount(refund: Refund) -> str:
    return money.format_money(refund.amount_minor, refund.currency, DEFAULT_LANGUAGE)


def _clear_failures(shop: Shop, session: Session, payment: Payment) -> None:
    """Settle what was noticed of failed refunds once all of the money is back by another one."""
    if left_minor(session, payment) > 0:
        return
    failed = select(Refund.id).where(Refund.payment_id == payment.id, Refund.status.in_(ENDED))
    for refund_id in session.scalars(failed):
        findings.clear_one(session, FindingKind.REFUND_FAILED, f"refund {refund_id}", shop.clock.now())
