"""Payments, cases 1 to 7: news of a payment that comes often, at once, in any order, by one way only, or never.

Driver and invariant of each case are in its docstring; `running_shop` adds what must be so after every one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from sqlalchemy import select

from models import Attempt, AttemptStatus, Mail, Order, OrderStatus, Payment, StripeEvent, db
from sandbox.stripe import Delivery
from tests import both_databases
from tests.faults.buyer import Buyer
from tests.faults.running_shop import RunningShop
from tests.money_world import stripe_client

pytestmark = both_databases

COMPLETED = "checkout.session.completed"
ASYNC_SUCCEEDED = "checkout.session.async_payment_succeeded"


def paid_in_silence(shop: RunningShop) -> tuple[Buyer, Order, str]:
    """Return a buyer who has paid, the order, and the session; the events are held back and nobody has come back."""
    shop.hold_events()
    buyer = shop.buyer()
    session_id = buyer.check_out()
    assert buyer.pay(session_id, wait=False).payment_status == "paid"
    order = shop.order_of(buyer)
    assert order.status is OrderStatus.PENDING
    return buyer, order, session_id


def check_paid_once(shop: RunningShop, order: Order) -> None:
    """Wait for the delivery, and check that everything is there once."""
    shop.wait_until_delivered(order)
    shop.calm()
    assert len(shop.money.payments(order)) == 1
    assert shop.money.mails(order, "receipt") == shop.money.mails(order, "esim-ready") == 1
    assert shop.stripe.summary()["charges"] == {"succeeded": 1}
    assert shop.supplier.counters()["orders_executed"] == 1
    assert shop.rows(select(Mail.id).where(Mail.subject_key != f"order:{order.id}")) == []


@pytest.mark.parametrize(("times", "parallel"), [(5, False), (8, True)])
def test_case_01_one_event_is_delivered_many_times(running_shop: RunningShop, times: int, parallel: bool) -> None:
    """One event delivered five times in turn, or eight times at once: one payment, one receipt, every answer 2xx."""
    _buyer, order, session_id = paid_in_silence(running_shop)
    event = running_shop.event(COMPLETED, session_id)
    answers = running_shop.stripe.resend(event, times=times, parallel=parallel)
    assert [answer.status for answer in answers] == [200] * times
    check_paid_once(running_shop, order)
    (row,) = running_shop.rows(select(StripeEvent))
    assert (row.id, row.processed_at is not None) == (event, True)


def test_case_02_everybody_hears_of_it_at_once(running_shop: RunningShop) -> None:
    """The webhook sixteen times, the return page sixteen times and reconcile, at once: as if it were one."""
    buyer, order, session_id = paid_in_silence(running_shop)
    event = running_shop.event(COMPLETED, session_id)
    deliver: list[Callable[[], Any]] = [lambda: running_shop.stripe.webhooks.send(event)] * 16
    come_back: list[Callable[[], Any]] = [lambda: buyer.come_back(session_id)] * 16
    rung = running_shop.ring("reconcile", wait=False)
    results = running_shop.at_once(*deliver, *come_back)
    assert [answer.status for answer in results[:16]] == [200] * 16
    running_shop.wait_for_task(rung)
    running_shop.reconcile()
    check_paid_once(running_shop, order)


def test_case_03_two_events_tell_of_one_payment(running_shop: RunningShop) -> None:
    """Two events with identities of their own for one change of one session, at once: one payment."""
    _buyer, order, session_id = paid_in_silence(running_shop)
    event = running_shop.event(COMPLETED, session_id)
    twin = running_shop.stripe.twin(event)
    assert twin != event
    send = running_shop.stripe.webhooks.send
    answers: list[Delivery] = running_shop.at_once(lambda: send(event), lambda: send(twin))
    assert [answer.status for answer in answers] == [200, 200]
    check_paid_once(running_shop, order)
    assert {row.id for row in running_shop.rows(select(StripeEvent)) if row.processed_at} == {event, twin}


def test_case_04_no_event_arrives_and_the_buyer_comes_back(running_shop: RunningShop) -> None:
    """All webhooks are lost and the buyer returns: paid by the return page."""
    running_shop.stripe.webhook_url = ""
    buyer = running_shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id)
    order = running_shop.order_of(buyer)
    assert order.status is OrderStatus.PENDING
    assert "under way" in buyer.come_back(session_id).text
    assert running_shop.is_paid(order)
    check_paid_once(running_shop, order)
    assert running_shop.money.esim_of(order).matching_id in buyer.get(f"/en/orders/{order.public_id}").text
    assert running_shop.rows(select(StripeEvent)) == []


def test_case_05_the_buyer_closes_the_tab(running_shop: RunningShop) -> None:
    """Nobody comes back from the payment page, and a webhook arrives: paid."""
    buyer = running_shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id)
    check_paid_once(running_shop, running_shop.order_of(buyer))
    # Looked at by the webhook and by nobody else.
    assert len(running_shop.stripe.requests("GET", f"/v1/checkout/sessions/{session_id}")) == 1


def fill_a_page_at_stripe(shop: RunningShop) -> None:
    """Open more sessions than Stripe lists at once, all younger than what there is; another application's."""
    sessions = stripe_client(shop.sandbox).checkout.sessions
    for _number in range(101):
        sessions.create(
            {
                "mode": "payment",
                "success_url": "https://example.com/",
                "line_items": [
                    {
                        "quantity": 1,
                        "price_data": {"currency": "eur", "unit_amount": 500, "product_data": {"name": "A mug"}},
                    }
                ],
            }
        )


@pytest.mark.parametrize(("hours", "pages"), [(0, 2), (100, 1)])
def test_case_06_nobody_hears_of_it(running_shop: RunningShop, hours: int, pages: int) -> None:
    """Webhook and return are both lost: reconcile pays, also behind a hundred other sessions and days later; once.

    There is no cursor that an old event could hide behind. At once the session is found in Stripe's list, on its
    second page; when it is too old for the list, by its attempt.
    """
    _buyer, order, session_id = paid_in_silence(running_shop)
    fill_a_page_at_stripe(running_shop)
    running_shop.advance(hours=hours)
    running_shop.reconcile()
    assert running_shop.is_paid(order)
    listed = running_shop.stripe.requests("GET", "/v1/checkout/sessions")
    assert len([each for each in listed if each["path"] == "/v1/checkout/sessions"]) == pages
    asked = running_shop.stripe.requests("GET", f"/v1/checkout/sessions/{session_id}")
    assert len(asked) == (0 if pages == 2 else 1)
    check_paid_once(running_shop, order)
    before = rows_of_money(running_shop)
    running_shop.reconcile()
    assert rows_of_money(running_shop) == before
    assert len(running_shop.rows(select(Order))) == 1


def rows_of_money(shop: RunningShop) -> list[tuple[Any, ...]]:
    """Return orders, attempts, payments and mails as the books hold them, but for when they were last looked at."""
    shop.money.fresh()
    found: list[tuple[Any, ...]] = []
    for model in (Order, Attempt, Payment, Mail):
        columns = [column for column in model.__table__.columns if column.name != "checked_at"]
        found += [tuple(map(repr, row)) for row in db.session.execute(select(*columns).order_by(columns[0]))]
    return found


@pytest.mark.parametrize("order_of_events", ["newest", "random"])
def test_case_07_events_overtake_each_other(
    running_shop: RunningShop, order_of_events: Literal["newest", "random"]
) -> None:
    """Events in reverse and in random order, with the failure after the success: paid, and never unpaid again."""
    shop = running_shop
    shop.hold_events()
    buyer = shop.buyer()
    session_id = buyer.check_out()
    shop.money.pay_later(session_id)
    session = shop.stripe.settle_async_payment(session_id)
    for kind in ("checkout.session.expired", "checkout.session.async_payment_failed"):
        shop.stripe.emit(kind, session)
    released = shop.stripe.webhooks.release(order_of_events, seed=7)
    assert len(released) > 4
    order = shop.order_of(buyer)
    check_paid_once(shop, order)
    # Once more, with nothing in between that could mend it.
    for kind in ("checkout.session.expired", "checkout.session.async_payment_failed", COMPLETED):
        (answer,) = shop.stripe.resend(shop.stripe.emit(kind, session))
        assert answer.status == 200
    shop.calm()
    check_paid_once(shop, order)
    assert [attempt.status for attempt in shop.money.attempts(order)] == [AttemptStatus.SUCCEEDED]
    assert shop.money.mails(order, "payment-failed") == 0
