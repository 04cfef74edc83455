"""Payments, cases 13 to 18: steps that break off, payments that take days, and two that happen at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from models import (
    AttemptStatus,
    Fulfilment,
    FulfilmentStatus,
    Order,
    OrderStatus,
    Payment,
    PaymentKind,
    RefundStatus,
)
from tests import both_databases
from tests.faults.buyer import Buyer
from tests.faults.running_shop import RunningShop
from tests.money_world import PRICE

pytestmark = both_databases

SESSIONS = "/v1/checkout/sessions"
STOCK_OF_1GB = "SIM-MC-1-7"


# Case 13. A process that is killed at each of the other steps: test_kill_*.py.


@pytest.mark.parametrize("name", ["settle.asked", "settle.recorded", "webhook.acted"])
def test_case_13_a_step_of_settling_fails(running_shop: RunningShop, name: str) -> None:
    """An exception at each step of settling: nothing is half done, and the event comes again and does it once."""
    shop = running_shop
    shop.may_fail.append("Tripped")
    shop.hold_events()
    buyer = shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id, wait=False)
    order = shop.order_of(buyer)
    event = shop.event("checkout.session.completed", session_id)
    shop.arm(name, raising=True)
    assert shop.stripe.webhooks.send(event).status == 500
    recorded = name == "webhook.acted"
    assert shop.is_paid(order) is recorded
    assert len(shop.rows(select(Payment))) == len(shop.rows(select(Fulfilment))) == int(recorded)
    assert shop.money.mails(order, "receipt") == int(recorded)
    assert shop.stripe.webhooks.send(event).status == 200
    shop.wait_until_delivered(order)


def test_case_13_the_process_is_killed_between_commit_and_mail(running_shop: RunningShop) -> None:
    """Killed as soon as the payment is committed, and again before the receipt leaves: all comes once in the end."""
    shop = running_shop
    shop.hold_events()
    buyer = shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id, wait=False)
    order = shop.order_of(buyer)
    # The first transaction of a webhook notes the event, the second one settles.
    shop.arm("transaction.committed", at=2)
    event = shop.event("checkout.session.completed", session_id)
    assert shop.stripe.webhooks.send(event).status is None
    shop.wait_until_tripped()
    assert shop.is_paid(order)
    # Nobody has knocked for order and receipt: they are found when the minute is over.
    shop.arm("mail.claimed")
    shop.ring("sweep", wait=False)
    shop.wait_until_tripped()
    shop.end_leases()
    shop.sweep()
    shop.stripe.webhooks.release()
    shop.wait_until_delivered(order)
    assert len(shop.inbox.summaries(to=buyer.email)) == 2


def paying_by_debit(shop: RunningShop) -> tuple[Buyer, Order, str]:
    """Return a buyer whose bank takes days to say whether it pays, the order, and the session; Stripe has said so."""
    buyer = shop.buyer()
    session_id = buyer.check_out()
    shop.money.pay_later(session_id)
    order = shop.order_of(buyer)
    assert "Your bank is still confirming the payment." in buyer.come_back(session_id).text
    shop.calm()
    assert shop.money.live_attempt(order).status is AttemptStatus.PROCESSING
    return buyer, order, session_id


def test_case_14_a_bank_confirms_days_later(running_shop: RunningShop) -> None:
    """Complete and unpaid is not shipped, and nobody can pay again; the success that comes days later ships once."""
    shop = running_shop
    buyer, order, session_id = paying_by_debit(shop)
    assert order.status is OrderStatus.PENDING
    assert shop.rows(select(Fulfilment)) == []
    page = buyer.get(f"/en/orders/{order.public_id}")
    assert page.soup.select("main form") == []
    shop.advance(days=2)
    shop.ring("cancel_abandoned")
    shop.reconcile()
    assert shop.row(order).status is OrderStatus.PENDING
    shop.stripe.webhooks.copies = 3
    shop.stripe.settle_async_payment(session_id)
    shop.wait_until_delivered(order)
    assert shop.supplier.counters()["orders_executed"] == 1


def test_case_15_a_bank_refuses_days_later(running_shop: RunningShop) -> None:
    """The payment fails after days: nothing is ordered, the buyer is told once, a new try has a new key and works."""
    shop = running_shop
    buyer, order, session_id = paying_by_debit(shop)
    shop.advance(days=2)
    shop.stripe.webhooks.copies = 3
    shop.stripe.settle_async_payment(session_id, succeeded=False)
    shop.wait_until(
        lambda: shop.money.mails(order, "payment-failed") == 1 and shop.mails_have_left(), "the buyer is told"
    )
    assert shop.supplier.counters()["orders_executed"] == 0
    assert shop.row(order).status is OrderStatus.PENDING
    # The mail leads to the order, and the order to a new payment page.
    (link,) = {word for word in shop.inbox.messages(to=buyer.email)[-1].text.split() if "/orders/" in word}
    page = buyer.get(buyer.get(link, 303).location)
    again = buyer.session_of(buyer.submit(page.button))
    assert again != session_id
    buyer.pay(again)
    shop.wait_until_delivered(order)
    attempts = shop.money.attempts(order)
    assert [attempt.status for attempt in attempts] == [AttemptStatus.FAILED, AttemptStatus.SUCCEEDED]
    assert len({attempt.idempotency_key for attempt in attempts}) == 2


def test_case_16_two_tabs_and_a_double_click(running_shop: RunningShop) -> None:
    """The form of two tabs, each sent twice, all at once: one order, one open session, one charge."""
    shop = running_shop
    buyer = shop.buyer()
    first, second = buyer.fill_in_checkout(), buyer.fill_in_checkout()
    click: list[Callable[[], Any]] = [partial(buyer.send, form, None) for form in (first, first, second, second)]
    pages = shop.at_once(*click)
    order = shop.order_of(buyer)
    # Stripe refuses a key that is in use just now; whoever is told so clicks again.
    assert {page.status for page in pages} <= {303, 503}
    sessions = {buyer.session_of(page) for page in pages if page.status == 303} | {buyer.session_of(buyer.send(first))}
    assert sessions == {shop.money.live_attempt(order).session_id}
    assert [session["status"] for session in shop.stripe.objects("cs")] == ["open"]
    (session_id,) = sessions
    buyer.pay(session_id)
    shop.wait_until_delivered(order)
    assert buyer.send(second).location == f"/en/orders/{order.public_id}"


def test_case_16_four_browsers_and_one_address(running_shop: RunningShop) -> None:
    """Four browsers buy at once with one e-mail address that is new to the shop: four orders of one account."""
    shop = running_shop
    buyers = [shop.buyer() for _number in range(4)]
    forms = [buyer.fill_in_checkout(email="family@example.com") for buyer in buyers]
    pages = shop.at_once(*[partial(buyer.send, form) for buyer, form in zip(buyers, forms, strict=True)])
    sessions = [buyer.session_of(page) for buyer, page in zip(buyers, pages, strict=True)]
    shop.at_once(*[partial(buyers[0].pay, session) for session in sessions])
    orders = shop.rows(select(Order))
    assert (len(orders), len({order.account_id for order in orders})) == (4, 1)
    shop.wait_until_delivered(*orders)


@pytest.mark.parametrize("later", [False, True])
def test_case_16_two_sessions_of_one_order_are_both_paid(running_shop: RunningShop, later: bool) -> None:
    """A session that should be closed is paid as well: one settles, the other goes back once, the order stays paid."""
    shop = running_shop
    buyer = shop.buyer()
    first = buyer.check_out()
    second = buyer.check_out(email=f"other-{buyer.email}")
    assert first != second
    buyer.email = f"other-{buyer.email}"
    order = shop.order_of(buyer)
    # Stripe had said that it was closed. It was not.
    shop.money.alter_session(first, status="open")
    shop.expect(order, charges=2, kept=PRICE)
    if later:
        buyer.pay(first)
        shop.wait_until_delivered(order)
        buyer.pay(second)
    else:
        shop.at_once(partial(buyer.pay, first, wait=False), partial(buyer.pay, second, wait=False))
    shop.wait_until(lambda: len(shop.stripe.objects("re")) == 1, "the surplus goes back")
    shop.reconcile()
    shop.wait_until_delivered(order)
    assert sorted(payment.kind for payment in shop.money.payments(order)) == [PaymentKind.SETTLING, PaymentKind.SURPLUS]
    (refund,) = shop.money.refunds(order)
    assert (refund.status, refund.amount_minor, refund.cause) == (RefundStatus.SUCCEEDED, PRICE, "surplus")
    assert shop.money.mails(order, "refund-") == 1
    assert shop.stripe.summary()["refunds"] == {"succeeded": 1}


def test_case_17_paid_after_it_was_cancelled(running_shop: RunningShop) -> None:
    """An order that is cancelled is paid on a page that Stripe has left open: nothing is shipped, it goes back."""
    shop = running_shop
    buyer = shop.buyer()
    session_id = buyer.check_out()
    order = shop.order_of(buyer)
    shop.advance(hours=25)
    shop.ring("cancel_abandoned")
    assert shop.row(order).status is OrderStatus.CANCELLED
    shop.money.alter_session(session_id, status="open", expires_at=int(shop.clock.now().timestamp()) + 3600)
    assert buyer.pay(session_id).payment_status == "paid"
    shop.wait_until(lambda: shop.money.mails(order, "refund-") == 1 and shop.mails_have_left(), "the buyer is told")
    assert shop.row(order).status is OrderStatus.CANCELLED
    assert [payment.kind for payment in shop.money.payments(order)] == [PaymentKind.SURPLUS]
    assert shop.supplier.counters()["orders_executed"] == 0
    shop.expect(order, charges=1, kept=0)


def test_case_17_two_buyers_and_one_esim(running_shop: RunningShop) -> None:
    """Two buyers pay at once while the supplier has one left: one is delivered, the other has all money back.

    The shop keeps no stock of its own; what runs out is the supplier's.
    """
    shop = running_shop
    shop.supplier.set_stock(STOCK_OF_1GB, 1)
    buyers = [shop.buyer(), shop.buyer()]
    sessions = [buyer.check_out() for buyer in buyers]
    shop.at_once(*[partial(buyer.pay, session) for buyer, session in zip(buyers, sessions, strict=True)])
    orders = [shop.order_of(buyer) for buyer in buyers]
    ended = (OrderStatus.PAID, OrderStatus.REFUNDED)
    shop.wait_until(lambda: sorted(shop.row(order).status for order in orders) == sorted(ended), "one of two goes back")
    shop.wait_until(shop.mails_have_left, "both are told")
    (kept,) = [order for order in orders if shop.is_paid(order)]
    (refunded,) = [order for order in orders if order.id != kept.id]
    shop.wait_until_delivered(kept)
    assert shop.money.fulfilment(refunded).status is FulfilmentStatus.REFUSED
    assert shop.money.mails(refunded, "refund-") == 1
    assert shop.supplier.counters()["orders_executed"] == len(shop.supplier.esims()) == 1


def about_to_expire(shop: RunningShop, count: int) -> list[tuple[Buyer, str]]:
    """Return buyers with an order of a day ago, who have gone back to the payment page just now."""
    buyers = [shop.buyer() for _number in range(count)]
    for buyer in buyers:
        buyer.check_out()
    shop.advance(hours=23, minutes=50)
    waiting = []
    for buyer in buyers:
        page = buyer.get(f"/en/orders/{shop.order_of(buyer).public_id}")
        waiting.append((buyer, buyer.session_of(buyer.submit(page.button))))
    shop.advance(minutes=20)
    return waiting


def test_case_18_the_expiry_job_runs_while_buyers_pay(running_shop: RunningShop) -> None:
    """Orders expire while eight buyers are paying: each is settled or expired, never both, never charged for none."""
    shop = running_shop
    waiting = about_to_expire(shop, 8)
    rung = shop.ring("cancel_abandoned", wait=False)
    paid = shop.at_once(*[partial(buyer.pay, session, wait=False) for buyer, session in waiting])
    shop.wait_for_task(rung)
    shop.ring("cancel_abandoned")
    shop.calm()
    for (buyer, _session), payment in zip(waiting, paid, strict=True):
        order = shop.order_of(buyer)
        if payment.status == "complete":
            shop.wait_until_delivered(order)
        else:
            assert (payment.status, order.status) == ("expired", OrderStatus.CANCELLED)


@pytest.mark.parametrize("first", ["buyer", "shop"])
def test_case_18_one_of_both_is_first_at_stripe(running_shop: RunningShop, first: str) -> None:
    """The shop closes a session at the moment at which its buyer pays: Stripe says who was first, and that holds."""
    shop = running_shop
    ((buyer, session_id),) = about_to_expire(shop, 1)
    order = shop.order_of(buyer)
    shop.hold_events()
    shop.stripe.fault("slow", path=f"{SESSIONS}/*/expire", seconds=1.5, executed=first == "shop")
    rung = shop.ring("cancel_abandoned", wait=False)
    shop.wait_until(lambda: not shop.stripe.faults.waiting()["faults"], "the shop asks Stripe to close it")
    # Stripe has done so, or is going to do so in a second; the buyer does not wait for that.
    shop.wait_until(lambda: first == "buyer" or session_status(shop, session_id) == "expired", "it is closed")
    payment = buyer.pay(session_id, wait=False)
    shop.wait_for_task(rung)
    if first == "buyer":
        assert payment.payment_status == "paid"
        assert shop.is_paid(order)
        shop.wait_until_delivered(order)
    else:
        assert payment.status == "expired"
        assert shop.row(order).status is OrderStatus.CANCELLED
        assert shop.stripe.objects("ch") == []


def session_status(shop: RunningShop, session_id: str) -> str:
    """Return what a session is at Stripe."""
    return str(shop.stripe.account.find("cs", session_id)["status"])
