"""A worker that was away for longer than its lease, as on a suspended machine: others went on, and it does no harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from jobs import sweep_once
from models import FulfilmentStatus, OrderKind
from services import failpoints
from tests import both_databases
from tests.money_world import MoneyWorld

# Where no transaction is open, from the claim to the last step.
NAMES = ("fulfil.claimed", "fulfil.intended", "fulfil.answered", "fulfil.collected", "fulfil.read")


@pytest.fixture
def at() -> Iterator[Callable[[str, Callable[[], None]], None]]:
    """Give the function that lets something happen the next time a failpoint is reached."""
    waiting: dict[str, Callable[[], None]] = {}

    def reached(name: str) -> None:
        waiting.pop(name, lambda: None)()

    failpoints.listen(reached)
    yield waiting.__setitem__
    failpoints.listen(None)


@both_databases
@pytest.mark.parametrize("kind", list(OrderKind))
@pytest.mark.parametrize("name", NAMES)
def test_a_worker_that_comes_back_after_its_lease_does_nothing_more(
    money: MoneyWorld, at: Callable[[str, Callable[[], None]], None], name: str, kind: OrderKind
) -> None:
    order = money.paid(money.order() if kind is OrderKind.PURCHASE else money.renewal(money.esim()))

    def go_on_without_it() -> None:
        money.clock.advance(minutes=2)
        with money.app.app_context():
            sweep_once(money.shop)

    at(name, go_on_without_it)
    money.work()
    # Whatever it has left behind, or undone.
    money.keep_working(order)
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert (money.supplier_orders(order), len(money.packages(order))) == (1, 1)
    money.check(order)
