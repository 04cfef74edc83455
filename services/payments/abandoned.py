"""Orders that nobody pays: closed at Stripe first, and only then cancelled here."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import select

from models import AttemptStatus, Order, OrderStatus, db
from services.orders import live_attempt, lock_order
from services.payments import PaymentError
from services.payments.attempts import stop_payment
from services.shop import Shop

log = logging.getLogger(__name__)

# Prices and what a renewal promises are kept for a buyer this long.
KEPT_FOR = timedelta(hours=24)
BATCH = 200


def cancel_abandoned(shop: Shop) -> int:
    """Cancel the unpaid orders of more than a day ago and return how many; one that was paid meanwhile is settled.

    Opens its own transactions. An order whose bank transfer is still under way stays.
    """
    order_ids = db.session.scalars(
        select(Order.id)
        .where(Order.status == OrderStatus.PENDING, Order.created_at < shop.clock.now() - KEPT_FOR)
        .order_by(Order.id)
        .limit(BATCH)
    ).all()
    return sum(_cancel(shop, order_id) for order_id in order_ids)


def _cancel(shop: Shop, order_id: int) -> bool:
    try:
        stop_payment(shop, order_id)
    except PaymentError as error:
        log.warning("order %s cannot be cancelled yet: %s", order_id, error)
        return False
    with shop.transaction() as session:
        order = lock_order(session, order_id)
        attempt = live_attempt(session, order_id)
        if order.status is not OrderStatus.PENDING or (attempt is not None and attempt.session_id is not None):
            return False
        if attempt is not None:
            attempt.status = AttemptStatus.SUPERSEDED
        order.status, order.cancelled_at = OrderStatus.CANCELLED, shop.clock.now()
    return True
