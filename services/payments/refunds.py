"""Refunds: a row with its key before Stripe hears of it, then sent by the worker until the outcome is known."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models import Order, OrderStatus, Payment, PaymentKind, Refund, RefundStatus, db
from services.identifiers import random_key
from services.mail import messages
from services.order_states import ORDER, REFUND, sources
from services.orders import lock_order
from services.payments import GatewayRefused, PaymentError, RefundState
from services.shop import Shop

log = logging.getLogger(__name__)

MOVING = (RefundStatus.REQUESTED, RefundStatus.PENDING)
COUNTED = (RefundStatus.REQUESTED, RefundStatus.PENDING, RefundStatus.SUCCEEDED)
STATUSES = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.CANCELED,
}
# Refusals that no later try can change, and what they say of the money: it is back already, or the buyer's bank has it.
FINAL_REFUSALS = {
    "charge_already_refunded": RefundStatus.SUCCEEDED,
    "charge_disputed": RefundStatus.FAILED,
    "resource_missing": RefundStatus.FAILED,
}
WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
PENDING_CHECK = timedelta(hours=1)


class RefundTooLarge(Exception):
    """More would go back than came in."""


def request_refund(shop: Shop, payment: Payment, amount_minor: int, *, source: str, cause: str) -> Refund:
    """Return the refund of this payment for this cause, made now unless it exists; the caller holds the order's lock.

    `amount_minor` in minor units of the payment's currency. Raises RefundTooLarge.
    """
    session = db.session()
    existing = session.scalars(
        select(Refund).where(Refund.payment_id == payment.id, Refund.cause == cause)
    ).one_or_none()
    if existing is not None:
        return existing
    counted = Refund.status.in_(COUNTED)
    gone = session.scalar(
        select(func.coalesce(func.sum(Refund.amount_minor), 0)).where(Refund.payment_id == payment.id, counted)
    )
    if amount_minor + (gone or 0) > payment.amount_minor:
        raise RefundTooLarge(f"{amount_minor} of {payment.amount_minor}, {gone} already gone")
    now = shop.clock.now()
    refund = Refund(
        payment_id=payment.id,
        status=RefundStatus.REQUESTED,
        source=source,
        cause=cause,
        idempotency_key=random_key(),
        amount_minor=amount_minor,
        currency=payment.currency,
        created_at=now,
        next_try_at=now,
    )
    session.add(refund)
    session.flush()
    shop.knock("send_refund", refund.id)
    return refund


def send_refund(shop: Shop, refund_id: int) -> None:
    """Bring one refund forward: send it under its key, or look at how it stands; opens its own transactions."""
    refund = _claim(shop, refund_id)
    if refund is None:
        return
    try:
        state = _ask(shop, refund)
    except GatewayRefused as error:
        log.error("refund %s refused: %s", refund.id, error.code)
        if error.code in FINAL_REFUSALS:
            with shop.transaction():
                _apply(shop, refund_id, refund.reference, FINAL_REFUSALS[error.code])
        # Any other refusal may pass, as an empty balance at Stripe does; the claim has set when to try again.
        return
    except PaymentError as error:
        # Nobody knows yet what happened, so the same key is sent again. Stripe forgets a stored failure after a day.
        log.warning("refund %s: %s", refund.id, error)
        return
    with shop.transaction():
        apply_refund(shop, refund_id, state)


def _claim(shop: Shop, refund_id: int) -> Refund | None:
    """Return the refund when it is due, and push its next try ahead so that nobody else sends it meanwhile."""
    now = shop.clock.now()
    with shop.transaction() as session:
        refund = session.get(Refund, refund_id, populate_existing=True)
        if refund is None:
            return None
        wait = min(WAIT * 2 ** min(refund.tries, 10), LONGEST_WAIT)
        claimed = session.execute(
            update(Refund)
            .where(Refund.id == refund_id, Refund.status.in_(MOVING), Refund.next_try_at <= now)
            .values(tries=Refund.tries + 1, next_try_at=now + wait)
        )
        if not claimed.rowcount:  # type: ignore[attr-defined]
            return None
        _ = refund.payment.reference
        return refund


def _ask(shop: Shop, refund: Refund) -> RefundState:
    if refund.reference is not None:
        return shop.gateway.get_refund(refund.reference)
    return shop.gateway.refund(refund.payment.reference, refund.amount_minor, refund.idempotency_key)


def apply_refund(shop: Shop, refund_id: int, state: RefundState) -> None:
    """Record how a refund stands at Stripe, inside the caller's transaction."""
    _apply(shop, refund_id, state.reference, STATUSES.get(state.status, RefundStatus.PENDING))


def _apply(shop: Shop, refund_id: int, reference: str | None, target: RefundStatus) -> None:
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
    _book(order, payment)
    if target is RefundStatus.SUCCEEDED:
        messages.order_refunded(shop, order, refund, refund.cause)
    elif target in (RefundStatus.FAILED, RefundStatus.CANCELED):
        # The buyer does not have the money: a person has to send it another way.
        log.error("refund %s of order %s did not arrive: %s", refund.id, order.public_id, target.value)


def _book(order: Order, payment: Payment) -> None:
    """Bring the order's status in step with what is back; a surplus that returns leaves the order as it is."""
    if payment.kind is not PaymentKind.SETTLING:
        return
    session = db.session()
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


def due_refunds(shop: Shop) -> list[int]:
    """Return the refunds whose knock was lost or whose next look is due."""
    return list(
        db.session.scalars(
            select(Refund.id).where(Refund.status.in_(MOVING), Refund.next_try_at <= shop.clock.now()).limit(200)
        )
    )
