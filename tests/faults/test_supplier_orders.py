"""Supplier cases 1 to 9, 23 and 24: an order or top-up is asked for, and whatever comes back instead of an answer."""

from __future__ import annotations

from functools import partial

import pytest

from models import FulfilmentStatus, Order, OrderKind, OrderStatus, SupplierAttemptStatus
from services.catalogue_sync import sync_catalogue
from services.fulfilment_ends import SURE_AFTER
from services.suppliers import PriceChanged, Refused
from services.suppliers.esim_access import ERRORS
from tests import both_databases
from tests.faults import trade
from tests.faults.running_shop import RunningShop
from tests.faults.trade import KINDS, ORDER, QUERY, TOPUP
from tests.money_world import varied

# One code for each meaning that a code can have, and one that nobody knows.
CODES = {meaning.__name__: code for code, meaning in ERRORS.items()} | {"unknown": "900001"}
LOST = ("timeout_after_commit", "500_after_commit", "bad_json_after_commit")


def path_of(kind: OrderKind) -> str:
    """Return where an order of this kind is asked for."""
    return ORDER if kind is OrderKind.PURCHASE else TOPUP


def fail(running: RunningShop, kind: OrderKind, fault: str, count: int | None = 1) -> trade.Basket:
    """Return an order at its payment page whose first requests to the supplier are going to fail."""
    basket = trade.fill_basket(running, kind)
    running.supplier.fault(path_of(kind), fault, count=count)
    return basket


def asked(running: RunningShop, kind: OrderKind) -> int:
    """Return how often the supplier was asked for something of this kind since the fault."""
    # A renewal's eSIM was ordered before, on another path.
    return running.money.requests(path_of(kind))


@both_databases
def test_supplier_01_an_order_does_not_reach_the_supplier(running_shop: RunningShop) -> None:
    """An order that is lost on its way is sent again under the same reference until it arrives, and bought once."""
    order = trade.pay(running_shop, fail(running_shop, OrderKind.PURCHASE, "timeout_before", count=2))
    trade.deliver(running_shop, order)
    assert asked(running_shop, OrderKind.PURCHASE) == 3
    assert trade.references(running_shop, ORDER) == {f"{order.public_id}-1"}


@both_databases
@pytest.mark.parametrize("duplicate", ["replay", "310402"])
def test_supplier_02_the_answer_to_an_order_is_lost(running_shop: RunningShop, duplicate: str) -> None:
    """An order that the supplier carried out without saying so is found again, however it treats a repetition."""
    running_shop.supplier.set_variants(duplicate_order=duplicate)
    order = trade.pay(running_shop, fail(running_shop, OrderKind.PURCHASE, "timeout_after_commit", count=2))
    trade.deliver(running_shop, order)
    assert asked(running_shop, OrderKind.PURCHASE) == 3
    assert len(running_shop.supplier.esims()) == 1


@both_databases
@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after_commit"])
def test_supplier_03_a_topup_or_its_answer_is_lost(running_shop: RunningShop, fault: str) -> None:
    """A supplier that does not recognise a repeated top-up is asked again only when the totals show no trace of it."""
    assert not running_shop.supplier.variants.topup_idempotent
    basket = fail(running_shop, OrderKind.RENEWAL, fault)
    order = trade.pay(running_shop, basket)
    running_shop.calm()
    if fault == "timeout_before":
        trade.pass_time(running_shop, seconds=50)
        assert asked(running_shop, OrderKind.RENEWAL) == 1
    trade.deliver(running_shop, order)
    assert asked(running_shop, OrderKind.RENEWAL) == (2 if fault == "timeout_before" else 1)
    assert running_shop.money.at_supplier(running_shop.money.esim_of(order)).total_days == 14


@pytest.mark.parametrize("kind", KINDS)
@varied("meaning", list(CODES))
def test_supplier_04_an_error_comes_with_http_200(running_shop: RunningShop, kind: OrderKind, meaning: str) -> None:
    """What an error means decides: try again, give the money back, or ask a person; nothing is bought twice."""
    basket = fail(running_shop, kind, f"error:{CODES[meaning]}")
    order = trade.pay(running_shop, basket)
    known = ERRORS.get(CODES[meaning], Exception)
    if issubclass(known, Refused):
        trade.refund(running_shop, order, cause="refused")
    elif issubclass(known, PriceChanged):
        trade.hold(running_shop, order, "price_changed")
        assert running_shop.money.supplier_orders(order) == 0
    else:
        trade.deliver(running_shop, order)
        assert asked(running_shop, kind) == 2


@pytest.mark.parametrize("kind", KINDS)
@varied("fault", ["500_after_commit", "500"])
def test_supplier_05_the_supplier_answers_with_a_server_error(
    running_shop: RunningShop, kind: OrderKind, fault: str
) -> None:
    """A server error says nothing of whether it was carried out: it is looked up, and bought once."""
    order = trade.pay(running_shop, fail(running_shop, kind, fault))
    trade.deliver(running_shop, order)
    check_requests(running_shop, kind, fault)


@pytest.mark.parametrize("kind", KINDS)
@varied("fault", ["bad_json_after_commit", "bad_json"])
def test_supplier_06_the_supplier_answers_with_broken_json(
    running_shop: RunningShop, kind: OrderKind, fault: str
) -> None:
    """An answer that cannot be read says as little as none: it is looked up, and bought once."""
    order = trade.pay(running_shop, fail(running_shop, kind, fault))
    trade.deliver(running_shop, order)
    check_requests(running_shop, kind, fault)


@pytest.mark.parametrize("kind", KINDS)
@varied("fault", ["500", "bad_json", "timeout_before"])
def test_supplier_06_a_question_gets_no_useful_answer(running_shop: RunningShop, kind: OrderKind, fault: str) -> None:
    """What only asks is asked again, as often as it takes; nothing is ordered twice because of it."""
    basket = trade.fill_basket(running_shop, kind)
    running_shop.supplier.fault(QUERY, fault, count=4)
    order = trade.pay(running_shop, basket)
    trade.deliver(running_shop, order)
    assert asked(running_shop, kind) == 1
    assert running_shop.supplier.counters()["faults"] == {fault: 4}


def check_requests(running: RunningShop, kind: OrderKind, fault: str) -> None:
    """Check how often the supplier was asked: a top-up that shows in the totals is never asked for again."""
    assert asked(running, kind) == (1 if fault in LOST and kind is OrderKind.RENEWAL else 2)


@both_databases
def test_supplier_07_our_balance_is_dry(running_shop: RunningShop) -> None:
    """Paid orders wait for money on our account and go on by themselves; without any, all is refunded after a day."""
    renewal = trade.fill_basket(running_shop, OrderKind.RENEWAL)
    running_shop.supplier.set_balance(0)
    orders = [trade.pay(running_shop, renewal), trade.buy(running_shop)]
    trade.pass_time(running_shop, minutes=70)
    for order in orders:
        assert running_shop.money.fulfilment(order).status is FulfilmentStatus.WAITING
        trade.check_mails(running_shop, order, "receipt", "order-delayed")
    running_shop.supplier.set_balance(50_000_000)
    trade.deliver(running_shop, *orders)
    running_shop.supplier.set_balance(0)
    unlucky = trade.buy(running_shop)
    trade.pass_time(running_shop, hours=23)
    assert running_shop.row(unlucky).status is OrderStatus.PAID
    trade.pass_time(running_shop, hours=2)
    trade.refund(running_shop, unlucky, cause="late")
    trade.check_mails(running_shop, unlucky, "receipt", "order-delayed", "refund-")


@both_databases
def test_supplier_08_the_supplier_has_no_esim_left(running_shop: RunningShop) -> None:
    """An order for which there is no eSIM is refunded at once, and its buyer told once."""
    running_shop.supplier.set_stock(trade.PLAN_CODE, 0)
    basket = trade.fill_basket(running_shop)
    order = trade.pay(running_shop, basket)
    trade.refund(running_shop, order, cause="refused")
    trade.check_mails(running_shop, order, "receipt", "refund-")
    assert asked(running_shop, OrderKind.PURCHASE) == 1
    assert "We have returned €" in trade.order_page(running_shop, basket).text


@both_databases
def test_supplier_09_the_supplier_asks_another_price(running_shop: RunningShop) -> None:
    """Nothing is bought at another price: a person decides, and if none does, the money goes back after a day."""
    sync_catalogue(running_shop.shop)
    running_shop.supplier.set_price(trade.PLAN_CODE, 12_345_600)
    order = trade.buy(running_shop)
    trade.hold(running_shop, order, "price_changed")
    trade.pass_time(running_shop, hours=20)
    assert running_shop.row(order).status is OrderStatus.PAID
    trade.pass_a_day(running_shop)
    trade.refund(running_shop, order, cause="late")
    assert asked(running_shop, OrderKind.PURCHASE) == 1


@both_databases
def test_supplier_23_a_refusal_follows_an_unknown_outcome(running_shop: RunningShop) -> None:
    """A no after a silence is not believed for an hour; whatever the silence hid is found and delivered."""
    carried_out = fail(running_shop, OrderKind.PURCHASE, "timeout_after_commit")
    running_shop.supplier.fault(ORDER, "error:200011", count=None)
    trade.deliver(running_shop, trade.pay(running_shop, carried_out))
    running_shop.supplier.faults.clear()
    lost = trade.pay(running_shop, fail(running_shop, OrderKind.PURCHASE, "timeout_before"))
    running_shop.supplier.fault(ORDER, "error:200011", count=None)
    running_shop.wait_until(lambda: unknown(running_shop, lost), "the first request is lost")
    trade.pass_time(running_shop, minutes=50)
    assert running_shop.money.refunds(lost) == []
    assert running_shop.money.fulfilment(lost).status is FulfilmentStatus.WAITING
    running_shop.advance(seconds=SURE_AFTER.total_seconds())
    trade.refund(running_shop, lost, cause="refused")


def unknown(running: RunningShop, order: Order) -> bool:
    """Return whether nobody knows what became of the request for an order."""
    return [each.status for each in running.money.supplier_attempts(order)] == [SupplierAttemptStatus.UNKNOWN]


@both_databases
def test_supplier_24_many_orders_at_once_are_too_many_requests(running_shop: RunningShop) -> None:
    """A crowd that the supplier's limit turns away is served a little later, each once, and nobody is refunded."""
    baskets = [trade.fill_basket(running_shop) for _buyer in range(8)]
    # However fast this machine is, the limit is met.
    running_shop.supplier.fault("*", "429", count=20)
    running_shop.supplier.set_variants(rate_limit=8)
    running_shop.at_once(*(partial(each.buyer.pay, each.session_id) for each in baskets))
    orders = [running_shop.row(basket.order) for basket in baskets]
    trade.deliver(running_shop, *orders)
    assert running_shop.supplier.counters()["faults"]["429"] == 20
    assert len(running_shop.supplier.esims()) == len(orders)
