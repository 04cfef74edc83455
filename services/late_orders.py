"""Paid orders that take too long: the buyer is told, staff sees them, and after a day the money goes back by rule.

The shop goes on trying all the while. Money goes back only when it is known that nothing was bought, or that what was
bought has brought the buyer nothing; as long as nobody knows, a person decides.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select

from models import Fulfilment, FulfilmentStatus, Order, OrderKind, OrderStatus, SupplierAttemptStatus, db
from services import fulfilment_ends as ends
from services import fulfilment_rows as rows
from services import fulfilment_steps as steps
from services.mail import messages
from services.order_states import WORKED_ON
from services.orders import lock_order
from services.renewal_rules import was_applied
from services.shop import Shop
from services.suppliers import SupplierError

log = logging.getLogger(__name__)

# How long an order may stay in a state before buyer and staff are told, and what they are told; how long a
# verification may take is for the supplier to say (`usual_delay`).
PATIENCE: dict[FulfilmentStatus, tuple[timedelta, str]] = {
    FulfilmentStatus.WAITING: (timedelta(hours=1), "not_ordered"),
    FulfilmentStatus.ORDERED: (timedelta(hours=1), "not_allocated"),
    FulfilmentStatus.APPLIED: (timedelta(), "not_verified"),
}
# A traveller who has nothing a day after paying gets the money back.
GIVE_UP_AFTER = timedelta(hours=24)
# Reasons for which staff may let an order go on, and for which nothing was bought meanwhile.
NOTHING_BOUGHT = ("price_changed",)


def mind(shop: Shop, order_id: int, *, answered: bool) -> None:
    """Do what is due for an order that did not move at this look; `answered` is whether the supplier said anything.

    Opens its own transactions.
    """
    fulfilment = db.session.get_one(Fulfilment, order_id, populate_existing=True)
    order = db.session.get_one(Order, order_id)
    db.session.commit()
    if fulfilment.status not in WORKED_ON:
        return
    now = shop.clock.now()
    patience, reason = PATIENCE[fulfilment.status]
    if fulfilment.status is FulfilmentStatus.APPLIED:
        patience = shop.supplier.capabilities.usual_delay
    if fulfilment.late_at is None and now > _latest(_since(order, fulfilment), fulfilment.retried_at) + patience:
        _tell(shop, order_id, fulfilment.status, reason)
    if now > _latest(order.paid_at, fulfilment.retried_at) + GIVE_UP_AFTER:
        _give_up(shop, order, fulfilment.status, reason, answered)


def give_up_held(shop: Shop) -> int:
    """End held orders that no person needs to look at any more, and return how many.

    Their money is back with the buyer, or nothing was bought and staff has left them lying for a day: then it goes
    back now. Opens its own transactions.
    """
    forgotten = and_(Fulfilment.reason.in_(NOTHING_BOUGHT), Fulfilment.held_at < shop.clock.now() - GIVE_UP_AFTER)
    back = and_(Fulfilment.reason != "refunded", Order.status == OrderStatus.REFUNDED)
    held = db.session.execute(
        select(Fulfilment.order_id, Order.status)
        .join(Order, Order.id == Fulfilment.order_id)
        .where(Fulfilment.status == FulfilmentStatus.HELD, or_(forgotten, back))
        .order_by(Fulfilment.order_id)
        .limit(200)
    ).all()
    return sum(_end_held(shop, order_id, status) for order_id, status in held)


def _end_held(shop: Shop, order_id: int, status: OrderStatus) -> bool:
    if status is OrderStatus.REFUNDED:
        return ends.stop_refunded(shop, order_id)
    bought_nothing = _bought_nothing(order_id)
    db.session.commit()
    if bought_nothing:
        ends.give_back(shop, order_id, "too_late", cause="late")
    return bought_nothing


def _since(order: Order, fulfilment: Fulfilment) -> datetime | None:
    return {
        FulfilmentStatus.WAITING: order.paid_at,
        FulfilmentStatus.ORDERED: fulfilment.ordered_at,
        FulfilmentStatus.APPLIED: fulfilment.applied_at,
    }[fulfilment.status]


def _latest(*moments: datetime | None) -> datetime:
    return max(moment for moment in moments if moment is not None)


def _tell(shop: Shop, order_id: int, status: FulfilmentStatus, reason: str) -> None:
    """Tell the buyer once that it takes longer, and put the order on the list of staff; the shop goes on trying."""
    log.error("order %s is late: %s", order_id, reason)
    with shop.transaction() as session:
        order = lock_order(session, order_id)
        fulfilment = session.get_one(Fulfilment, order_id, populate_existing=True, with_for_update=True)
        if fulfilment.status is status and fulfilment.late_at is None:
            fulfilment.late_at, fulfilment.reason = shop.clock.now(), reason
            messages.order_delayed(shop, order)


def _give_up(shop: Shop, order: Order, status: FulfilmentStatus, reason: str, answered: bool) -> None:
    if status is FulfilmentStatus.WAITING and _bought_nothing(order.id):
        ends.give_back(shop, order.id, "too_late", cause="late")
    elif status is FulfilmentStatus.WAITING:
        ends.hold(shop, order.id, "outcome_unknown")
    elif status is FulfilmentStatus.ORDERED and answered:
        # Should the supplier hand it out after all, reconcile gives it back: nobody has seen its codes.
        ends.give_back(shop, order.id, reason, cause="late")
    elif status is FulfilmentStatus.APPLIED and answered and order.kind is OrderKind.RENEWAL and _no_trace(shop, order):
        ends.give_back(shop, order.id, reason, cause="late")
    elif status is FulfilmentStatus.APPLIED and answered:
        ends.hold(shop, order.id, reason)


def _bought_nothing(order_id: int) -> bool:
    """Return whether it is certain that the supplier has carried nothing out for an order."""
    attempt = rows.find_request(order_id)
    return attempt is None or attempt.status is SupplierAttemptStatus.WAITING


def _no_trace(shop: Shop, order: Order) -> bool:
    """Return whether the supplier shows nothing at all of a renewal that it had accepted."""
    attempt = rows.find_request(order.id)
    assert attempt is not None
    assert order.esim_id is not None
    before = rows.reading_before(db.session(), attempt, order.esim_id)
    try:
        return not was_applied(before, steps.read(shop, order))
    except SupplierError as error:
        log.warning("order %s: %s", order.id, error)
        return False
