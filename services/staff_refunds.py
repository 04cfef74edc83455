"""Refunds that a member of staff asks for."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Fulfilment, FulfilmentStatus, Order, Payment, PaymentKind, Refund
from services import audit
from services import fulfilment_ends as ends
from services import fulfilment_rows as rows
from services.audit import Action, Actor, Subject
from services.orders import find_order, lock_order
from services.payments.disputes import PaymentDisputed, refuse_while_disputed
from services.payments.refund_books import left_minor
from services.payments.refunds import request_refund
from services.shop import Shop

NOTE_LENGTH = 200


class NothingToRefund(Exception):
    """No payment has settled this order, so there is nothing to send back."""


class FormUsed(Exception):
    """This form has brought about a refund of another amount already."""

    def __init__(self, refund: Refund) -> None:
        super().__init__(f"{refund.id}: {refund.amount_minor}")
        self.amount_minor = refund.amount_minor


class Obstacle(StrEnum):
    """Why nothing of an order can be sent back: nothing was paid, all of it is back, or the bank has the money."""

    NOT_PAID = "not_paid"
    NOTHING_LEFT = "nothing_left"
    DISPUTED = "disputed"


class Effect(StrEnum):
    """What becomes of the delivery when all that is left goes back.

    `stops`: it ends. `unknown`: it ends here, and a person has to look whether the supplier has carried it out.
    `kept`: the buyer keeps what was delivered. `none`: it has ended before.
    """

    STOPS = "stops"
    UNKNOWN = "unknown"
    KEPT = "kept"
    NONE = "none"


def refund_by_staff(shop: Shop, public_id: str, amount_minor: int, *, form_key: str, note: str, by: Actor) -> Refund:
    """Return the refund that this form asks for, made now unless the form was sent before.

    `amount_minor` in minor units of the order's currency, more than 0; `form_key` has at most 54 characters. When all
    that is left goes back, a delivery that the buyer has nothing of yet is stopped. Opens its own transaction. Raises
    OrderNotFound, NothingToRefund, RefundTooLarge, PaymentDisputed and FormUsed.
    """
    with shop.transaction() as session:
        order = lock_order(session, find_order(session, public_id).id)
        payment = _settling_payment(session, order)
        if payment is None:
            raise NothingToRefund(public_id)
        left_before = left_minor(session, payment)
        refund = request_refund(
            shop,
            payment,
            amount_minor,
            source="staff",
            cause=f"staff:{form_key}",
            staff_id=by.staff_id,
            note=note[:NOTE_LENGTH],
        )
        if refund.amount_minor != amount_minor:
            raise FormUsed(refund)
        left = left_minor(session, payment)
        if left != left_before:
            _record(shop, session, order, refund, by, left_before, left)
        if left == 0:
            ends.stop(shop, session, order.id)
        return refund


def refundable_minor(session: Session, order: Order) -> int:
    """Return how much of an order is neither back nor on its way back, in minor units of its currency."""
    payment = _settling_payment(session, order)
    return left_minor(session, payment) if payment is not None else 0


def obstacle_of(session: Session, order: Order) -> Obstacle | None:
    """Return why nothing of an order can be sent back now, None when something can."""
    payment = _settling_payment(session, order)
    if payment is None:
        return Obstacle.NOT_PAID
    try:
        refuse_while_disputed(session, payment)
    except PaymentDisputed:
        return Obstacle.DISPUTED
    return None if left_minor(session, payment) > 0 else Obstacle.NOTHING_LEFT


def effect_of(session: Session, order: Order) -> Effect:
    """Return what `refund_by_staff` would make of the delivery of an order when all that is left goes back."""
    fulfilment = session.get(Fulfilment, order.id)
    if fulfilment is None or (fulfilment.status is FulfilmentStatus.REFUSED and fulfilment.applied_at is None):
        return Effect.NONE
    if fulfilment.applied_at is not None:
        return Effect.KEPT
    attempt = rows.find_request(order.id)
    return Effect.UNKNOWN if attempt is not None and attempt.status in ends.UNCLEAR else Effect.STOPS


def _record(shop: Shop, session: Session, order: Order, refund: Refund, by: Actor, left_before: int, left: int) -> None:
    audit.record(
        session,
        Action.REFUND_REQUESTED,
        Subject.order(order.public_id),
        by=by,
        now=shop.clock.now(),
        before={"left_minor": left_before, "currency": refund.currency},
        after={"amount_minor": refund.amount_minor, "left_minor": left, "currency": refund.currency},
        note=refund.note,
    )


def _settling_payment(session: Session, order: Order) -> Payment | None:
    """Return the payment that settled an order, None when there is none or it was free."""
    payment = session.scalars(
        select(Payment).where(Payment.order_id == order.id, Payment.kind == PaymentKind.SETTLING)
    ).one_or_none()
    return payment if payment is not None and payment.amount_minor else None
