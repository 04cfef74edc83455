"""The running shop itself: a traveller buys and renews, over real HTTP, while nothing goes wrong."""

from __future__ import annotations

import pytest

from models import OrderKind, OrderStatus
from tests import both_databases
from tests.faults import books
from tests.faults.running_shop import RunningShop

pytestmark = both_databases


def test_a_traveller_buys_and_renews(running_shop: RunningShop) -> None:
    """Checkout, payment, delivery, account, renewal: two orders, two charges, one eSIM with twice the data."""
    buyer = running_shop.buyer()
    buyer.buy()
    order = running_shop.order_of(buyer)
    running_shop.wait_until_delivered(order)
    esim = running_shop.money.esim_of(order)
    buyer.claim_account()
    session_id = buyer.session_of(buyer.send(buyer.fill_in_renewal(esim.public_id)))
    buyer.pay(session_id)
    buyer.come_back(session_id)
    bought, renewal = running_shop.orders_of(buyer)
    assert (bought.kind, renewal.kind) == (OrderKind.PURCHASE, OrderKind.RENEWAL)
    running_shop.wait_until_delivered(renewal)
    assert running_shop.money.at_supplier(esim).total_days == 14
    assert running_shop.stripe.summary()["charges"] == {"succeeded": 2}
    assert len(running_shop.inbox.summaries(to=buyer.email)) == 4


@pytest.mark.parametrize("name", ["settle.recorded", "fulfil.answered"])
def test_a_process_that_dies_runs_again_and_the_shop_goes_on(running_shop: RunningShop, name: str) -> None:
    """The lever of all kill tests: it fires once, in the process that gets there: in the web server, in the worker."""
    buyer = running_shop.buyer()
    session_id = buyer.check_out()
    running_shop.arm(name)
    buyer.pay(session_id)
    running_shop.wait_until_tripped()
    order = running_shop.order_of(buyer)
    running_shop.end_leases()
    running_shop.sweep()
    running_shop.wait_until_delivered(order)


def test_what_raises_at_a_failpoint_is_an_error_that_the_books_notice(running_shop: RunningShop) -> None:
    """Nobody has expected it, so a test has to say that it does."""
    running_shop.arm("settle.recorded", raising=True)
    buyer = running_shop.buyer()
    buyer.buy()
    running_shop.wait_until_delivered(running_shop.order_of(buyer))
    with pytest.raises(AssertionError, match="Tripped: settle.recorded"):
        books.look_over(running_shop)


def test_the_clock_of_every_process_can_be_moved(running_shop: RunningShop) -> None:
    """An order that nobody pays within a day is cancelled, at Stripe too."""
    buyer = running_shop.buyer()
    buyer.check_out()
    running_shop.advance(hours=25)
    running_shop.ring("cancel_abandoned")
    order = running_shop.order_of(buyer)
    assert order.status is OrderStatus.CANCELLED
    assert running_shop.stripe.summary()["sessions"] == {"expired": 1}
    assert "cancelled" in buyer.get(f"/en/orders/{order.public_id}").text
