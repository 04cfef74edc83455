"""The tables by which orders, attempts, fulfilments and refunds move."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from models import AttemptStatus, FulfilmentStatus, OrderStatus, RefundStatus
from services.order_states import ATTEMPT, FULFILMENT, LIVE_ATTEMPTS, ORDER, REFUND, WORKED_ON, sources

TABLES: list[tuple[Mapping[Any, frozenset[Any]], type[StrEnum]]] = [
    (ORDER, OrderStatus),
    (ATTEMPT, AttemptStatus),
    (FULFILMENT, FulfilmentStatus),
    (REFUND, RefundStatus),
]


@pytest.mark.parametrize(("table", "states"), TABLES)
def test_every_state_has_its_line(table: Mapping[Any, frozenset[Any]], states: type[StrEnum]) -> None:
    """A state that was added to the models but not to its table would never move."""
    assert set(table) == set(states)


def test_a_paid_order_never_becomes_unpaid() -> None:
    """Whatever order answers arrive in, nothing leads back before the payment."""
    reachable = {OrderStatus.PAID}
    while more := {target for state in reachable for target in ORDER[state]} - reachable:
        reachable |= more
    assert not reachable & {OrderStatus.PENDING, OrderStatus.CANCELLED}


def test_a_late_payment_is_taken_from_every_attempt() -> None:
    """Stripe's answers overtake each other: even an expired attempt may turn out paid."""
    assert set(sources(ATTEMPT, AttemptStatus.SUCCEEDED)) == set(AttemptStatus) - {AttemptStatus.SUCCEEDED}


def test_a_pending_bank_debit_keeps_its_attempt_alive() -> None:
    """While a debit is under way no second attempt may start."""
    assert AttemptStatus.PROCESSING in LIVE_ATTEMPTS
    assert AttemptStatus.EXPIRED not in ATTEMPT[AttemptStatus.PROCESSING]


def test_a_verified_order_is_final_and_nothing_else_is_worked_on_after_it() -> None:
    """The worker leaves finished orders alone."""
    assert FULFILMENT[FulfilmentStatus.VERIFIED] == frozenset()
    assert FulfilmentStatus.VERIFIED not in WORKED_ON
    assert all(FULFILMENT[state] for state in WORKED_ON)
