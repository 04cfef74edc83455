"""Putting our books beside Stripe's: what no webhook and no return told is found, and found only once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from models import Attempt, AttemptStatus, FulfilmentStatus, Mail, Order, OrderStatus, Payment, Refund, db
from sandbox.stripe import checkout
from services.payments import GatewayUnavailable
from services.payments.settlement import Outcome
from services.reconcile import reconcile
from tests import both_databases
from tests.money_world import PRICE, MoneyWorld

SESSIONS = "/v1/checkout/sessions"


def books(money: MoneyWorld) -> list[tuple[Any, ...]]:
    """Return everything that reconciling could change, but for when it last looked."""
    money.fresh()
    rows: list[tuple[Any, ...]] = []
    for model in (Order, Attempt, Payment, Refund, Mail):
        columns = [column for column in model.__table__.columns if column.name != "checked_at"]
        rows.extend(tuple(row) for row in db.session.execute(select(*columns).order_by(model.id)))
    return rows


def open_sessions(money: MoneyWorld, count: int, **metadata: str) -> None:
    """Open sessions at Stripe that the shop knows nothing of."""
    price = {"currency": "eur", "unit_amount": str(PRICE), "product_data": {"name": "Something else"}}
    for _number in range(count):
        with money.stripe.account.lock:
            checkout.create(
                money.stripe.account,
                {
                    "mode": "payment",
                    "line_items": [{"price_data": price, "quantity": "1"}],
                    "success_url": "http://shop.example/",
                    "metadata": metadata,
                },
            )


@both_databases
def test_a_payment_that_nobody_told_us_of_is_found(money: MoneyWorld) -> None:
    order = money.order()
    money.stripe.pay(money.open(order))
    reconcile(money.shop)
    # A buyer who may still be paying is left alone as far as our own attempts go; Stripe's list has it all the same.
    assert money.row(Order, order.id).status is OrderStatus.PAID
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    money.check(order)


@both_databases
def test_a_second_run_changes_nothing(money: MoneyWorld) -> None:
    paid, opened, expired = money.order(), money.order(), money.order()
    money.stripe.pay(money.open(paid))
    money.open(opened)
    money.expire(money.open(expired))
    money.clock.advance(minutes=3)
    report = reconcile(money.shop)
    assert (report.errors, report.unknown_sessions) == (0, [])
    assert report.outcomes["paid"] == 1
    money.work()
    before = books(money)
    money.clock.advance(minutes=5)
    again = reconcile(money.shop)
    assert (again.errors, again.unknown_sessions) == (0, [])
    assert "paid" not in again.outcomes
    assert books(money) == before
    money.check(paid)


@both_databases
def test_a_payment_behind_more_than_a_hundred_sessions_is_found(money: MoneyWorld) -> None:
    order = money.order()
    session_id = money.open(order)
    # Only Stripe's list leads to it: the attempt was given up here.
    with money.shop.transaction():
        money.live_attempt(order).status = AttemptStatus.SUPERSEDED
    money.stripe.pay(session_id)
    open_sessions(money, 120, origin="another application")
    report = reconcile(money.shop)
    assert report.outcomes == {"paid": 1}
    assert len(money.stripe.requests("GET", SESSIONS)) == 2
    money.check(order)


@both_databases
def test_a_session_that_no_row_knows_is_reported(money: MoneyWorld, caplog: pytest.LogCaptureFixture) -> None:
    open_sessions(money, 1, origin="travel-card", attempt="NOTHERE000-1", order="NOTHERE000")
    (session,) = money.stripe.objects("cs")
    report = reconcile(money.shop)
    assert report.unknown_sessions == [session["id"]]
    assert session["id"] in caplog.text


@both_databases
def test_an_attempt_without_a_session_is_sent_again_under_its_key(money: MoneyWorld) -> None:
    order = money.order()
    money.stripe.fault("drop_after", method="POST", path=SESSIONS, count=2)
    with pytest.raises(GatewayUnavailable):
        money.open(order)
    # Not on Stripe's list either, so that only the key leads to the session.
    money.stripe.fault("500", method="GET", path=SESSIONS, count=None)
    money.clock.advance(minutes=3)
    reconcile(money.shop)
    (session,) = money.stripe.objects("cs")
    (attempt,) = money.attempts(order)
    assert (attempt.status, attempt.session_id) == (AttemptStatus.OPEN, session["id"])
    assert money.open(order) == session["id"]


@both_databases
def test_an_attempt_without_a_session_of_an_order_that_is_paid_stops_nothing(money: MoneyWorld) -> None:
    order, another = money.order(), money.order()
    first = money.open(order)
    with money.shop.transaction():
        money.live_attempt(order).status = AttemptStatus.SUPERSEDED
    money.stripe.fault("drop_after", method="POST", path=SESSIONS, count=2)
    with pytest.raises(GatewayUnavailable):
        money.open(order)
    money.stripe.pay(first)
    assert money.settle(first) is Outcome.PAID
    money.stripe.pay(money.open(another))
    money.clock.advance(minutes=3)
    report = reconcile(money.shop)
    assert report.errors == 0
    assert money.row(Order, another.id).status is OrderStatus.PAID
    # Nobody can pay a second time on the session that was found.
    assert [session["status"] for session in money.stripe.objects("cs")] == ["complete", "expired", "complete"]
    assert [attempt.status for attempt in money.attempts(order)] == [AttemptStatus.SUCCEEDED, AttemptStatus.SUPERSEDED]
    money.check(order)
    money.check(another)


@both_databases
def test_while_stripe_is_down_nothing_changes_and_it_is_said(money: MoneyWorld) -> None:
    order = money.order()
    money.stripe.pay(money.open(order))
    money.clock.advance(minutes=3)
    before = books(money)
    money.stripe.fault("503", count=None)
    # The attempt, and the lists of sessions, refunds and disputes.
    assert reconcile(money.shop).errors == 4
    assert books(money) == before
    money.stripe.faults.clear()
    assert reconcile(money.shop).errors == 0
    money.check(order)


@both_databases
def test_a_payment_is_found_whatever_else_cannot_be_looked_up(money: MoneyWorld) -> None:
    broken, order = money.order(), money.order()
    lost = money.open(broken)
    money.stripe.pay(money.open(order))
    money.stripe.fault("500", method="GET", path=f"{SESSIONS}/{lost}", count=None)
    money.clock.advance(minutes=3)
    assert reconcile(money.shop).errors == 1
    assert money.row(Order, order.id).status is OrderStatus.PAID
    money.check(order)


@both_databases
def test_two_runs_at_once_and_a_buyer_who_returns_count_once(money: MoneyWorld) -> None:
    order = money.order()
    money.stripe.pay(money.open(order))
    money.clock.advance(minutes=3)
    results = money.at_once(*[lambda: reconcile(money.shop).errors] * 4)
    assert results == [0] * 4
    money.work()
    money.check(order)
