"""Starting to pay: one order has one page at Stripe, whatever the network, the buyer or Stripe does."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from models import AttemptStatus, Order, OrderStatus, PaymentKind
from services.orders import OrderNotPending
from services.payments import GatewayUnavailable
from services.payments.attempts import start_payment, stop_payment
from services.payments.settlement import Outcome
from tests import both_databases
from tests.money_world import BY_THE_DAY, PRICE, MoneyWorld, varied

SESSIONS = "/v1/checkout/sessions"


def sessions(money: MoneyWorld, status: str = "") -> list[dict[str, Any]]:
    return [session for session in money.stripe.objects("cs") if status in ("", session["status"])]


def statuses(money: MoneyWorld, order: Order) -> list[str]:
    return [attempt.status.value for attempt in money.attempts(order)]


@both_databases
def test_a_second_click_leads_to_the_same_page(money: MoneyWorld) -> None:
    order = money.order()
    first = start_payment(money.shop, order.id)
    assert start_payment(money.shop, order.id) == first
    (session,) = sessions(money)
    assert session["url"] == first
    assert (session["amount_total"], session["currency"]) == (PRICE, "eur")
    assert session["customer_email"] == order.email
    assert statuses(money, order) == ["open"]


@both_databases
def test_a_lost_answer_is_asked_for_again_under_the_same_key(money: MoneyWorld) -> None:
    order = money.order()
    # The client repeats once by itself; both answers are lost.
    money.stripe.fault("drop_after", method="POST", path=SESSIONS, count=2)
    with pytest.raises(GatewayUnavailable):
        start_payment(money.shop, order.id)
    assert statuses(money, order) == ["created"]
    session_id = money.open(order)
    assert [session["id"] for session in sessions(money)] == [session_id]
    assert len({entry["idempotency_key"] for entry in money.stripe.requests("POST", SESSIONS)}) == 1
    money.stripe.pay(session_id)
    assert money.settle(session_id) is Outcome.PAID
    money.check(order)


@both_databases
def test_a_stored_failure_is_left_behind_with_a_new_key(money: MoneyWorld) -> None:
    order = money.order()
    money.stripe.fault("500", method="POST", path=SESSIONS, saved=True)
    session_id = money.open(order)
    assert statuses(money, order) == ["superseded", "open"]
    assert [session["id"] for session in sessions(money)] == [session_id]


@varied("fault", ["500", "503", "429", "409", "drop_before", "bad_json"])
def test_while_stripe_is_down_the_attempt_waits_for_the_next_click(money: MoneyWorld, fault: str) -> None:
    order = money.order()
    money.stripe.fault(fault, method="POST", path=SESSIONS, count=None)
    with pytest.raises(GatewayUnavailable):
        start_payment(money.shop, order.id)
    (attempt,) = money.attempts(order)
    assert (attempt.status, attempt.session_id) == (AttemptStatus.CREATED, None)
    money.stripe.faults.clear()
    money.open(order)
    assert statuses(money, order) == ["open"]
    assert len(sessions(money)) == 1


CHANGES: dict[str, dict[str, Any]] = {
    "days": {"days": 3},
    "currency": {"currency": "USD"},
    "email": {"email": "another@example.com"},
}


@both_databases
@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_order_closes_the_old_page(money: MoneyWorld, what: str) -> None:
    order = money.order(BY_THE_DAY)
    old = money.open(order)
    order = money.change(order, **CHANGES[what])
    new = money.open(order)
    assert new != old
    assert {session["id"]: session["status"] for session in sessions(money)} == {old: "expired", new: "open"}
    assert statuses(money, order) == ["superseded", "open"]
    money.stripe.pay(new)
    assert money.settle(new) is Outcome.PAID
    money.check(order)


@both_databases
def test_before_an_order_changes_its_page_is_closed(money: MoneyWorld) -> None:
    order = money.order(BY_THE_DAY)
    old = money.open(order)
    stop_payment(money.shop, order.id)
    assert [session["status"] for session in sessions(money)] == ["expired"]
    assert money.stripe.pay(old).status == "expired"
    order = money.change(order, days=30)
    money.stripe.pay(new := money.open(order))
    assert money.settle(new) is Outcome.PAID
    money.check(order)


@both_databases
def test_an_order_that_somebody_has_paid_does_not_change_any_more(money: MoneyWorld) -> None:
    order = money.order(BY_THE_DAY)
    money.stripe.pay(money.open(order))
    stop_payment(money.shop, order.id)
    with pytest.raises(OrderNotPending):
        money.change(order, days=30)
    order = money.row(Order, order.id)
    assert (order.status, order.days) == (OrderStatus.PAID, 1)
    money.check(order)


@both_databases
@pytest.mark.parametrize("what", ["days", "currency"])
def test_a_page_that_was_paid_while_its_order_changed_buys_nothing_and_goes_back(money: MoneyWorld, what: str) -> None:
    order = money.order(BY_THE_DAY)
    old = money.open(order)
    money.stripe.pay(old)
    # The form that changes the order was under way when the buyer paid in another tab.
    order = money.change(order, **CHANGES[what])
    new = money.open(order)
    assert money.row(Order, order.id).status is OrderStatus.PENDING
    assert [payment.kind for payment in money.payments(order)] == [PaymentKind.SURPLUS]
    money.work()
    money.check(order)
    money.stripe.pay(new)
    assert money.settle(new) is Outcome.PAID
    money.check(order, charges=2)


@both_databases
def test_a_changed_email_goes_to_the_new_address_also_when_the_old_page_was_paid(money: MoneyWorld) -> None:
    order = money.order()
    old = money.open(order)
    order = money.change(order, email="corrected@example.com")
    money.stripe.pay(old)
    with pytest.raises(OrderNotPending):
        start_payment(money.shop, order.id)
    assert money.row(Order, order.id).email == "corrected@example.com"
    money.check(order)


@both_databases
def test_a_page_that_ran_out_is_replaced(money: MoneyWorld) -> None:
    order = money.order()
    old = money.open(order)
    money.clock.advance(minutes=56)
    new = money.open(order)
    assert {session["id"]: session["status"] for session in sessions(money)} == {old: "expired", new: "open"}


@both_databases
def test_an_attempt_without_a_session_runs_out_too(money: MoneyWorld) -> None:
    order = money.order()
    money.stripe.fault("drop_before", method="POST", path=SESSIONS, count=2)
    with pytest.raises(GatewayUnavailable):
        start_payment(money.shop, order.id)
    money.clock.advance(hours=2)
    money.open(order)
    assert statuses(money, order) == ["superseded", "open"]


@both_databases
def test_after_an_expired_attempt_comes_a_new_one(money: MoneyWorld) -> None:
    order = money.order()
    old = money.open(order)
    money.expire(old)
    assert money.settle(old) is Outcome.EXPIRED
    assert money.open(order) != old
    assert statuses(money, order) == ["expired", "open"]


@both_databases
def test_a_paid_order_is_not_paid_again(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    with pytest.raises(OrderNotPending):
        start_payment(money.shop, order.id)
    assert len(sessions(money)) == 1
    money.check(order)


@both_databases
def test_a_delayed_payment_under_way_keeps_the_order_from_being_paid_again(money: MoneyWorld) -> None:
    order = money.order()
    session_id = money.open(order)
    money.pay_later(session_id)
    assert money.settle(session_id) is Outcome.PROCESSING
    with pytest.raises(OrderNotPending):
        start_payment(money.shop, order.id)
    with pytest.raises(OrderNotPending):
        money.change(order, email="another@example.com")
    assert len(sessions(money)) == 1


@both_databases
def test_eight_clicks_at_once_open_one_page(money: MoneyWorld) -> None:
    order = money.order()
    order_id = order.id
    results = money.at_once(*[lambda: start_payment(money.shop, order_id)] * 8)
    urls = {result for result in results if isinstance(result, str)}
    # A click that comes while Stripe answers another one may be told to try again; it must not open a second page.
    assert all(isinstance(result, str | GatewayUnavailable) for result in results), results
    assert len(urls) == 1
    assert [session["url"] for session in sessions(money)] == list(urls)
    assert statuses(money, order) == ["open"]


@both_databases
def test_changing_the_order_while_stripe_opens_its_page_leaves_one_page(money: MoneyWorld) -> None:
    order = money.order(BY_THE_DAY)
    order_id = order.id
    money.stripe.fault("slow", method="POST", path=SESSIONS, seconds=1.0, executed=True)
    first: list[object] = []

    def click() -> None:
        with money.app.app_context():
            first.append(start_payment(money.shop, order_id))

    money.fresh()
    clicking = threading.Thread(target=click)
    clicking.start()
    while not sessions(money):
        clicking.join(0.01)
    order = money.change(order, days=3)
    second = start_payment(money.shop, order_id)
    clicking.join(10)
    assert first == [second]
    (open_session,) = sessions(money, "open")
    assert open_session["url"] == second
    assert open_session["amount_total"] == order.amount_minor
    assert statuses(money, order) == ["superseded", "open"]
