"""Orders that nobody pays, and orders that a person puts back to work."""

from __future__ import annotations

import pytest

from models import AttemptStatus, FulfilmentStatus, OrderStatus
from services.catalogue_sync import sync_catalogue
from services.payments.abandoned import cancel_abandoned
from tests import both_databases
from tests.money_world import MoneyWorld

pytestmark = both_databases


@pytest.fixture
def shelf_price_changed(money: MoneyWorld) -> None:
    """Let the supplier ask more than the shop knows."""
    sync_catalogue(money.shop)
    money.supplier.set_price("SIM-MC-1-7", price=999_999)


def test_an_unpaid_order_is_closed_at_stripe_before_it_is_cancelled(money: MoneyWorld) -> None:
    """After a day nobody can pay on the old page any more, and the order says that nothing was charged."""
    order = money.order()
    money.open(order)
    session_id = money.live_attempt(order).session_id
    assert session_id is not None
    assert cancel_abandoned(money.shop) == 0
    money.clock.advance(hours=25)
    assert cancel_abandoned(money.shop) == 1
    money.fresh()
    assert money.stripe.objects("cs")[0]["status"] == "expired"
    assert [attempt.status for attempt in money.attempts(order)] == [AttemptStatus.SUPERSEDED]
    cancelled = money.row(type(order), order.id)
    assert (cancelled.status, cancelled.cancelled_at) == (OrderStatus.CANCELLED, money.clock.now())
    assert cancel_abandoned(money.shop) == 0
    money.check(order, charges=0)


def test_an_order_that_was_paid_at_the_last_moment_is_settled_instead(money: MoneyWorld) -> None:
    """Closing a session that somebody has paid on finds the payment."""
    order = money.order()
    money.open(order)
    session_id = money.live_attempt(order).session_id
    assert session_id is not None
    money.stripe.pay(session_id)
    money.clock.advance(hours=25)
    assert cancel_abandoned(money.shop) == 0
    money.fresh()
    assert money.row(type(order), order.id).status is OrderStatus.PAID


def test_an_order_stays_while_stripe_does_not_answer(money: MoneyWorld) -> None:
    """Cancelling without knowing would leave a page on which one can pay for nothing."""
    order = money.order()
    money.open(order)
    money.clock.advance(hours=25)
    money.stripe.fault("503", count=20)
    assert cancel_abandoned(money.shop) == 0
    money.fresh()
    assert money.row(type(order), order.id).status is OrderStatus.PENDING


@pytest.mark.usefixtures("shelf_price_changed")
def test_a_held_order_keeps_its_reason_and_goes_on_when_a_person_says_so(money: MoneyWorld) -> None:
    """What staff is told to look for is still there, and one command puts the order back to work."""
    order = money.paid(money.order())
    money.work()
    held = money.fulfilment(order)
    assert (held.status, held.reason) == (FulfilmentStatus.HELD, "price_changed")
    assert money.mails(order, "order-delayed") == 1
    money.supplier.set_price("SIM-MC-1-7", price=None)
    assert money.retry(order)
    assert not money.retry(order)
    money.keep_working(order)
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    money.check(order)
