"""The balance at the supplier: asked rarely, told with its moment, and no page waits for it twice."""

from __future__ import annotations

from datetime import timedelta

from services.supplier_balance import FRESH_FOR, PAUSE, Balance, BalanceWatch
from tests.money_world import MoneyWorld

ASKED = "/balance/query"


def test_it_is_asked_for_at_most_once_in_five_minutes(money: MoneyWorld) -> None:
    """And told as of when it was asked."""
    watch = BalanceWatch()
    money.supplier.set_balance(1_234_500)
    asked_at = money.clock.now()
    assert watch.look(money.shop) == Balance(1_234_500, asked_at)
    money.supplier.set_balance(1)
    money.clock.advance(seconds=FRESH_FOR.total_seconds() - 1)
    assert watch.look(money.shop) == Balance(1_234_500, asked_at)
    money.clock.advance(seconds=1)
    assert watch.look(money.shop) == Balance(1, money.clock.now())
    assert money.requests(ASKED) == 2


def test_a_silent_supplier_is_left_alone_for_a_minute(money: MoneyWorld) -> None:
    """What it last said stays, with the moment that it is of."""
    watch = BalanceWatch()
    money.supplier.fault(ASKED, "500", count=None)
    assert watch.look(money.shop) == Balance(silent=True)
    money.supplier.faults.clear()
    money.supplier.set_balance(70_000)
    assert watch.look(money.shop) == Balance(silent=True)
    money.clock.advance(seconds=PAUSE.total_seconds())
    known = watch.look(money.shop)
    assert known == Balance(70_000, money.clock.now())
    money.clock.advance(seconds=FRESH_FOR.total_seconds())
    money.supplier.fault(ASKED, "500", count=None)
    assert watch.look(money.shop) == Balance(70_000, money.clock.now() - FRESH_FOR, silent=True)


def test_it_is_not_asked_with_a_transaction_open(money: MoneyWorld) -> None:
    """`money` fails a test that does; here a reading one is under way."""
    money.order()
    with money.app.app_context():
        assert BalanceWatch().look(money.shop).amount is not None
    assert timedelta() < PAUSE < FRESH_FOR
