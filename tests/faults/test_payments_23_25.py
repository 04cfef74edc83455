"""Payments, cases 23 to 25: authentication and saved cards, money that goes back or is disputed, and amounts."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from models import (
    Dispute,
    Finding,
    FindingKind,
    FulfilmentStatus,
    Order,
    OrderKind,
    OrderStatus,
    Payment,
    PlanPrice,
    Refund,
    RefundStatus,
)
from services.money import CURRENCIES, exponent
from services.payments.disputes import PaymentDisputed
from services.payments.refunds import RefundTooLarge
from services.staff_refunds import refund_by_staff
from tests import both_databases
from tests.faults.buyer import Buyer
from tests.faults.running_shop import RunningShop
from tests.money_world import BY_THE_DAY, PRICE
from tests.staff_world import acting

pytestmark = both_databases

ASKS_EVERY_TIME = "4000002760003184"
DAYS = 3
# Of ours at the supplier, in ten-thousandths of a US dollar.
BALANCE = 10_000_000


# Case 23. The shop stores no card and charges nobody who is not there: all that can be tested is that this is so.


def test_case_23_nobody_is_charged_who_is_not_there(running_shop: RunningShop) -> None:
    """A card that asks for 3-D Secure each time buys and renews with the buyer there; no card is kept, none is charged
    off-session, and a month of the worker's periodic work asks for no money.

    There is no automatic renewal, so there is no `authentication_required` to mail about, no detached card and no
    deleted customer.
    """
    shop = running_shop
    buyer = shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id, ASKS_EVERY_TIME)
    order = shop.order_of(buyer)
    shop.wait_until_delivered(order)
    esim = shop.money.esim_of(order)
    buyer.claim_account()
    renewing = buyer.session_of(buyer.send(buyer.fill_in_renewal(esim.public_id)))
    assert buyer.pay(renewing, ASKS_EVERY_TIME, outcome=None).status == "open"
    assert buyer.pay(renewing, ASKS_EVERY_TIME).payment_status == "paid"
    shop.wait_until_delivered(*shop.orders_of(buyer))
    for _week in range(4):
        shop.advance(days=7)
        for task in ("sweep", "reconcile", "sync_usage", "cancel_abandoned"):
            shop.ring(task)
    paths = {(each["method"], each["path"].split("/")[2]) for each in shop.stripe.requests() if each["method"] != "GET"}
    assert paths == {("POST", "checkout")}
    for kind in ("seti", "cus"):
        assert shop.stripe.objects(kind) == []
    assert {intent["setup_future_usage"] for intent in shop.stripe.objects("pi")} == {None}
    assert shop.stripe.summary()["charges"] == {"succeeded": 2}


def test_case_23_the_way_to_pay_races_with_the_jobs(running_shop: RunningShop) -> None:
    """The button that leads to paying a renewal is pressed in four tabs while reconcile and sweep run: one charge."""
    shop = running_shop
    buyer, esim = shop.owner()
    session_id = buyer.session_of(buyer.send(buyer.fill_in_renewal(esim.public_id)))
    order = shop.orders_of(buyer)[-1]
    assert order.kind is OrderKind.RENEWAL
    shop.advance(minutes=70)
    buyer.get(f"/en/orders/{order.public_id}")
    assert buyer.page is not None
    button = buyer.page.button
    rung = [shop.ring(task, wait=False) for task in ("reconcile", "sweep", "reconcile")]
    pages = shop.at_once(*[partial(buyer.submit, button, None, None)] * 4)
    for task in rung:
        shop.wait_for_task(task)
    assert {page.status for page in pages} <= {303, 503}
    buyer.get(f"/en/orders/{order.public_id}")
    again = buyer.session_of(buyer.submit(button))
    assert again != session_id
    assert shop.stripe.summary()["sessions"] == {"complete": 1, "expired": 1, "open": 1}
    buyer.pay(again)
    shop.wait_until_delivered(order)
    assert shop.supplier.counters()["topups_executed"] == 1


# Case 24.


def refund(shop: RunningShop, order: Order, amount_minor: int, form_key: str = "form") -> Refund:
    """Give money back as staff does."""
    staff_id = shop.factories.make_staff().id
    call = partial(refund_by_staff, shop.shop, order.public_id, amount_minor)
    return call(form_key=form_key, note="asked for by mail", by=acting(staff_id))


def bought(shop: RunningShop) -> tuple[Buyer, Order, str]:
    """Return a buyer, the delivered order, and its charge at Stripe."""
    buyer = shop.buyer()
    buyer.buy()
    order = shop.order_of(buyer)
    shop.wait_until_delivered(order)
    (charge,) = shop.stripe.charges_for(order.public_id)
    return buyer, order, charge["id"]


def waiting_for_the_supplier(shop: RunningShop) -> tuple[Buyer, Order, str]:
    """Return a buyer, the paid order that the supplier does not take as long as it has no money, and its charge."""
    shop.supplier.set_balance(0)
    buyer = shop.buyer()
    buyer.buy()
    order = shop.order_of(buyer)
    shop.wait_until(lambda: [each for each in shop.supplier.log() if each.path == "/esim/order"], "it is ordered")
    shop.wait_until(shop.mails_have_left, "the receipt leaves")
    (charge,) = shop.stripe.charges_for(order.public_id)
    return buyer, order, charge["id"]


def wait_for_refund(shop: RunningShop, order: Order, status: OrderStatus) -> None:
    """Wait until an order has a status that a refund brings about, and its buyer knows."""
    shop.wait_until(lambda: shop.row(order).status is status and shop.mails_have_left(), f"it is {status.value}")


def test_case_24_more_goes_back_than_is_left(running_shop: RunningShop) -> None:
    """A refund of more than is left, after parts went back here and in Stripe's Dashboard: refused, nothing sent."""
    shop = running_shop
    buyer, order, charge = bought(shop)
    with pytest.raises(RefundTooLarge):
        refund(shop, order, PRICE + 1)
    refund(shop, order, 400)
    wait_for_refund(shop, order, OrderStatus.PART_REFUNDED)
    shop.stripe.refund(charge, 500)
    shop.wait_until(
        lambda: shop.money.mails(order, "refund-") == 2 and shop.mails_have_left(), "the Dashboard's is seen"
    )
    with pytest.raises(RefundTooLarge):
        refund(shop, order, PRICE - 900 + 1, "too much")
    refund(shop, order, PRICE - 900, "the rest")
    wait_for_refund(shop, order, OrderStatus.REFUNDED)
    assert sorted(each["amount"] for each in shop.stripe.objects("re")) == [400, 500, PRICE - 900]
    assert sorted(each.amount_minor for each in shop.money.refunds(order)) == [400, 500, PRICE - 900]
    assert len(shop.inbox.summaries(to=buyer.email)) == 5


def test_case_24_a_refund_fails_later(running_shop: RunningShop) -> None:
    """The bank returns a refund weeks after it had succeeded: the order is paid again, and a person is told."""
    shop = running_shop
    _buyer, order, _charge = bought(shop)
    refund(shop, order, PRICE)
    wait_for_refund(shop, order, OrderStatus.REFUNDED)
    shop.advance(days=20)
    (at_stripe,) = shop.stripe.objects("re")
    shop.stripe.settle_refund(at_stripe["id"], "failed")
    wait_for_refund(shop, order, OrderStatus.PAID)
    (row,) = shop.money.refunds(order)
    assert row.status is RefundStatus.FAILED
    (finding,) = shop.rows(select(Finding))
    assert (finding.kind, finding.order_id) == (FindingKind.REFUND_FAILED, order.id)
    # Sent once more, the money is back, and nothing waits for a person any longer.
    refund(shop, order, PRICE, "again")
    wait_for_refund(shop, order, OrderStatus.REFUNDED)
    shop.wait_until(lambda: shop.rows(select(Finding))[0].settled_at is not None, "the finding is settled")


@pytest.mark.parametrize("told", [True, False], ids=["by an event", "by reconcile"])
def test_case_24_a_refund_is_made_in_the_dashboard(running_shop: RunningShop, told: bool) -> None:
    """Stripe's Dashboard sends all of it back before the delivery: our books say so, and nothing is delivered."""
    shop = running_shop
    _buyer, order, charge = waiting_for_the_supplier(shop)
    if not told:
        shop.stripe.webhook_url = ""
    shop.stripe.refund(charge)
    if not told:
        shop.reconcile()
    wait_for_refund(shop, order, OrderStatus.REFUNDED)
    shop.supplier.set_balance(BALANCE)
    shop.advance(hours=2)
    shop.sweep()
    assert shop.supplier.counters()["orders_executed"] == 0
    assert shop.money.fulfilment(order).status is FulfilmentStatus.REFUSED
    (row,) = shop.money.refunds(order)
    assert (row.status, row.amount_minor, row.source) == (RefundStatus.SUCCEEDED, PRICE, "stripe")


def test_case_24_the_dashboard_is_faster_than_our_own_refund(running_shop: RunningShop) -> None:
    """All of it goes back in the Dashboard while our own refund is on its way: once, and nothing waits for a person."""
    shop = running_shop
    _buyer, order, charge = bought(shop)
    shop.stripe.fault("slow", method="POST", path="/v1/refunds", seconds=1)
    refund(shop, order, PRICE)
    shop.wait_until(lambda: not shop.stripe.faults.waiting()["faults"], "our refund is sent")
    shop.stripe.refund(charge)
    wait_for_refund(shop, order, OrderStatus.REFUNDED)
    shop.wait_until(lambda: len(shop.stripe.requests("POST", "/v1/refunds")) == 1, "Stripe refuses ours")
    shop.calm()
    statuses = {row.source: row.status for row in shop.money.refunds(order)}
    assert statuses == {"staff": RefundStatus.CANCELED, "stripe": RefundStatus.SUCCEEDED}
    assert [row for row in shop.rows(select(Finding)) if row.settled_at is None] == []
    assert shop.money.mails(order, "refund-") == 1


def test_case_24_staff_and_the_rule_refund_at_once(running_shop: RunningShop) -> None:
    """Staff gives all of it back at the moment at which the supplier refuses: it goes back once."""
    shop = running_shop
    _buyer, order, _charge = waiting_for_the_supplier(shop)
    shop.supplier.set_stock("SIM-MC-1-7", 0)
    shop.supplier.set_balance(BALANCE)
    staff_id = shop.factories.make_staff().id
    shop.advance(hours=1)
    rung = shop.ring("sweep", wait=False)
    # Refused when the rule was faster.
    with suppress(RefundTooLarge):
        refund_by_staff(shop.shop, order.public_id, PRICE, form_key="form", note="", by=acting(staff_id))
    shop.wait_for_task(rung)
    wait_for_refund(shop, order, OrderStatus.REFUNDED)
    assert shop.money.fulfilment(order).status is FulfilmentStatus.REFUSED
    assert [refund["amount"] for refund in shop.stripe.objects("re")] == [PRICE]
    assert shop.money.mails(order, "refund-") == 1


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_case_24_a_dispute_is_opened_before_the_delivery(running_shop: RunningShop, outcome: Any) -> None:
    """While the bank decides nothing is delivered and nothing refunded; won, it is delivered; lost, it is not."""
    shop = running_shop
    buyer, order, charge = waiting_for_the_supplier(shop)
    dispute = shop.stripe.open_dispute(charge)
    shop.wait_until(lambda: shop.money.fulfilment(order).status is FulfilmentStatus.HELD, "it is held")
    assert shop.money.fulfilment(order).reason == "disputed"
    assert "nothing more is delivered until it has decided" in buyer.get(f"/en/orders/{order.public_id}").text
    with pytest.raises(PaymentDisputed):
        refund(shop, order, PRICE)
    shop.supplier.set_balance(BALANCE)
    shop.advance(hours=2)
    shop.sweep()
    assert shop.supplier.counters()["orders_executed"] == 0
    shop.stripe.close_dispute(dispute["id"], outcome)
    shop.wait_until(lambda: shop.rows(select(Dispute))[0].closed_at is not None, "it is decided")
    if outcome == "won":
        shop.advance(minutes=15)
        shop.sweep()
        shop.wait_until_delivered(order)
    else:
        shop.calm()
        assert shop.money.fulfilment(order).status is FulfilmentStatus.REFUSED
        assert shop.supplier.counters()["orders_executed"] == 0
        assert shop.is_paid(order)
    assert shop.rows(select(Refund)) == shop.stripe.objects("re") == []


def test_case_24_a_delivered_order_is_disputed(running_shop: RunningShop) -> None:
    """Disputed after the delivery: what was delivered stays, staff cannot send the money back a second time."""
    shop = running_shop
    _buyer, order, charge = bought(shop)
    dispute = shop.stripe.open_dispute(charge)
    shop.wait_until(lambda: shop.rows(select(Dispute)), "the dispute is on the books")
    with pytest.raises(PaymentDisputed):
        refund(shop, order, PRICE)
    shop.stripe.close_dispute(dispute["id"], "lost")
    shop.wait_until(lambda: shop.rows(select(Dispute))[0].closed_at is not None, "it is decided")
    with pytest.raises(PaymentDisputed):
        refund(shop, order, PRICE)
    assert shop.money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert shop.stripe.requests("POST", "/v1/refunds") == []


# Case 25. KWD and ISK are not for sale; prices are whole minor units, so no percentage is ever rounded.


@pytest.mark.parametrize("currency", CURRENCIES)
def test_case_25_every_currency_that_is_for_sale(running_shop: RunningShop, currency: str) -> None:
    """Three days in each currency, JPY without decimals among them: Stripe takes what the page has shown."""
    shop = running_shop
    buyer = shop.buyer()
    form = buyer.fill_in_checkout(BY_THE_DAY, query=f"?days={DAYS}&currency={currency}")
    session_id = buyer.session_of(buyer.send(form))
    order = shop.order_of(buyer)
    per_day = shop.rows(
        select(PlanPrice.amount_minor).where(PlanPrice.plan_id == order.plan_id, PlanPrice.currency == currency)
    )
    session = shop.stripe.account.find("cs", session_id)
    assert (session["amount_total"], session["currency"]) == (per_day[0] * DAYS, currency.lower())
    assert form.values["amount"] == [str(session["amount_total"])]
    assert exponent(currency) == (0 if currency == "JPY" else 2)
    buyer.pay(session_id)
    shop.wait_until_delivered(order)
    (payment,) = shop.money.payments(order)
    assert (payment.amount_minor, payment.currency) == (per_day[0] * DAYS, currency)


@pytest.mark.parametrize("currency", ["KWD", "ISK", "xyz", ""])
def test_case_25_a_currency_that_is_not_for_sale(running_shop: RunningShop, currency: str) -> None:
    """A currency that the shop does not sell in is not taken from the address: the page falls back to its own."""
    shop = running_shop
    buyer = shop.buyer()
    session_id = buyer.check_out(query=f"?currency={currency}")
    assert shop.stripe.account.find("cs", session_id)["currency"] in {each.lower() for each in CURRENCIES}
    form = buyer.fill_in_checkout(query="?currency=EUR")
    form.values["currency"] = [currency]
    buyer.send(form, None)
    assert {order.currency for order in shop.orders_of(buyer)} <= set(CURRENCIES)


@pytest.mark.parametrize("amount_minor", [1, 49, 100_000_000])
def test_case_25_an_amount_that_stripe_refuses(running_shop: RunningShop, amount_minor: int) -> None:
    """Below Stripe's least and above its largest amount: the buyer hears that nothing was charged; later it works."""
    shop = running_shop
    shop.set_price(amount_minor)
    buyer = shop.buyer()
    form = buyer.fill_in_checkout()
    page = buyer.send(form, 503)
    assert "Stripe did not accept this payment. Nothing was charged, and your order is kept." in page.text
    assert shop.stripe.objects("cs") == []
    shop.set_price(50)
    session_id = buyer.check_out()
    order = shop.order_of(buyer)
    buyer.pay(session_id)
    shop.wait_until_delivered(order)
    assert order.amount_minor == 50


def test_case_25_the_largest_amount(running_shop: RunningShop) -> None:
    """The largest amount that Stripe takes is taken."""
    shop = running_shop
    shop.set_price(99_999_999)
    buyer = shop.buyer()
    buyer.buy()
    shop.wait_until_delivered(shop.order_of(buyer))


def test_case_25_a_free_order(running_shop: RunningShop) -> None:
    """An order that costs nothing: complete without a PaymentIntent, delivered once, and nothing to send back."""
    shop = running_shop
    shop.set_price(0)
    shop.stripe.webhooks.copies = 3
    buyer = shop.buyer()
    session_id = buyer.check_out()
    assert buyer.pay(session_id).payment_status == "no_payment_required"
    buyer.come_back(session_id)
    order = shop.order_of(buyer)
    shop.wait_until_delivered(order)
    shop.reconcile()
    (payment,) = shop.rows(select(Payment))
    assert (payment.reference, payment.amount_minor) == (session_id, 0)
    assert shop.stripe.objects("pi") == shop.stripe.objects("ch") == []


def test_case_25_a_free_order_that_cannot_be_delivered(running_shop: RunningShop) -> None:
    """An order that costs nothing and is refused by the supplier ends without a refund of nothing."""
    shop = running_shop
    shop.set_price(0)
    shop.supplier.set_stock("SIM-MC-1-7", 0)
    buyer = shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id)
    order = shop.order_of(buyer)
    shop.wait_until(lambda: shop.money.fulfilment(order).status is FulfilmentStatus.REFUSED, "the supplier refuses")
    shop.calm()
    shop.reconcile()
    assert shop.rows(select(Refund)) == shop.stripe.requests("POST", "/v1/refunds") == []


# Beside the numbered cases.


@pytest.mark.parametrize("minutes", [-10, 10])
def test_clocks_may_differ_by_ten_minutes(running_shop: RunningShop, minutes: int) -> None:
    """Our clock goes ten minutes before or after Stripe's and the supplier's: a traveller buys as ever."""
    shop = running_shop
    for stand_in in (shop.stripe.account, shop.supplier):
        stand_in.clock.follow(None)
    shop.advance(minutes=minutes)
    buyer = shop.buyer()
    buyer.buy()
    shop.wait_until_delivered(shop.order_of(buyer))
