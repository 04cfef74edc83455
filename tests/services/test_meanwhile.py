"""What somebody else does while a worker is in the middle of a step: nothing is done twice, and all come to one end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from jobs import sweep_once
from models import FulfilmentStatus, OrderKind
from services import failpoints
from services.audit import Actor
from services.reconcile import reconcile
from services.staff_refunds import refund_by_staff
from tests import both_databases
from tests.money_world import MoneyWorld, varied

# Where no transaction is open, from the claim to the last step.
NAMES = ("fulfil.claimed", "fulfil.intended", "fulfil.answered", "fulfil.collected", "fulfil.read")

At = Callable[[str, Callable[[], None]], None]


@pytest.fixture
def at() -> Iterator[At]:
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
    money: MoneyWorld, at: At, name: str, kind: OrderKind
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


@varied("answer", ["", "error:200007"])
def test_what_becomes_known_after_a_refund_ends_the_order(money: MoneyWorld, at: At, answer: str) -> None:
    """Staff sends the money back while the order is on its way to the supplier, who then carries it out, or not."""
    if answer:
        money.supplier.fault("/esim/order", answer)
    order = money.paid(money.order())
    (payment,) = money.payments(order)

    def refund() -> None:
        with money.app.app_context():
            staff = money.factories.make_staff(password_hash=None)
            refund_by_staff(
                money.shop, order.public_id, payment.amount_minor, form_key="key", note="", by=Actor.of(staff)
            )

    at("fulfil.intended", refund)
    money.work()
    assert (money.fulfilment(order).status, money.fulfilment(order).reason) == (FulfilmentStatus.REFUSED, "refunded")
    money.clock.advance(minutes=15)
    reconcile(money.shop)
    # Nobody was shown the eSIM that came nevertheless.
    assert [esim.esim_status for esim in money.supplier.esims()] == ([] if answer else ["CANCEL"])
    money.check(order)
