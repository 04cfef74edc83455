"""What a person can do about the delivery of a paid order: retry it, have it looked at now, or leave it undone."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Session

from models import Fulfilment, FulfilmentStatus, Order
from services import audit
from services import fulfilment_rows as rows
from services.audit import Action, Actor, Facts, Subject
from services.order_states import WORKED_ON
from services.orders import find_order, lock_order
from services.payments.disputes import HELD_BECAUSE, open_disputes
from services.shop import Shop
from services.staff_refunds import Obstacle, obstacle_of


class Step(StrEnum):
    """What is to be done about a delivery.

    `retry` puts a held order back to work, `look` makes one that is under way due at once, `close` ends one that is
    held although its money is not ours any more.
    """

    RETRY = "retry"
    LOOK = "look"
    CLOSE = "close"


class NoSuchStep(Exception):
    """The delivery is not, or no longer, in a state in which this can be done."""


def usual_step(fulfilment: Fulfilment) -> Step | None:
    """Return what can be done about a delivery as long as no dispute says otherwise, None for one that has ended."""
    if fulfilment.status in WORKED_ON:
        return Step.LOOK
    if fulfilment.status is not FulfilmentStatus.HELD or fulfilment.reason == HELD_BECAUSE:
        return None
    return Step.CLOSE if fulfilment.reason == "refunded" else Step.RETRY


def next_step(session: Session, order: Order) -> Step | None:
    """Return what can be done about the delivery of an order now: no held one goes out whose money is not ours."""
    fulfilment = session.get(Fulfilment, order.id)
    if fulfilment is None:
        return None
    if fulfilment.status is FulfilmentStatus.HELD:
        obstacle = obstacle_of(session, order)
        # Once the bank has decided for the buyer, there is nothing left to wait for.
        if obstacle is Obstacle.DISPUTED:
            return None if open_disputes(session, order.id) else Step.CLOSE
        if obstacle is Obstacle.NOTHING_LEFT:
            return Step.CLOSE
    return usual_step(fulfilment)


def take_up(shop: Shop, public_id: str, *, by: Actor) -> Step:
    """Retry a held order or have one that is under way looked at now, whichever it is, and return what was done.

    Whatever happened meanwhile is looked up before anything is sent again. Opens its own transaction. Raises
    OrderNotFound and NoSuchStep.
    """
    with shop.transaction() as session:
        order, fulfilment = _lock(session, public_id)
        step = next_step(session, order)
        if fulfilment is None or step not in (Step.RETRY, Step.LOOK):
            raise NoSuchStep(public_id)
        before = _state(fulfilment)
        if step is Step.RETRY:
            rows.put_back(shop, fulfilment)
        else:
            fulfilment.next_try_at = shop.clock.now()
            shop.knock("fulfil", order.id)
        action = Action.DELIVERY_RETRIED if step is Step.RETRY else Action.DELIVERY_LOOKED_AT
        _record(shop, session, action, order, by, before, _state(fulfilment))
        return step


def close(shop: Shop, public_id: str, *, by: Actor) -> None:
    """End the delivery of a held order whose money is not ours any more, after a person has seen to the supplier.

    Opens its own transaction. Raises OrderNotFound and NoSuchStep.
    """
    with shop.transaction() as session:
        order, fulfilment = _lock(session, public_id)
        if fulfilment is None or next_step(session, order) is not Step.CLOSE:
            raise NoSuchStep(public_id)
        reason = "refunded" if fulfilment.reason == "refunded" else "dispute_lost"
        before = _state(fulfilment)
        rows.move(shop, session, order.id, FulfilmentStatus.REFUSED, reason=reason)
        _record(shop, session, Action.DELIVERY_CLOSED, order, by, before, _state(fulfilment))


def _state(fulfilment: Fulfilment) -> Facts:
    return {"delivery": fulfilment.status.value, "reason": fulfilment.reason}


def _record(shop: Shop, session: Session, action: Action, order: Order, by: Actor, before: Facts, after: Facts) -> None:
    subject = Subject.order(order.public_id)
    audit.record(session, action, subject, by=by, now=shop.clock.now(), before=before, after=after)


def _lock(session: Session, public_id: str) -> tuple[Order, Fulfilment | None]:
    order = lock_order(session, find_order(session, public_id).id)
    return order, session.get(Fulfilment, order.id, populate_existing=True, with_for_update=True)
