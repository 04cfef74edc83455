"""Refunds that a member of staff asks for."""

from __future__ import annotations

from sqlalchemy import select

from models import Order, OrderStatus, Payment, PaymentKind, Refund, db
from services import fulfilment_ends as ends
from services.orders import find_order, lock_order
from services.payments.refund_books import left_minor
from services.payments.refunds import RefundTooLarge, request_refund
from services.shop import Shop

NOTE_LENGTH = 200


class NothingToRefund(Exception):
    """No payment has settled this order, so there is nothing to send back."""


def refund_by_staff(
    shop: Shop, public_id: str, amount_minor: int, *, form_key: str, note: str, staff_id: int
) -> Refund:
    """Return the refund that this form asks for, made now unless the form was sent before.

    `amount_minor` in minor units of the order's currency; when all that is left goes back, a delivery that the buyer
    has nothing of yet is stopped. Opens its own transaction. Raises OrderNotFound, NothingToRefund, RefundTooLarge
    and PaymentDisputed.
    """
    with shop.transaction() as session:
        order = lock_order(session, find_order(session, public_id).id)
        payment = settling_payment(order)
        if amount_minor <= 0:
            raise RefundTooLarge("nothing")
        refund = request_refund(
            shop,
            payment,
            amount_minor,
            source="staff",
            cause=f"staff:{form_key}"[:60],
            staff_id=staff_id,
            note=note[:NOTE_LENGTH],
        )
        if left_minor(session, payment) == 0:
            ends.stop(shop, session, order.id)
        return refund


def refundable_minor(order: Order) -> int:
    """Return how much of an order can still go back, in minor units of its currency."""
    try:
        payment = settling_payment(order)
    except NothingToRefund:
        return 0
    return left_minor(db.session(), payment)


def settling_payment(order: Order) -> Payment:
    """Return the payment that settled an order; raises NothingToRefund."""
    if order.status in (OrderStatus.PENDING, OrderStatus.CANCELLED):
        raise NothingToRefund(order.public_id)
    payment = db.session.scalars(
        select(Payment).where(Payment.order_id == order.id, Payment.kind == PaymentKind.SETTLING)
    ).one_or_none()
    if payment is None or not payment.amount_minor:
        raise NothingToRefund(order.public_id)
    return payment
