"""How the delivery of a paid order stops short of what was paid for: held, refused, given back."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models import (
    Fulfilment,
    FulfilmentStatus,
    OrderStatus,
    Package,
    Payment,
    PaymentKind,
    SupplierAttemptStatus,
)
from services import fulfilment_rows as rows
from services.mail import messages
from services.orders import lock_order
from services.payments.disputes import HELD_BECAUSE, PaymentDisputed, refuse_while_disputed
from services.payments.refunds import refund_rest
from services.shop import Shop
from services.suppliers import Refused

log = logging.getLogger(__name__)

# A refusal after a request without an answer is believed when nothing has turned up for so long.
SURE_AFTER = timedelta(hours=1)
UNCLEAR = (SupplierAttemptStatus.SENDING, SupplierAttemptStatus.UNKNOWN)


def refuse(shop: Shop, order_id: int, error: Refused) -> bool:
    """End an order that the supplier refused for good: the money goes back at once, and the buyer is told.

    Return False while an earlier request of this order may still turn out to have been carried out.
    """
    attempt = rows.find_request(order_id)
    if attempt is not None and attempt.sends:
        since = attempt.unknown_at or attempt.sent_at
        if shop.clock.now() < since + SURE_AFTER:
            return False
    log.error("order %s refused by the supplier: %s", order_id, error)
    give_back(shop, order_id, type(error).__name__, cause="refused")
    return True


def give_back(shop: Shop, order_id: int, reason: str, *, cause: str) -> None:
    """End an order that brings nothing any more and send its money back; the caller knows that nothing was bought."""
    with shop.transaction() as session:
        order = lock_order(session, order_id)
        payment = session.scalars(
            select(Payment).where(Payment.order_id == order.id, Payment.kind == PaymentKind.SETTLING)
        ).one()
        try:
            refuse_while_disputed(session, payment)
        except PaymentDisputed:
            # The buyer's bank has the money already; once it has decided, this order is looked at again.
            rows.move(shop, session, order_id, FulfilmentStatus.HELD, reason=HELD_BECAUSE)
            return
        if not rows.move(shop, session, order_id, FulfilmentStatus.REFUSED, reason=reason):
            return
        refund_rest(shop, payment, cause=cause)
        # A top-up that the supplier had accepted and shows nothing of is none.
        session.execute(delete(Package).where(Package.order_id == order.id))
        attempt = rows.find_request(order_id)
        if attempt is not None and attempt.status is not SupplierAttemptStatus.ACCEPTED:
            attempt.status, attempt.error = SupplierAttemptStatus.REFUSED, reason
            attempt.answered_at = shop.clock.now()


def stop_refunded(shop: Shop, order_id: int) -> bool:
    """End the delivery of an order whose money is back with the buyer; return whether it was one.

    What the buyer has in hands already is looked after as ever.
    """
    with shop.transaction() as session:
        order = lock_order(session, order_id)
        return order.status is OrderStatus.REFUNDED and stop(shop, session, order_id)


def stop(shop: Shop, session: Session, order_id: int) -> bool:
    """End a delivery that the buyer has nothing of yet, inside the caller's transaction; return whether it was one.

    The order is locked. An eSIM that is under way at the supplier is given back by reconcile.
    """
    fulfilment = session.get_one(Fulfilment, order_id, populate_existing=True, with_for_update=True)
    if fulfilment.status not in (FulfilmentStatus.WAITING, FulfilmentStatus.ORDERED, FulfilmentStatus.HELD):
        return False
    if fulfilment.applied_at is not None:
        # It is in the buyer's hands, but nobody need look at it any more.
        held = fulfilment.status is FulfilmentStatus.HELD
        return held and rows.move(shop, session, order_id, FulfilmentStatus.REFUSED, reason="refunded")
    attempt = rows.find_request(order_id)
    # An order that may or may not be at the supplier is for a person.
    unknown = attempt is not None and attempt.status in UNCLEAR
    if unknown and fulfilment.status is FulfilmentStatus.HELD:
        fulfilment.reason = "refunded"
        return True
    rows.move(
        shop, session, order_id, FulfilmentStatus.HELD if unknown else FulfilmentStatus.REFUSED, reason="refunded"
    )
    return True


def hold(shop: Shop, order_id: int, reason: str) -> None:
    """Put an order before a person and tell the buyer that one looks at it."""
    log.error("order %s held: %s", order_id, reason)
    with shop.transaction() as session:
        order = lock_order(session, order_id)
        if rows.move(shop, session, order_id, FulfilmentStatus.HELD, reason=reason):
            messages.order_delayed(shop, order)
