"""Which way orders, attempts, fulfilments and refunds may go: one table each; nothing leads back before a payment."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from models import AttemptStatus as A
from models import FulfilmentStatus as F
from models import OrderStatus as O
from models import RefundStatus as R

State = TypeVar("State", bound=StrEnum)

ORDER: Mapping[O, frozenset[O]] = {
    O.PENDING: frozenset({O.PAID, O.CANCELLED}),
    O.PAID: frozenset({O.PART_REFUNDED, O.REFUNDED}),
    # A refund that the bank returns makes the order paid again.
    O.PART_REFUNDED: frozenset({O.REFUNDED, O.PAID}),
    O.REFUNDED: frozenset({O.PART_REFUNDED, O.PAID}),
    O.CANCELLED: frozenset(),
}

# A failed or expired attempt may still turn out paid: two answers of Stripe can overtake each other.
ATTEMPT: Mapping[A, frozenset[A]] = {
    A.CREATED: frozenset({A.OPEN, A.PROCESSING, A.SUCCEEDED, A.FAILED, A.EXPIRED, A.SUPERSEDED}),
    A.OPEN: frozenset({A.PROCESSING, A.SUCCEEDED, A.FAILED, A.EXPIRED, A.SUPERSEDED}),
    A.PROCESSING: frozenset({A.SUCCEEDED, A.FAILED}),
    A.SUCCEEDED: frozenset(),
    A.FAILED: frozenset({A.SUCCEEDED}),
    A.EXPIRED: frozenset({A.SUCCEEDED}),
    A.SUPERSEDED: frozenset({A.SUCCEEDED}),
}
LIVE_ATTEMPTS = (A.CREATED, A.OPEN, A.PROCESSING)

FULFILMENT: Mapping[F, frozenset[F]] = {
    F.WAITING: frozenset({F.ORDERED, F.HELD, F.REFUSED}),
    F.ORDERED: frozenset({F.APPLIED, F.HELD, F.REFUSED}),
    F.APPLIED: frozenset({F.VERIFIED, F.HELD, F.REFUSED}),
    F.VERIFIED: frozenset(),
    # A held order is put back to where it waited; whatever happened meanwhile is looked up first.
    F.HELD: frozenset({F.WAITING, F.ORDERED, F.APPLIED, F.REFUSED}),
    F.REFUSED: frozenset(),
}
WORKED_ON = (F.WAITING, F.ORDERED, F.APPLIED)

REFUND: Mapping[R, frozenset[R]] = {
    R.REQUESTED: frozenset({R.PENDING, R.SUCCEEDED, R.FAILED, R.CANCELED}),
    R.PENDING: frozenset({R.SUCCEEDED, R.FAILED, R.CANCELED}),
    # Banks return refunds weeks later (docs.stripe.com/refunds, "Handle failed refunds").
    R.SUCCEEDED: frozenset({R.FAILED}),
    R.FAILED: frozenset(),
    R.CANCELED: frozenset(),
}


def sources(table: Mapping[State, frozenset[State]], target: State) -> tuple[State, ...]:
    """Return the states from which `target` may be reached."""
    return tuple(state for state, targets in table.items() if target in targets)
