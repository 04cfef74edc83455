"""Turning a paid order into a package that the supplier confirms: waiting, ordered, applied, verified.

Every step commits what it intends before it calls the supplier and what came of it afterwards. Webhook, poll and sweep
all end in `fulfil`, which works under a lease, so that one process at a time moves an order.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from enum import Enum, auto

from sqlalchemy import or_, select, update

from models import Fulfilment, FulfilmentStatus, Order, OrderKind, db
from services import fulfilment_ends as ends
from services import fulfilment_rows as rows
from services import fulfilment_steps as steps
from services import late_orders
from services.failpoints import failpoint
from services.leases import LeasedShop, LeaseOver
from services.order_states import WORKED_ON
from services.shop import Shop
from services.suppliers import PriceChanged, Refused, SupplierError, Waiting

log = logging.getLogger(__name__)

# Longer than the slowest answer of a supplier, so that a lease only ends under a process that died or was suspended.
LEASE = timedelta(seconds=90)
# Seconds between looks: an allocation takes seconds, a supplier that is down takes longer.
WAITS = (2, 4, 8, 15, 30, 60, 120, 300, 600)
# After this many looks, about a minute, the buyer is told that the supplier is slow.
SLOW_AFTER = 6


class _Look(Enum):
    """What looking at an order came to: the next state, no state any more, an answer or none that changes nothing."""

    MOVED = auto()
    ENDED = auto()
    ANSWERED = auto()
    SILENT = auto()


def fulfil(shop: Shop, order_id: int) -> None:
    """Bring a paid order as far as it goes now, and say when to look again; opens its own transactions.

    Never raises for what a supplier says or does not say: a refusal, a wait and an unknown outcome are states.
    """
    while (lease := _claim(shop, order_id)) is not None:
        failpoint("fulfil.claimed")
        try:
            look = _look(LeasedShop(**vars(shop), lease_until=lease), order_id)
        except LeaseOver:
            log.warning("order %s is left to others: its lease is over", order_id)
            return
        if look in (_Look.ANSWERED, _Look.SILENT):
            late_orders.mind(shop, order_id, answered=look is _Look.ANSWERED)
        if look is not _Look.MOVED:
            return


def _look(shop: LeasedShop, order_id: int) -> _Look:
    """Take the step that is next, and return what it came to."""
    if ends.stop_refunded(shop, order_id):
        return _Look.ENDED
    try:
        moved = _step(shop, order_id)
    except PriceChanged:
        ends.hold(shop, order_id, "price_changed")
        return _Look.ENDED
    except SupplierError as error:
        if isinstance(error, Refused) and ends.refuse(shop, order_id, error):
            return _Look.ENDED
        log.warning("order %s waits: %s", order_id, error)
        _release(shop, order_id, reason=_reason(error))
        return _Look.SILENT
    _release(shop, order_id, again=moved)
    return _Look.MOVED if moved else _Look.ANSWERED


def look_again(shop: Shop, supplier_order_id: str | None, supplier_esim_id: str | None) -> None:
    """Make the order that a supplier's webhook hints at due now; unknown ones are ignored."""
    if supplier_order_id is None and supplier_esim_id is None:
        return
    with shop.transaction() as session:
        for order_id in rows.open_orders_of(session, supplier_order_id, supplier_esim_id):
            session.execute(
                update(Fulfilment).where(Fulfilment.order_id == order_id).values(next_try_at=shop.clock.now())
            )
            shop.knock("fulfil", order_id)


def due_fulfilments(shop: Shop) -> list[int]:
    """Return the orders whose knock was lost or whose next look is due."""
    return list(
        db.session.scalars(
            select(Fulfilment.order_id)
            .where(Fulfilment.status.in_(WORKED_ON), Fulfilment.next_try_at <= shop.clock.now())
            .order_by(Fulfilment.next_try_at)
            .limit(200)
        )
    )


def seconds_until_next_look(shop: Shop, order_id: int) -> float:
    """Return how long the worker should wait before it looks at the order again."""
    due = db.session.scalars(select(Fulfilment.next_try_at).where(Fulfilment.order_id == order_id)).one_or_none()
    return max((due - shop.clock.now()).total_seconds(), 0) if due else 0


def _step(shop: Shop, order_id: int) -> bool:
    """Take the one step that is next; return whether it led to another state."""
    order = db.session.get_one(Order, order_id)
    fulfilment = db.session.get_one(Fulfilment, order_id)
    renewal = order.kind is OrderKind.RENEWAL
    if fulfilment.status is FulfilmentStatus.WAITING:
        return steps.order_topup(shop, order) if renewal else steps.order_esim(shop, order)
    if fulfilment.status is FulfilmentStatus.ORDERED:
        return steps.collect_esim(shop, order)
    if fulfilment.status is FulfilmentStatus.APPLIED:
        return steps.verify_renewal(shop, order) if renewal else steps.verify_purchase(shop, order)
    return False


def _claim(shop: Shop, order_id: int) -> datetime | None:
    """Take the lease on a fulfilment that is due and return its end; None when nothing is due or somebody is at it."""
    now = shop.clock.now()
    lease = now + LEASE
    with shop.transaction() as session:
        result = session.execute(
            update(Fulfilment)
            .where(
                Fulfilment.order_id == order_id,
                Fulfilment.status.in_(WORKED_ON),
                Fulfilment.next_try_at <= now,
                or_(Fulfilment.lease_until.is_(None), Fulfilment.lease_until < now),
            )
            .values(lease_until=lease, tries=Fulfilment.tries + 1)
        )
        session.expire_all()
        return lease if result.rowcount else None  # type: ignore[attr-defined]


def _release(shop: Shop, order_id: int, *, again: bool = False, reason: str = "") -> None:
    """Give the lease back and set when to look again: at once after a step, later and later while nothing moves."""
    now = shop.clock.now()
    with shop.transaction() as session:
        # Locked, so that a dispute or a hold that comes in between keeps its reason.
        fulfilment = session.get_one(Fulfilment, order_id, populate_existing=True, with_for_update=True)
        fulfilment.lease_until = None
        if fulfilment.status not in WORKED_ON:
            fulfilment.next_try_at = None
            return
        if again:
            # The next state has its own patience.
            fulfilment.tries, fulfilment.reason, fulfilment.next_try_at, fulfilment.late_at = 0, "", now, None
            return
        if fulfilment.late_at is None:
            slow = "supplier_waiting" if fulfilment.tries >= SLOW_AFTER else ""
            fulfilment.reason = reason or slow
        fulfilment.next_try_at = now + timedelta(seconds=WAITS[min(max(fulfilment.tries - 1, 0), len(WAITS) - 1)])
        shop.knock("fulfil_later", order_id)


def _reason(error: SupplierError) -> str:
    return "supplier_" + ("waiting" if isinstance(error, Waiting) else "silent")
