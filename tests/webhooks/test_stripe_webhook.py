"""Stripe's webhook over HTTP: only what Stripe signed is heard, and what could not be done yet is asked for again."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from models import Attempt, AttemptStatus, Order, OrderStatus, StripeEvent, db
from sandbox.stripe.delivery import signature_header
from tests import both_databases
from tests.money_world import MoneyWorld, varied

SESSIONS = "/v1/checkout/sessions"


def event(**fields: Any) -> dict[str, Any]:
    """Return an event that is none of the shop's business."""
    values = {
        "id": "evt_test",
        "object": "event",
        "type": "customer.created",
        "livemode": False,
        "created": int(time.time()),
        "data": {"object": {"id": "cus_test", "object": "customer"}},
    }
    return {**values, **fields}


def body(**fields: Any) -> bytes:
    return json.dumps(event(**fields)).encode()


def noted(money: MoneyWorld) -> list[tuple[str, bool]]:
    """Return the types of the events that were kept, and whether each has been dealt with."""
    money.fresh()
    return [(row.type, row.processed_at is not None) for row in db.session.scalars(select(StripeEvent))]


def held_event(money: MoneyWorld, order: Order) -> str:
    """Pay the order and return the event that says so, which nobody has been sent yet."""
    money.stripe.webhooks.hold()
    money.stripe.pay(money.open(order))
    (event_id,) = [each["id"] for each in money.stripe.objects("evt") if each["type"] == "checkout.session.completed"]
    return str(event_id)


@both_databases
def test_a_payment_is_told_by_webhook_alone(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    money.stripe.pay(money.open(order))
    assert money.row(Order, order.id).status is OrderStatus.PAID
    money.check(order)


@pytest.mark.parametrize(
    ("payload", "signing"),
    [
        (body(), {"secrets": ["whsec_somebody_else"]}),
        (body(), {"secrets": [""]}),
        (body(), {"age": 301}),
        (body(), {"scheme": "v0"}),
        (body(), {"unsigned": True}),
        (body(), {"header": "nonsense"}),
        (body(), {"header": "t=,v1="}),
        (b"\xff\xfe{}", {}),
        (b"not JSON", {}),
        (b"", {}),
        (b"[]", {}),
        (b"[" * 50_000, {}),
        (b'"text"', {}),
        (b"17", {}),
        (b"null", {}),
        (b"{}", {}),
        (b'{"id": "evt_thin", "object": "v2.core.event", "type": "v1.customer.created"}', {}),
        (body(data={}), {}),
        (body(data={"object": 5}), {}),
        (json.dumps({name: value for name, value in event().items() if name != "livemode"}).encode(), {}),
        (json.dumps({name: value for name, value in event().items() if name != "data"}).encode(), {}),
        (body(created="yesterday"), {}),
        (body(created=10**30), {}),
    ],
    ids=[
        "another secret",
        "an empty secret",
        "301 seconds old",
        "v0 only",
        "no header",
        "no signature in the header",
        "empty signature",
        "not UTF-8",
        "not JSON",
        "empty",
        "a list",
        "a very deep list",
        "a text",
        "a number",
        "null",
        "an empty object",
        "a thin event",
        "no object",
        "an object that is a number",
        "no livemode",
        "no data",
        "a moment that is none",
        "a moment beyond all years",
    ],
)
def test_what_stripe_did_not_send_is_refused(
    money: MoneyWorld, live_shop: str, payload: bytes, signing: dict[str, Any]
) -> None:
    assert money.stripe.forge(payload, **signing).status == 400
    assert noted(money) == []


def test_a_body_that_was_changed_on_its_way_is_refused(money: MoneyWorld, live_shop: str) -> None:
    secrets = [money.sandbox.settings.stripe_webhook_secret]
    header = signature_header(body(), secrets, int(time.time()))
    assert money.stripe.forge(json.dumps(event(), indent=2).encode(), header=header).status == 400


def test_a_body_of_five_megabytes_is_refused_before_it_is_read(money: MoneyWorld, live_shop: str) -> None:
    answer = httpx.post(
        f"{live_shop}/webhooks/stripe", content=b"x" * 5_000_000, headers={"Stripe-Signature": "t=1,v1=1"}
    )
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "signing",
    [
        {"age": 295},
        {"secrets": ["whsec_of_before", "whsec_sandbox"]},
        {"secrets": ["whsec_sandbox", "whsec_of_before"]},
    ],
    ids=["295 seconds old", "the second of two secrets", "the first of two secrets"],
)
def test_what_stripe_signed_is_heard(money: MoneyWorld, live_shop: str, signing: dict[str, Any]) -> None:
    assert money.stripe.forge(body(), **signing).status == 200
    assert noted(money) == [("customer.created", True)]


def test_an_event_of_an_unknown_type_is_taken_and_left_alone(money: MoneyWorld, live_shop: str) -> None:
    answer = money.stripe.forge(body(type="something.that.comes.later"))
    assert (answer.status, answer.body) == (200, "ignored")


def test_an_event_of_the_other_mode_is_left_alone(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    money.stripe.webhooks.hold()
    session_id = money.open(order)
    money.stripe.pay(session_id)
    told = event(type="checkout.session.completed", livemode=True, data={"object": {"id": session_id}})
    assert money.stripe.forge(json.dumps(told).encode()).status == 200
    assert noted(money) == []
    assert money.row(Order, order.id).status is OrderStatus.PENDING


def test_what_an_event_says_is_not_believed(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    session_id = money.open(order)
    paid = {"id": session_id, "object": "checkout.session", "status": "complete", "payment_status": "paid"}
    told = event(type="checkout.session.completed", data={"object": paid})
    assert money.stripe.forge(json.dumps(told).encode()).status == 200
    assert money.row(Order, order.id).status is OrderStatus.PENDING
    assert money.live_attempt(order).status is AttemptStatus.OPEN


def test_a_session_that_stripe_does_not_know_is_left_alone(money: MoneyWorld, live_shop: str) -> None:
    told = event(type="checkout.session.completed", data={"object": {"id": "cs_test_unknown"}})
    assert money.stripe.forge(json.dumps(told).encode()).status == 200


@both_databases
def test_a_session_of_ours_without_a_row_is_asked_for_again_for_a_day(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    event_id = held_event(money, order)
    (attempt,) = money.attempts(order)
    seq, session_id = attempt.seq, attempt.session_id
    # The webhook is faster than our own commit.
    with money.shop.transaction() as session:
        row = session.get_one(Attempt, attempt.id)
        row.seq, row.session_id = 99, None
    answer = money.stripe.resend(event_id)[0]
    assert (answer.status, answer.body) == (503, "not yet")
    assert noted(money) == [("checkout.session.completed", False)]
    with money.shop.transaction() as session:
        row = session.get_one(Attempt, attempt.id)
        row.seq, row.session_id = seq, session_id
    assert money.stripe.resend(event_id)[0].status == 200
    assert noted(money) == [("checkout.session.completed", True)]
    money.check(order)


def test_a_session_of_ours_without_a_row_is_given_up_after_a_day(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    event_id = held_event(money, order)
    (attempt,) = money.attempts(order)
    # Without these its order would be made again (test_lost_orders).
    money.alter_session(attempt.session_id or "", metadata={"origin": "travel-card", "attempt": f"{order.public_id}-1"})
    with money.shop.transaction() as session:
        row = session.get_one(Attempt, attempt.id)
        row.seq, row.session_id = 99, None
    money.clock.advance(hours=23)
    assert money.stripe.resend(event_id)[0].status == 503
    money.clock.advance(hours=2)
    assert money.stripe.resend(event_id)[0].status == 200


@varied("fault", ["500", "503", "429", "drop_before", "drop_after", "bad_json"])
def test_while_stripe_cannot_be_asked_the_event_is_asked_for_again(
    money: MoneyWorld, live_shop: str, fault: str
) -> None:
    order = money.order()
    event_id = held_event(money, order)
    money.stripe.fault(fault, method="GET", path=f"{SESSIONS}/*", count=None)
    assert money.stripe.resend(event_id)[0].status == 503
    assert money.row(Order, order.id).status is OrderStatus.PENDING
    assert noted(money) == [("checkout.session.completed", False)]
    money.stripe.faults.clear()
    assert money.stripe.resend(event_id)[0].status == 200
    assert money.stripe.resend(event_id)[0].body == "repeated"
    money.check(order)


@both_databases
def test_events_in_any_order_lead_to_the_same(money: MoneyWorld, live_shop: str) -> None:
    order = money.order()
    money.stripe.webhooks.hold()
    money.stripe.pay(money.open(order))
    money.stripe.webhooks.release("newest")
    assert money.stripe.wait_for_webhooks()
    assert money.stripe.summary()["deliveries"].keys() == {"delivered"}
    money.check(order)


def test_the_address_is_for_stripe_alone(money: MoneyWorld, live_shop: str) -> None:
    assert httpx.get(f"{live_shop}/webhooks/stripe").status_code == 405
    # Stripe takes a redirect for a failure.
    answer = httpx.post(f"{live_shop}/webhooks/stripe", content=b"{}")
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers
