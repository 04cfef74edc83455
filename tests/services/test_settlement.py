"""Becoming paid: whoever notices a payment, however often and in whatever order, records it once and rightly."""

from __future__ import annotations

import logging

import pytest

from models import AttemptStatus, FulfilmentStatus, Order, OrderStatus, PaymentKind, PlanPrice, RefundStatus
from services.money import format_money
from services.payments import GatewayUnavailable, SessionNotFound
from services.payments.settlement import Outcome, apply_session, settle
from services.reconcile import reconcile
from tests import both_databases
from tests.money_world import MONACO_1GB, PRICE, MoneyWorld, stripe_client, varied


def completed_event(money: MoneyWorld) -> str:
    (event,) = [each for each in money.stripe.objects("evt") if each["type"] == "checkout.session.completed"]
    return str(event["id"])


def like_ours(
    money: MoneyWorld, order: Order, amount: int = PRICE, currency: str = "eur", metadata: dict[str, str] | None = None
) -> str:
    """Open a session that says it belongs to the order's only attempt, but for `metadata`, and return it."""
    (attempt,) = money.attempts(order)
    reference = {"origin": "travel-card", "order": order.public_id, "attempt": f"{order.public_id}-{attempt.seq}"}
    price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Monaco"}}
    session = stripe_client(money.sandbox).checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": "http://shop.example/",
            "metadata": reference | (metadata or {}),
        }
    )
    return str(session.id)


def lose_the_id(money: MoneyWorld, order: Order) -> None:
    """Bring the order to where Stripe made the session and the process died before it stored the id."""
    money.stripe.fault("drop_after", method="POST", path="/v1/checkout/sessions", count=2)
    with pytest.raises(GatewayUnavailable):
        money.open(order)


@both_databases
def test_an_event_that_comes_five_times_in_turn_counts_once(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    money.stripe.pay(money.open(order))
    answers = money.stripe.resend(completed_event(money), times=5)
    assert [answer.status for answer in answers] == [200] * 5
    assert money.row(Order, order.id).status is OrderStatus.PAID
    money.check(order)


@both_databases
def test_an_event_that_comes_eight_times_at_once_counts_once(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    money.stripe.webhooks.hold()
    money.stripe.pay(money.open(order))
    money.fresh()
    answers = money.stripe.resend(completed_event(money), times=8, parallel=True)
    assert [answer.status for answer in answers] == [200] * 8
    assert money.row(Order, order.id).status is OrderStatus.PAID
    money.check(order)


@both_databases
def test_two_events_for_one_payment_count_once(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    money.stripe.webhooks.copies = 3
    money.stripe.pay(money.open(order))
    money.stripe.twin(completed_event(money))
    assert money.stripe.wait_for_webhooks()
    assert set(money.stripe.summary()["deliveries"]) == {"delivered"}
    money.check(order)


@both_databases
def test_webhook_return_page_and_reconcile_at_once_count_once(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    money.stripe.webhooks.hold()
    session_id = money.open(order)
    money.stripe.pay(session_id)
    event_id = completed_event(money)
    money.clock.advance(minutes=3)

    def webhook() -> object:
        return money.stripe.resend(event_id)[0].status

    def return_page() -> object:
        return settle(money.shop, session_id)

    def reconciling() -> object:
        return reconcile(money.shop).errors

    results = money.at_once(webhook, webhook, return_page, return_page, return_page, reconciling)
    assert sorted(map(str, results)) == sorted(["200", "200", "0", "paid", *["already_paid"] * 2]) or sorted(
        map(str, results)
    ) == sorted(["200", "200", "0", *["already_paid"] * 3])
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert money.mails(order, "esim-ready") == 1
    money.check(order)


@both_databases
@pytest.mark.parametrize(("amount", "currency"), [(PRICE - 1, "eur"), (PRICE, "usd")])
def test_a_wrong_amount_is_not_taken_for_the_price(
    money: MoneyWorld, caplog: pytest.LogCaptureFixture, amount: int, currency: str
) -> None:
    order = money.order()
    money.stripe.fault("drop_before", method="POST", path="/v1/checkout/sessions", count=2)
    with pytest.raises(GatewayUnavailable):
        money.open(order)
    session_id = like_ours(money, order, amount, currency)
    money.stripe.pay(session_id)
    with caplog.at_level(logging.ERROR):
        assert money.settle(session_id) is Outcome.HELD
    paid, expected = (format_money(*each, "en") for each in ((amount, currency.upper()), (PRICE, "EUR")))
    assert f"order {order.public_id}: paid {paid}, expected {expected}" in caplog.text
    assert money.settle(session_id) is Outcome.ALREADY_PAID
    (payment,) = money.payments(order)
    assert (payment.kind, payment.amount_minor, payment.currency) == (PaymentKind.SURPLUS, amount, currency.upper())
    assert money.row(Order, order.id).status is OrderStatus.PENDING
    money.work()
    money.check(order, kept=amount)


@both_databases
def test_a_session_of_the_other_mode_is_left_alone(money: MoneyWorld) -> None:
    order = money.order()
    session_id = money.open(order)
    money.stripe.pay(session_id)
    money.alter_session(session_id, livemode=True)
    assert money.settle(session_id) is Outcome.FOREIGN
    assert money.row(Order, order.id).status is OrderStatus.PENDING
    assert not money.payments(order)


@both_databases
@pytest.mark.parametrize(
    "metadata", [{"origin": "another-shop"}, {"origin": ""}], ids=["of another application", "without an origin"]
)
def test_a_foreign_session_is_left_alone(money: MoneyWorld, metadata: dict[str, str]) -> None:
    order = money.order()
    lose_the_id(money, order)
    session_id = like_ours(money, order, metadata=metadata)
    money.stripe.pay(session_id)
    assert money.settle(session_id) is Outcome.FOREIGN
    assert not money.payments(order)


@both_databases
@pytest.mark.parametrize("attempt", ["", "nonsense", "-1", "ABCDEFGHJK-1", "ABCDEFGHJK-²"])
def test_a_session_with_a_reference_that_leads_nowhere_changes_nothing(money: MoneyWorld, attempt: str) -> None:
    order = money.order()
    lose_the_id(money, order)
    session_id = like_ours(money, order, metadata={"attempt": attempt})
    money.stripe.pay(session_id)
    assert money.settle(session_id) in (Outcome.UNKNOWN, Outcome.FOREIGN)
    assert not money.payments(order)


@both_databases
def test_a_session_that_stripe_does_not_know_is_named(money: MoneyWorld) -> None:
    with pytest.raises(SessionNotFound):
        money.settle("cs_test_unknown")


@both_databases
def test_a_session_whose_id_was_never_stored_is_found_by_what_it_says(money: MoneyWorld) -> None:
    order = money.order()
    lose_the_id(money, order)
    (session,) = money.stripe.objects("cs")
    money.stripe.pay(session["id"])
    assert money.settle(session["id"]) is Outcome.PAID
    (attempt,) = money.attempts(order)
    assert (attempt.session_id, attempt.status) == (session["id"], AttemptStatus.SUCCEEDED)
    money.check(order)


@both_databases
def test_of_two_sessions_that_are_both_paid_one_settles_and_the_other_goes_back(money: MoneyWorld) -> None:
    order = money.order()
    first = money.open(order)
    # The first attempt was given up here, and at Stripe somebody could still pay on it.
    with money.shop.transaction():
        money.live_attempt(order).status = AttemptStatus.SUPERSEDED
    second = money.open(order)
    assert first != second
    money.stripe.pay(first)
    money.stripe.pay(second)
    results = money.at_once(*[lambda: settle(money.shop, first), lambda: settle(money.shop, second)] * 2)
    assert sorted(map(str, results)) == ["already_paid", "already_paid", "paid", "surplus"]
    for _repeat in range(2):
        money.work(minutes=1)
        settle(money.shop, first)
        settle(money.shop, second)
    (refund,) = money.refunds(order)
    assert (refund.status, refund.cause, refund.amount_minor) == (RefundStatus.SUCCEEDED, "surplus", PRICE)
    assert refund.payment.kind is PaymentKind.SURPLUS
    assert money.row(Order, order.id).status is OrderStatus.PAID
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert len(money.stripe.objects("re")) == 1
    assert money.mails(order, "refund-") == 1
    money.check(order, charges=2)


@both_databases
def test_a_payment_of_a_cancelled_order_goes_back(money: MoneyWorld) -> None:
    order = money.order()
    session_id = money.open(order)
    with money.shop.transaction() as session:
        cancelled = session.get_one(Order, order.id)
        cancelled.status, cancelled.cancelled_at = OrderStatus.CANCELLED, money.clock.now()
    money.stripe.pay(session_id)
    assert money.settle(session_id) is Outcome.SURPLUS
    money.work()
    assert money.row(Order, order.id).status is OrderStatus.CANCELLED
    money.check(order)


@both_databases
def test_a_delayed_payment_is_waited_for_and_then_counts(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    session_id = money.open(order)
    money.pay_later(session_id)
    money.stripe.wait_for_webhooks()
    assert money.live_attempt(order).status is AttemptStatus.PROCESSING
    assert money.row(Order, order.id).status is OrderStatus.PENDING
    money.work()
    assert money.supplier_orders(order) == 0
    money.stripe.settle_async_payment(session_id, succeeded=True)
    money.stripe.wait_for_webhooks()
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    money.check(order)


@both_databases
def test_a_delayed_payment_that_fails_is_told_once_and_can_be_made_again(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    session_id = money.open(order)
    money.pay_later(session_id)
    money.stripe.settle_async_payment(session_id, succeeded=False)
    money.stripe.wait_for_webhooks()
    for _repeat in range(2):
        assert money.settle(session_id) is Outcome.FAILED
    assert [attempt.status for attempt in money.attempts(order)] == [AttemptStatus.FAILED]
    assert money.mails(order, "payment-failed") == 1
    again = money.open(order)
    money.stripe.pay(again)
    money.stripe.wait_for_webhooks()
    assert money.row(Order, order.id).status is OrderStatus.PAID
    money.check(order)


@both_databases
def test_declined_cards_and_then_a_good_one_are_one_payment(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    session_id = money.open(order)
    for card in ("4000000000000002", "4000000000009995", "4000000000000069", "4000000000000119"):
        assert money.stripe.pay(session_id, card=card).status == "open"
        assert money.settle(session_id) is Outcome.OPEN
    assert money.stripe.pay(session_id, card="4000002760003184", outcome="fail").status == "open"
    assert money.settle(session_id) is Outcome.OPEN
    assert money.open(order) == session_id
    money.stripe.pay(session_id)
    assert money.row(Order, order.id).status is OrderStatus.PAID
    money.check(order)


@varied("kind", ["checkout.session.expired", "checkout.session.async_payment_failed"])
def test_a_late_event_never_takes_a_payment_back(money: MoneyWorld, live_shop: str, kind: str) -> None:
    order = money.order()
    money.stripe.pay(money.open(order))
    (session,) = money.stripe.objects("cs")
    money.stripe.emit(kind, {**session, "status": "expired", "payment_status": "unpaid"})
    money.stripe.wait_for_webhooks()
    assert money.row(Order, order.id).status is OrderStatus.PAID
    assert [attempt.status for attempt in money.attempts(order)] == [AttemptStatus.SUCCEEDED]
    money.check(order)


@both_databases
def test_an_answer_that_was_overtaken_never_takes_a_payment_back(money: MoneyWorld) -> None:
    order = money.order()
    session_id = money.open(order)
    money.fresh()
    before = money.shop.gateway.get_session(session_id)
    money.stripe.pay(session_id)
    assert money.settle(session_id) is Outcome.PAID
    with money.shop.transaction():
        assert apply_session(money.shop, before) is Outcome.OPEN
    assert [attempt.status for attempt in money.attempts(order)] == [AttemptStatus.SUCCEEDED]
    money.check(order)


def free(money: MoneyWorld) -> Order:
    with money.shop.transaction() as session:
        plan = money.order().plan
        session.get_one(PlanPrice, (plan.id, "EUR")).amount_minor = 0
    return money.order(MONACO_1GB)


@both_databases
def test_an_order_that_costs_nothing_is_delivered(money: MoneyWorld) -> None:
    order = money.verified(free(money))
    (payment,) = money.payments(order)
    assert (payment.kind, payment.amount_minor) == (PaymentKind.SETTLING, 0)
    money.check(order, charges=0)


@both_databases
def test_nothing_goes_back_of_a_second_session_that_cost_nothing(money: MoneyWorld) -> None:
    order = free(money)
    first = money.open(order)
    with money.shop.transaction():
        money.live_attempt(order).status = AttemptStatus.SUPERSEDED
    second = money.open(order)
    money.stripe.pay(first)
    money.stripe.pay(second)
    assert money.settle(first) is Outcome.PAID
    assert money.settle(second) is Outcome.SURPLUS
    assert not money.refunds(order)
    money.check(order, charges=0)


@both_databases
def test_a_free_order_that_the_supplier_refuses_ends_without_a_refund(money: MoneyWorld) -> None:
    money.supplier.set_stock("SIM-MC-1-7", 0)
    order = money.paid(free(money))
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    assert not money.refunds(order)
