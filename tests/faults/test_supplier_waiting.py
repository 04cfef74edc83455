"""Supplier cases 10, 11, 22 and 25: the supplier takes its time, or never comes to an end."""

from __future__ import annotations

import pytest

from models import FindingKind, FulfilmentStatus, OrderKind, OrderStatus, db
from services.findings import open_findings
from services.stuck import StuckKind, list_stuck
from tests import both_databases
from tests.faults import trade
from tests.faults.running_shop import RunningShop
from tests.faults.trade import ORDER, TOPUP
from tests.money_world import varied


@both_databases
def test_supplier_10_an_esim_is_allocated_after_minutes(running_shop: RunningShop) -> None:
    """The page says that the supplier is slow, and the eSIM is handed over as soon as it is there."""
    running_shop.supplier.set_allocation(seconds=None)
    basket = trade.fill_basket(running_shop)
    order = trade.pay(running_shop, basket)
    trade.go_on(running_shop, lambda: running_shop.money.fulfilment(order).reason == "supplier_waiting", "it is slow")
    assert running_shop.money.fulfilment(order).status is FulfilmentStatus.ORDERED
    assert "The supplier is slow to answer." in trade.order_page(running_shop, basket).text
    trade.pass_time(running_shop, minutes=4)
    running_shop.supplier.allocate()
    trade.deliver(running_shop, order)
    assert running_shop.money.requests(ORDER) == 1
    assert "Install on iPhone" in trade.order_page(running_shop, basket).text


@both_databases
def test_supplier_11_an_esim_is_never_allocated(running_shop: RunningShop) -> None:
    """The buyer is told after an hour and refunded after a day; what comes after that goes back to the supplier."""
    balance = running_shop.supplier.balance
    running_shop.supplier.set_allocation(seconds=None)
    basket = trade.fill_basket(running_shop)
    order = trade.pay(running_shop, basket)
    trade.pass_time(running_shop, minutes=70)
    trade.check_mails(running_shop, order, "receipt", "order-delayed")
    assert stuck(running_shop) == [(StuckKind.LATE, "not_allocated", order.public_id)]
    assert "a person is looking at it" in trade.order_page(running_shop, basket).text
    trade.pass_time(running_shop, hours=22)
    assert running_shop.row(order).status is OrderStatus.PAID
    trade.pass_time(running_shop, hours=2)
    trade.refund(running_shop, order, cause="late", sold=1)
    running_shop.supplier.allocate()
    running_shop.calm()
    running_shop.reconcile()
    (late,) = running_shop.supplier.esims()
    assert (late.esim_status, running_shop.supplier.balance) == ("CANCEL", balance)
    assert stuck(running_shop) == []
    trade.check_refunded(running_shop, order, cause="late", sold=1)
    assert "Install on iPhone" not in trade.order_page(running_shop, basket).text


@both_databases
def test_supplier_11_an_esim_that_came_too_late_was_installed(running_shop: RunningShop) -> None:
    """What the supplier does not take back any more is for a person, once."""
    running_shop.supplier.set_allocation(seconds=None)
    order = trade.buy(running_shop)
    trade.pass_time(running_shop, hours=25)
    trade.refund(running_shop, order, cause="late", sold=1)
    running_shop.supplier.allocate()
    running_shop.supplier.install(running_shop.supplier.esims()[0].esim_tran_no)
    for _run in range(2):
        running_shop.reconcile()
        running_shop.money.fresh()
        (finding,) = open_findings(db.session())
        assert (finding.kind, finding.order_id) == (FindingKind.ESIM_REFUNDED, order.id)


@both_databases
@pytest.mark.parametrize("late", [False, True], ids=["never", "late"])
def test_supplier_22_a_renewal_is_accepted_and_the_figures_do_not_grow(running_shop: RunningShop, late: bool) -> None:
    """It is not called done: page and staff say so after the usual delay, and a day later the money goes back.

    Unless the figures grow meanwhile: then it is done, and nothing goes back.
    """
    basket = trade.fill_basket(running_shop, OrderKind.RENEWAL)
    # The supplier says that it has carried this reference out before, and shows nothing of it.
    running_shop.supplier.fault(TOPUP, "error:310402")
    order = trade.pay(running_shop, basket)
    trade.pass_time(running_shop, hours=2)
    assert running_shop.money.fulfilment(order).status is FulfilmentStatus.APPLIED
    assert (running_shop.money.fulfilment(order).late_at, stuck(running_shop)) == (None, [])
    trade.pass_time(running_shop, hours=2)
    assert stuck(running_shop) == [(StuckKind.LATE, "not_verified", order.public_id)]
    assert "its figures for your eSIM have not grown yet" in trade.order_page(running_shop, basket).text
    trade.check_mails(running_shop, order, "receipt", "order-delayed")
    if late:
        esim = running_shop.money.esim_of(order)
        running_shop.supplier.orders.top_up(f"{order.public_id}-1", esim.supplier_esim_id, "TOPUP_SIM-MC-1-7", None)
        trade.deliver(running_shop, order)
        trade.pass_a_day(running_shop)
        trade.check_delivered(running_shop, order)
    else:
        trade.pass_time(running_shop, hours=19)
        assert running_shop.row(order).status is OrderStatus.PAID
        trade.pass_time(running_shop, hours=2)
        trade.refund(running_shop, order, cause="late")
        assert "We have returned €" in trade.order_page(running_shop, basket).text
    assert (running_shop.money.requests(TOPUP), stuck(running_shop)) == (1, [])


@both_databases
def test_supplier_22_the_figures_grow_after_the_money_went_back(running_shop: RunningShop) -> None:
    """What the supplier adds after all is nobody's: a person is told, and the buyer hears nothing of it."""
    basket = trade.fill_basket(running_shop, OrderKind.RENEWAL)
    running_shop.supplier.fault(TOPUP, "error:310402")
    order = trade.pay(running_shop, basket)
    running_shop.calm()
    trade.pass_time(running_shop, hours=25)
    trade.refund(running_shop, order, cause="late")
    esim = running_shop.money.esim_of(order)
    running_shop.supplier.orders.top_up(f"{order.public_id}-1", esim.supplier_esim_id, "TOPUP_SIM-MC-1-7", None)
    for _run in range(2):
        running_shop.reconcile()
        assert [(kind, code) for kind, code, _order in stuck(running_shop)] == [(StuckKind.FINDING, "topup_unknown")]
    trade.check_refunded(running_shop, order, cause="late", sold=1)


@varied("fault", ["timeout_before", "500", "429", "bad_json"])
def test_supplier_25_the_supplier_is_down_for_hours(running_shop: RunningShop, fault: str) -> None:
    """Whatever was paid meanwhile is delivered once when it is back, and every buyer was told once that it is late."""
    esim = trade.own_esim(running_shop)
    renewals = [trade.fill_basket(running_shop, OrderKind.RENEWAL, esim) for _twice in range(2)]
    purchases = [trade.fill_basket(running_shop) for _buyer in range(3)]
    running_shop.supplier.fault("*", fault, count=None)
    orders = [trade.pay(running_shop, basket) for basket in (*renewals, *purchases)]
    for _hour in range(4):
        trade.pass_time(running_shop, hours=1.5)
        running_shop.reconcile()
    for order in orders:
        assert running_shop.money.fulfilment(order).status is FulfilmentStatus.WAITING
        trade.check_mails(running_shop, order, "receipt", "order-delayed")
    assert len(stuck(running_shop)) == len(orders)
    running_shop.supplier.faults.clear()
    trade.deliver(running_shop, *orders)
    assert running_shop.money.at_supplier(esim).total_days == 3 * 7
    assert len(running_shop.supplier.esims()) == 4
    assert stuck(running_shop) == []


@both_databases
def test_supplier_25_one_silent_order_does_not_stop_another(running_shop: RunningShop) -> None:
    """Nobody waits for the supplier to answer about somebody else."""
    running_shop.supplier.fault(ORDER, "timeout_before", seconds=1.5)
    first, second = trade.fill_basket(running_shop), trade.fill_basket(running_shop)
    waiting = trade.pay(running_shop, first)
    running_shop.wait_until(lambda: running_shop.supplier.faults.listed() == [], "the supplier is asked")
    running_shop.advance(seconds=1)
    order = trade.pay(running_shop, second)
    running_shop.wait_until_delivered(order)
    trade.check_delivered(running_shop, order)
    trade.deliver(running_shop, waiting)


def stuck(running: RunningShop) -> list[tuple[StuckKind, str, str | None]]:
    """Return what waits for a person: of which kind, why, about which order."""
    running.money.fresh()
    items = list_stuck(db.session(), running.clock.now())
    return [(item.kind, item.code, item.order_public_id) for item in items]
