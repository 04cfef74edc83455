"""How far an order is, in the four steps that a buyer is shown; values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from models import FulfilmentStatus, Order, OrderKind, OrderStatus
from services.order_states import WORKED_ON

# Reasons of a fulfilment that say that the buyer's bank was asked for the money.
DISPUTED = ("disputed", "dispute_lost")


class Step(StrEnum):
    """A step of an order, in their order."""

    PAID = "paid"
    ORDERED = "ordered"
    APPLIED = "applied"
    VERIFIED = "verified"


@dataclass(frozen=True)
class Progress:
    """The steps with the moment (UTC) of each one that is done; `moves` while the next one comes by itself.

    `trouble` is empty, `held` (a person looks at it), `late` (so does one, while the shop goes on trying), `unverified`
    (the same, and the supplier does not show what was paid for), `disputed` (the buyer's bank decides), `refused` (the
    money goes back) or `slow` (the supplier lets us wait).
    """

    steps: tuple[tuple[Step, datetime | None], ...]
    moves: bool
    trouble: str
    refunded: bool

    @property
    def current(self) -> Step | None:
        """Return the first step that is not done."""
        return next((step for step, moment in self.steps if moment is None), None)


def progress_of(order: Order) -> Progress:
    """Return how far `order` is."""
    fulfilment = order.fulfilment
    moments = {
        Step.PAID: order.paid_at,
        Step.ORDERED: fulfilment.ordered_at if fulfilment else None,
        Step.APPLIED: fulfilment.applied_at if fulfilment else None,
        Step.VERIFIED: fulfilment.verified_at if fulfilment else None,
    }
    return Progress(
        steps=tuple(moments.items()),
        moves=fulfilment is not None and fulfilment.status in WORKED_ON,
        trouble=_trouble(order),
        refunded=order.status is OrderStatus.REFUNDED,
    )


def _trouble(order: Order) -> str:
    fulfilment = order.fulfilment
    if fulfilment is None:
        return ""
    if fulfilment.reason in DISPUTED:
        return "disputed"
    if fulfilment.status is FulfilmentStatus.REFUSED:
        return "refused"
    if fulfilment.reason == "not_verified":
        return "unverified"
    if fulfilment.status is FulfilmentStatus.HELD:
        return "held"
    if fulfilment.status in WORKED_ON and fulfilment.late_at is not None:
        return "late"
    return "slow" if fulfilment.reason.startswith("supplier_") else ""


def codes_are_shown(order: Order) -> bool:
    """Return whether the eSIM of a purchase is there to be installed and its money was not given back."""
    return (
        order.kind is OrderKind.PURCHASE
        and order.esim is not None
        and order.status in (OrderStatus.PAID, OrderStatus.PART_REFUNDED)
    )
