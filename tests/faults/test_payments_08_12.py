"""Payments, cases 8 to 12: answers of Stripe's that never come, and processes that die while they wait for one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from models import Attempt, FulfilmentStatus, Order, OrderKind, OrderStatus, RefundStatus
from services.fulfilment import fulfil
from services.payments.refunds import RefundTooLarge
from services.staff_refunds import refund_by_staff
from tests import both_databases
from tests.faults.running_shop import RunningShop
from tests.money_world import BY_THE_DAY, PRICE, varied
from tests.staff_world import acting

SESSIONS, REFUNDS = "/v1/checkout/sessions", "/v1/refunds"
# The client itself tries twice.
BOTH_TRIES = 2


@both_databases
def test_case_08_the_process_dies_before_the_session_is_stored(running_shop: RunningShop) -> None:
    """Stripe has made the session, its id is not stored, somebody pays on it: found by its metadata."""
    shop = running_shop
    buyer = shop.buyer()
    form = buyer.fill_in_checkout()
    shop.arm("start.opened")
    buyer.send_in_vain(form)
    shop.wait_until_tripped()
    order = shop.order_of(buyer)
    (session,) = shop.stripe.objects("cs")
    assert shop.money.live_attempt(order).session_id is None
    buyer.pay(session["id"])
    shop.wait_until_delivered(order)
    assert [attempt.session_id for attempt in shop.money.attempts(order)] == [session["id"]]


@both_databases
def test_case_08_the_buyer_clicks_again_after_that(running_shop: RunningShop) -> None:
    """The same, but the buyer sends the form again: the same session, and no second one."""
    shop = running_shop
    buyer = shop.buyer()
    form = buyer.fill_in_checkout()
    shop.arm("start.opened")
    buyer.send_in_vain(form)
    shop.wait_until_tripped()
    session_id = buyer.session_of(buyer.send(form))
    assert [session["id"] for session in shop.stripe.objects("cs")] == [session_id]
    buyer.pay(session_id)
    shop.wait_until_delivered(shop.order_of(buyer))


@both_databases
def test_case_08_an_event_comes_before_the_row(running_shop: RunningShop) -> None:
    """A webhook about a session whose row cannot be seen yet is answered with 5xx, and is fine when it comes again."""
    shop = running_shop
    shop.hold_events()
    buyer = shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id, wait=False)
    order = shop.order_of(buyer)
    # As if the transaction with these rows were still under way.
    name = order.public_id
    hide(shop, order, "NOTYETSEEN", None)
    event = shop.event("checkout.session.completed", session_id)
    assert shop.stripe.webhooks.send(event).status == 503
    hide(shop, order, name, session_id)
    assert shop.stripe.webhooks.send(event).status == 200
    shop.wait_until_delivered(order)


def hide(shop: RunningShop, order: Order, public_id: str, session_id: str | None) -> None:
    """Let the rows of an order be found under other names than Stripe's."""
    with shop.shop.transaction() as session:
        session.execute(update(Order).where(Order.id == order.id).values(public_id=public_id))
        session.execute(update(Attempt).where(Attempt.order_id == order.id).values(session_id=session_id))


@both_databases
def test_case_09_the_answer_to_opening_a_session_is_lost(running_shop: RunningShop) -> None:
    """Stripe opens the session and nobody hears of it, twice: the next click gets the same session, one address."""
    shop = running_shop
    buyer = shop.buyer()
    form = buyer.fill_in_checkout()
    shop.stripe.fault("drop_after", method="POST", path=SESSIONS, count=BOTH_TRIES)
    page = buyer.send(form, 503)
    assert "Trying again cannot make you pay twice." in page.text
    (session,) = shop.stripe.objects("cs")
    again = buyer.submit("Try again")
    assert buyer.session_of(again) == session["id"]
    assert buyer.send(form).location == again.location
    (attempt,) = shop.money.attempts(shop.order_of(buyer))
    asked = shop.stripe.requests("POST", SESSIONS)
    assert [(each["outcome"], each["idempotency_key"]) for each in asked] == [
        ("executed", attempt.idempotency_key),
        ("replayed", attempt.idempotency_key),
        ("replayed", attempt.idempotency_key),
    ]
    buyer.pay(session["id"])
    shop.wait_until_delivered(shop.order_of(buyer))


@both_databases
def test_case_10_the_answers_about_a_renewal_are_lost(running_shop: RunningShop) -> None:
    """A renewal is charged and carried out while every answer is lost, and is worked on three times at once: once.

    The shop stores no card and renews nothing by itself, so there is no renewal charge of its own to repeat: the
    renewal that a buyer pays for stands for it, and the worker's sweep for the renewal job.
    """
    shop = running_shop
    buyer, esim = shop.owner()
    shop.stripe.fault("drop_after", method="POST", path=SESSIONS, count=BOTH_TRIES)
    shop.supplier.fault("/esim/topup", "timeout_after_commit")
    form = buyer.fill_in_renewal(esim.public_id)
    buyer.send(form, 503)
    session_id = buyer.session_of(buyer.send(form))
    buyer.pay(session_id)
    buyer.come_back(session_id)
    order = shop.orders_of(buyer)[-1]
    assert order.kind is OrderKind.RENEWAL
    shop.wait_until(lambda: shop.supplier.counters()["topups_executed"], "the supplier has topped it up")
    shop.advance(minutes=3)
    rung = [shop.ring("sweep", wait=False), shop.ring("sweep", wait=False)]
    shop.at_once(*[partial(fulfil, shop.shop, order.id)] * 2)
    for task in rung:
        shop.wait_for_task(task)
    shop.wait_until_delivered(order)
    assert len(shop.money.attempts(order)) == len(shop.money.payments(order)) == 1
    assert shop.supplier.counters()["topups_executed"] == 1
    assert shop.money.at_supplier(esim).total_days == 14
    assert shop.stripe.summary()["charges"] == {"succeeded": 2}


def delivered(shop: RunningShop) -> tuple[Order, int]:
    """Return an order that was paid and delivered, and the number of a member of staff."""
    buyer = shop.buyer()
    buyer.buy()
    order = shop.order_of(buyer)
    shop.wait_until_delivered(order)
    return order, shop.factories.make_staff().id


def refunding(shop: RunningShop, order: Order, staff_id: int, amount_minor: int, form_key: str) -> Callable[[], object]:
    """Return the call that is made when staff sends the form that gives money back."""
    call = partial(refund_by_staff, shop.shop, order.public_id, amount_minor)
    return partial(call, form_key=form_key, note="a kindness", by=acting(staff_id))


@both_databases
def test_case_11_the_answer_to_a_refund_is_lost_and_the_form_is_sent_twice(running_shop: RunningShop) -> None:
    """Stripe sends the money back and nobody hears of it, and the button was pressed twice: one refund."""
    shop = running_shop
    order, staff_id = delivered(shop)
    shop.stripe.fault("drop_after", method="POST", path=REFUNDS, count=BOTH_TRIES)
    shop.at_once(*[refunding(shop, order, staff_id, PRICE, "form")] * 2)
    shop.wait_until(lambda: len(shop.stripe.objects("re")) == 1, "the money goes back")
    shop.calm()
    # Stripe's webhook or the next try tells, whichever comes first.
    shop.advance(minutes=2)
    shop.sweep()
    shop.calm()
    (refund,) = shop.money.refunds(order)
    assert (refund.status, refund.amount_minor) == (RefundStatus.SUCCEEDED, PRICE)
    assert shop.row(order).status is OrderStatus.REFUNDED
    assert len(shop.stripe.objects("re")) == shop.money.mails(order, "refund-") == 1


@both_databases
def test_case_11_two_refunds_of_the_same_amount_are_two(running_shop: RunningShop) -> None:
    """Two refunds of an equal amount that are both meant are two, and a third that is more than is left is none."""
    shop = running_shop
    order, staff_id = delivered(shop)
    shop.at_once(*[refunding(shop, order, staff_id, 500, form_key) for form_key in ("first", "second")])
    with pytest.raises(RefundTooLarge):
        refunding(shop, order, staff_id, 500, "third")()
    shop.wait_until(lambda: shop.money.mails(order, "refund-") == 2 and shop.mails_have_left(), "both are told")
    assert [refund["amount"] for refund in shop.stripe.objects("re")] == [500, 500]
    assert shop.row(order).status is OrderStatus.PART_REFUNDED
    shop.expect(order, charges=1, kept=PRICE - 1000)


# Case 12: every call of ours to Stripe, and everything that its answer can be.

TROUBLES: tuple[dict[str, Any], ...] = (
    {"kind": "500"},
    {"kind": "503"},
    {"kind": "409"},
    {"kind": "429"},
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "bad_json"},
)
every_trouble = varied("trouble", TROUBLES)


@every_trouble
def test_case_12_trouble_when_a_session_is_opened(running_shop: RunningShop, trouble: dict[str, Any]) -> None:
    """An error, or no answer, when the payment page is opened: the order is kept, and the next click leads on."""
    shop = running_shop
    buyer = shop.buyer()
    form = buyer.fill_in_checkout()
    shop.stripe.fault(method="POST", path=SESSIONS, count=None, **trouble)
    page = buyer.send(form, 503)
    assert "This attempt has not charged you anything, and your order is kept." in page.text
    order = shop.order_of(buyer)
    assert order.status is OrderStatus.PENDING
    shop.stripe.faults.clear()
    session_id = buyer.session_of(buyer.submit("Try again"))
    assert [session["id"] for session in shop.stripe.objects("cs")] == [session_id]
    buyer.pay(session_id)
    shop.wait_until_delivered(order)


@every_trouble
def test_case_12_trouble_inside_a_webhook(running_shop: RunningShop, trouble: dict[str, Any]) -> None:
    """An error, or no answer, when the webhook looks the session up: it answers 5xx and is done when it comes again."""
    shop = running_shop
    shop.hold_events()
    buyer = shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id, wait=False)
    order = shop.order_of(buyer)
    shop.stripe.fault(method="GET", path=f"{SESSIONS}/*", count=None, **trouble)
    event = shop.event("checkout.session.completed", session_id)
    assert shop.stripe.webhooks.send(event).status == 503
    assert shop.row(order).status is OrderStatus.PENDING
    shop.stripe.faults.clear()
    assert shop.stripe.webhooks.send(event).status == 200
    shop.wait_until_delivered(order)


@every_trouble
def test_case_12_trouble_on_the_return_page(running_shop: RunningShop, trouble: dict[str, Any]) -> None:
    """An error, or no answer, when the return page looks: it says so, never that nothing was charged; later paid."""
    shop = running_shop
    shop.stripe.webhook_url = ""
    buyer = shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id)
    order = shop.order_of(buyer)
    shop.stripe.fault(method="GET", path=f"{SESSIONS}/*", count=None, **trouble)
    page = buyer.come_back(session_id)
    assert "If you have paid, do nothing" in page.text
    assert "Nothing was charged" not in page.text
    # Neither does it when the buyer looks once more, long after coming back.
    shop.advance(minutes=11)
    page = buyer.get(page.path)
    assert "Stripe does not answer right now, so we cannot see whether this order is paid." in page.text
    assert "Nothing was charged" not in page.text
    shop.stripe.faults.clear()
    shop.advance(seconds=4)
    assert "Paid" in buyer.get(page.path).text
    shop.wait_until_delivered(order)


@every_trouble
def test_case_12_trouble_when_a_session_is_closed(running_shop: RunningShop, trouble: dict[str, Any]) -> None:
    """An error, or no answer, when an outdated session is closed: the order stays as it was paid for, or changes."""
    shop = running_shop
    buyer = shop.buyer()
    first = buyer.check_out(BY_THE_DAY, query="?days=3")
    order = shop.order_of(buyer)
    form = buyer.fill_in_checkout(BY_THE_DAY, query="?days=5")
    shop.stripe.fault(path=f"{SESSIONS}/*", count=None, **trouble)
    buyer.send(form, 503)
    assert shop.row(order).days == 3
    shop.stripe.faults.clear()
    second = buyer.session_of(buyer.send(form))
    assert shop.row(order).days == 5
    assert buyer.pay(first).status == "expired"
    assert buyer.pay(second).payment_status == "paid"
    shop.wait_until_delivered(order)


@every_trouble
def test_case_12_trouble_when_money_goes_back(running_shop: RunningShop, trouble: dict[str, Any]) -> None:
    """An error, or no answer, when a refund is sent: it is sent again under its key until Stripe says what it is."""
    shop = running_shop
    shop.supplier.set_stock("SIM-MC-1-7", 0)
    shop.stripe.fault(method="POST", path=REFUNDS, count=None, **trouble)
    # What the events would tell is told by the tries alone.
    shop.stripe.webhooks.drop_next(100, ["refund.created", "refund.updated"])
    buyer = shop.buyer()
    buyer.buy()
    order = shop.order_of(buyer)
    shop.wait_until(lambda: shop.money.fulfilment(order).status is FulfilmentStatus.REFUSED, "the supplier refuses")
    shop.wait_until(lambda: shop.stripe.requests("POST", REFUNDS), "the refund is sent")
    shop.calm()
    (refund,) = shop.money.refunds(order)
    assert refund.status is RefundStatus.REQUESTED
    shop.stripe.faults.clear()
    shop.advance(minutes=2)
    shop.sweep()
    shop.wait_until(shop.mails_have_left, "the buyer is told")
    assert shop.row(order).status is OrderStatus.REFUNDED
    assert len(shop.stripe.objects("re")) == 1
    assert {each["idempotency_key"] for each in shop.stripe.requests("POST", REFUNDS)} == {refund.idempotency_key}


@every_trouble
def test_case_12_trouble_while_reconciling(running_shop: RunningShop, trouble: dict[str, Any]) -> None:
    """An error, or no answer, to all that reconcile asks: nothing is lost, and the next run finds the payment."""
    shop = running_shop
    shop.hold_events()
    buyer = shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id, wait=False)
    order = shop.order_of(buyer)
    shop.advance(minutes=3)
    shop.stripe.fault(count=None, **trouble)
    shop.reconcile()
    assert shop.row(order).status is OrderStatus.PENDING
    shop.stripe.faults.clear()
    shop.advance(minutes=5)
    shop.reconcile()
    assert shop.is_paid(order)
    shop.wait_until_delivered(order)


@both_databases
def test_case_12_stripe_says_nothing_for_a_long_time(running_shop: RunningShop) -> None:
    """Stripe stalls longer than anybody waits, in three calls at once: each is given up and comes right afterwards."""
    shop = running_shop
    shop.supplier.set_stock("SIM-MC-3-30", 0)
    opening, telling, refunded = shop.buyer(), shop.buyer(), shop.buyer()
    form = opening.fill_in_checkout()
    paid = telling.check_out()
    telling.pay(refunded.check_out("monaco-3gb-30-days"), wait=False)
    shop.stripe.fault("slow", seconds=STALL, method="POST", path=SESSIONS)
    shop.stripe.fault("slow", seconds=STALL, method="GET", path=f"{SESSIONS}/{paid}")
    shop.stripe.fault("slow", seconds=STALL, method="POST", path=REFUNDS)
    assert telling.pay(paid, wait=False).payment_status == "paid"
    # A request under the same key is refused while the first is under way (docs.stripe.com/api/idempotent_requests).
    assert opening.send(form, 503).soup.select("form button")
    shop.wait_until(lambda: slow_answers(shop) == 3, "Stripe has answered in the end")
    session_id = opening.session_of(opening.send(form))
    opening.pay(session_id)
    shop.wait_until_delivered(shop.order_of(opening), shop.order_of(telling))
    shop.advance(minutes=2)
    shop.sweep()
    shop.wait_until(shop.mails_have_left, "everybody is told")
    assert shop.row(shop.order_of(refunded)).status is OrderStatus.REFUNDED
    assert len(shop.stripe.objects("cs")) == 3
    assert len(shop.stripe.objects("re")) == 1


# Seconds; longer than the tests' shop waits for one answer (tests/faults/process.py).
STALL = 4.5


def slow_answers(shop: RunningShop) -> int:
    """Return how many requests Stripe has answered late."""
    return len([each for each in shop.stripe.requests() if each["fault"] == "slow"])
