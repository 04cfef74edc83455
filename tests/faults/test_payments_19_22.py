"""Payments, cases 19 to 22: what changes under a buyer's hands, what somebody forges, and cards that are declined."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from config import Settings, SettingsError
from models import (
    AttemptStatus,
    Finding,
    FindingKind,
    Order,
    OrderStatus,
    Payment,
    PaymentKind,
    Refund,
    StripeEvent,
)
from sandbox.stripe import Payment as StripePayment
from sandbox.stripe.delivery import signature_header
from tests import both_databases
from tests.conftest import environment
from tests.faults.buyer import Buyer
from tests.faults.house import wait_until
from tests.faults.running_shop import RunningShop
from tests.money_world import BY_THE_DAY, PRICE, stripe_client

pytestmark = both_databases

COMPLETED = "checkout.session.completed"


# Case 19. There are no coupons: what can change after the session was opened is plan, days, currency, price, address.


def test_case_19_the_price_changes_while_the_form_is_open(running_shop: RunningShop) -> None:
    """The price changes before the form is sent: nothing is ordered at another price than the one that was shown."""
    shop = running_shop
    buyer = shop.buyer()
    form = buyer.fill_in_checkout()
    shop.set_price(1990)
    page = buyer.send(form, 422)
    assert "The price has changed while this page was open." in page.text
    assert shop.orders_of(buyer) == []
    session_id = buyer.session_of(buyer.submit(page.button))
    assert shop.stripe.account.find("cs", session_id)["amount_total"] == 1990
    buyer.pay(session_id)
    shop.wait_until_delivered(shop.order_of(buyer))


@pytest.mark.parametrize("changed", ["?days=5", "?days=3&currency=USD", "price"])
def test_case_19_the_wish_changes_after_the_session_was_opened(running_shop: RunningShop, changed: str) -> None:
    """Days, currency or price change after the session was opened: the old page cannot be paid on any more."""
    shop = running_shop
    buyer = shop.buyer()
    first = buyer.check_out(BY_THE_DAY, query="?days=3")
    if changed == "price":
        shop.set_price(990)
    second = buyer.check_out(BY_THE_DAY, query="?days=3" if changed == "price" else changed)
    assert second != first
    order = shop.order_of(buyer)
    session = shop.stripe.account.find("cs", second)
    assert (session["amount_total"], session["currency"].upper()) == (order.amount_minor, order.currency)
    assert buyer.pay(first).status == "expired"
    assert buyer.pay(second).payment_status == "paid"
    shop.wait_until_delivered(order)


@pytest.mark.parametrize("first", ["payment", "change"])
def test_case_19_the_wish_changes_while_the_old_session_is_paid(running_shop: RunningShop, first: str) -> None:
    """Paid in one tab at the moment at which the other one sends the form with more days: Stripe says which it is."""
    shop = running_shop
    buyer = shop.buyer()
    old = buyer.check_out(BY_THE_DAY, query="?days=3")
    order = shop.order_of(buyer)
    form = buyer.fill_in_checkout(BY_THE_DAY, query="?days=5")
    shop.hold_events()
    shop.stripe.fault("slow", path="/v1/checkout/sessions/*/expire", seconds=1, executed=first == "change")

    def pay_meanwhile() -> StripePayment:
        wait_until(lambda: not shop.stripe.faults.waiting()["faults"], "the shop asks Stripe to close the session")
        if first == "change":
            wait_until(lambda: shop.stripe.account.find("cs", old)["status"] == "expired", "it is closed")
        return buyer.pay(old, wait=False)

    calls: list[Callable[[], Any]] = [lambda: buyer.send(form), pay_meanwhile]
    page, payment = shop.at_once(*calls)
    if first == "payment":
        assert payment.payment_status == "paid"
        assert page.location == f"/en/orders/{order.public_id}"
        assert (shop.row(order).days, shop.row(order).status) == (3, OrderStatus.PAID)
    else:
        assert payment.status == "expired"
        assert shop.row(order).days == 5
        assert buyer.pay(buyer.session_of(page), wait=False).payment_status == "paid"
    shop.stripe.webhooks.release()
    shop.wait_until_delivered(order)
    assert shop.money.packages(order)[0].days == shop.row(order).days


@pytest.mark.parametrize("fields", [{"amount_total": 1489}, {"amount_total": 1491}, {"currency": "usd"}])
def test_case_19_another_amount_is_paid_than_was_asked_for(running_shop: RunningShop, fields: dict[str, Any]) -> None:
    """Amount or currency at Stripe are not ours: not paid, nothing shipped, the money on the books, before a person."""
    shop = running_shop
    buyer = shop.buyer()
    session_id = buyer.check_out()
    shop.money.alter_session(session_id, **fields)
    assert buyer.pay(session_id).payment_status == "paid"
    page = buyer.come_back(session_id)
    assert "A payment arrived that does not fit this order." in page.text
    shop.reconcile()
    order = shop.order_of(buyer)
    assert order.status is OrderStatus.PENDING
    (payment,) = shop.money.payments(order)
    assert payment.kind is PaymentKind.SURPLUS
    assert (payment.amount_minor, payment.currency) == (
        fields.get("amount_total", PRICE),
        fields.get("currency", "EUR").upper(),
    )
    assert shop.rows(select(Refund)) == []
    (finding,) = shop.rows(select(Finding))
    assert (finding.kind, finding.order_id) == (FindingKind.WRONG_AMOUNT, order.id)
    shop.expect(order, charges=1, kept=payment.amount_minor)


def test_case_19_a_foreign_session_on_my_return_page(running_shop: RunningShop) -> None:
    """The session, the order and the key of another buyer, tried on my pages: not paid, and nothing of theirs shown."""
    shop = running_shop
    victim, thief = shop.buyer(), shop.buyer()
    paid = victim.buy()
    theirs = shop.order_of(victim)
    shop.wait_until_delivered(theirs)
    thief.check_out()
    mine = shop.order_of(thief)
    address = shop.stripe.account.find("cs", paid)["success_url"]
    key = address.partition("?key=")[2]
    for query in (f"?session_id={paid}", f"?session={paid}&order={theirs.public_id}"):
        page = thief.get(f"/en/orders/{mine.public_id}{query}")
        assert "This order is not paid yet." in page.text
        assert not {victim.email, theirs.public_id} & set(page.text.split())
    # A key of another order opens nothing, and leads whoever has opened this one before to it.
    assert thief.get(f"/en/orders/{mine.public_id}?key={key}", 303).location == f"/en/orders/{mine.public_id}"
    shop.buyer().get(f"/en/orders/{mine.public_id}?key={key}", 404)
    for path in ("", "/receipt", f"?session_id={paid}", "?key=", f"?key={key[:-2]}xx"):
        page = thief.get(f"/en/orders/{theirs.public_id}{path}", 404)
        assert victim.email not in page.text
    assert shop.row(mine).status is OrderStatus.PENDING


# Case 20.


def true_event(shop: RunningShop, session_id: str) -> bytes:
    """Return the body of the event that tells of a payment, as Stripe sends it."""
    event = shop.stripe.account.find("evt", shop.event(COMPLETED, session_id))
    return json.dumps(shop.stripe.account.shown(event), indent=2).encode()


def attacks(shop: RunningShop, body: bytes) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Yield what somebody sends who is not Stripe, or who has heard Stripe speak; with how it is signed."""
    secrets = shop.stripe.webhooks.secrets
    yield "another secret", body, {"secrets": ["whsec_of_somebody_else"]}
    yield "an empty secret", body, {"secrets": [""]}
    yield "heard 301 seconds ago", body, {"age": 301}
    yield "an old scheme", body, {"scheme": "v0"}
    yield "no signature", body, {"unsigned": True}
    yield "an empty signature", body, {"header": "t=,v1="}
    yield "no UTF-8", b"\xff\xfe" + body, {}
    yield "a list", b"[" + body + b"]", {}
    yield "a thin event", b'{"id": "evt_1", "object": "v2.core.event", "type": "v1.checkout.session.completed"}', {}
    yield "not JSON", b"paid", {}
    header = signature_header(body, secrets, int(time.time()))
    yield "written anew", json.dumps(json.loads(body)).encode(), {"header": header}
    yield "an amount changed", body.replace(b"1490", b"1"), {"header": header}


def test_case_20_nobody_but_stripe_is_heard(running_shop: RunningShop) -> None:
    """Wrong, old, missing and borrowed signatures, and bodies that are no event: 400, and nothing has changed."""
    shop = running_shop
    buyer, order, session_id, body = paid_unheard(shop)
    for name, payload, signing in attacks(shop, body):
        answer = shop.stripe.forge(payload, **signing)
        assert answer.status == 400, f"{name}: {answer}"
    # A body of a length that is not told is not read at all.
    for large, status in ((b"x" * 5_000_000, 413), (iter([b"x" * 100_000] * 50), 400)):
        refused = httpx.post(f"{shop.url}/webhooks/stripe", content=large, headers={"Stripe-Signature": "t=1,v1=1"})
        assert refused.status_code == status
    assert shop.rows(select(StripeEvent)) == []
    assert shop.row(order).status is OrderStatus.PENDING
    # While a secret is being replaced, Stripe signs with both.
    assert shop.stripe.forge(body, secrets=["whsec_of_tomorrow", *shop.stripe.webhooks.secrets]).status == 200
    shop.wait_until_delivered(order)


def paid_unheard(shop: RunningShop) -> tuple[Buyer, Order, str, bytes]:
    """Return a buyer who has paid, the order, the session, and the event of which nobody has heard yet."""
    shop.hold_events()
    buyer = shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id, wait=False)
    return buyer, shop.order_of(buyer), session_id, true_event(shop, session_id)


def test_case_20_the_other_mode_is_ignored(running_shop: RunningShop) -> None:
    """An event, and a session, of live mode at a shop in test mode: taken, and nothing has changed."""
    shop = running_shop
    _buyer, order, session_id, body = paid_unheard(shop)
    answer = shop.stripe.forge(body.replace(b'"livemode": false', b'"livemode": true'))
    assert (answer.status, answer.body) == (200, "ignored")
    assert shop.rows(select(StripeEvent)) == []
    shop.money.alter_session(session_id, livemode=True)
    assert shop.stripe.forge(body).status == 200
    assert shop.row(order).status is OrderStatus.PENDING
    assert "is of the other mode" in shop.house.news("web")
    shop.money.alter_session(session_id, livemode=False)
    shop.reconcile()
    shop.wait_until_delivered(order)


def test_case_20_a_shop_without_a_webhook_secret_does_not_start(running_shop: RunningShop) -> None:
    """An empty secret would let everybody sign: the settings are refused."""
    environ = environment(running_shop.sandbox, running_shop.url, running_shop.shop.settings.instance)
    with pytest.raises(SettingsError, match="STRIPE_WEBHOOK_SECRET is not set"):
        Settings.from_env({**environ, "STRIPE_WEBHOOK_SECRET": " "})


# Case 21.


def test_case_21_events_that_are_none_of_our_business(running_shop: RunningShop) -> None:
    """Unknown types, another application's session, metadata that is no longer ours: 2xx, no change, in the log."""
    shop = running_shop
    buyer = shop.buyer()
    ours = buyer.check_out()
    order = shop.order_of(buyer)
    foreign = open_foreign_session(shop)
    shop.stripe.pay(foreign)
    for kind, thing in (
        ("something.that.comes.later", {"id": "thing_1", "object": "thing"}),
        ("something.without.an.id", {"object": "thing"}),
        (COMPLETED, {"id": "cs_of_nobody", "object": "checkout.session"}),
        (COMPLETED, shop.stripe.account.find("cs", foreign)),
    ):
        (answer,) = shop.stripe.resend(shop.stripe.emit(kind, thing))
        assert (answer.status, answer.body) in ((200, "ignored"), (200, "done"), (200, "repeated")), kind
    assert shop.row(order).status is OrderStatus.PENDING
    assert shop.rows(select(Payment)) == []
    assert [session for session in shop.stripe.objects("cs") if session["id"] == ours][0]["status"] == "open"


def open_foreign_session(shop: RunningShop, **metadata: str) -> str:
    """Open a session as another application of the same Stripe account does."""
    price = {"currency": "eur", "unit_amount": 500, "product_data": {"name": "A mug"}}
    session = stripe_client(shop.sandbox).checkout.sessions.create(
        {
            "mode": "payment",
            "success_url": "https://example.com/",
            "line_items": [{"quantity": 1, "price_data": price}],
            "metadata": metadata,
        }
    )
    return str(session.id)


@pytest.mark.parametrize(
    "reference", ["nonsense", "-", "ABCDEFGHJK-x", "ABCDEFGHJK-", "\U0001f4b6-1", "A" * 400 + "-1"]
)
def test_case_21_malformed_metadata(running_shop: RunningShop, reference: str) -> None:
    """A paid session that says it is ours with a reference that no order of ours can have: no error, no change.

    Stripe is asked to send it again for a day, because a row of ours may only be seen later; then it is let go.
    """
    shop = running_shop
    session_id = open_foreign_session(shop, origin="travel-card", attempt=reference)
    shop.hold_events()
    shop.stripe.pay(session_id, wait=False)
    event = shop.event(COMPLETED, session_id)
    assert shop.stripe.webhooks.send(event).status == 503
    assert "is about a session without a row" in shop.house.news("web")
    shop.reconcile()
    assert shop.rows(select(Order)) == shop.rows(select(Payment)) == []
    # Money that no order of ours expects is for a person.
    (finding,) = shop.rows(select(Finding))
    assert (finding.kind, finding.reference) == (FindingKind.SESSION_UNKNOWN, session_id)
    shop.advance(hours=25)
    assert shop.stripe.webhooks.send(event).status == 200
    assert shop.rows(select(Order)) == shop.rows(select(Payment)) == []


def test_case_21_an_unknown_payment_status(running_shop: RunningShop) -> None:
    """A complete session whose payment status Stripe has invented since: not paid, in the log; paid once it is."""
    shop = running_shop
    shop.hold_events()
    buyer = shop.buyer()
    session_id = buyer.check_out()
    buyer.pay(session_id, wait=False)
    order = shop.order_of(buyer)
    shop.money.alter_session(session_id, payment_status="partly_paid")
    event = shop.event(COMPLETED, session_id)
    assert shop.stripe.webhooks.send(event).status == 200
    assert shop.row(order).status is OrderStatus.PENDING
    assert "has payment status 'partly_paid'" in shop.house.news("web")
    shop.money.alter_session(session_id, payment_status="paid")
    shop.advance(minutes=3)
    shop.reconcile()
    shop.wait_until_delivered(order)


# Case 22.

DECLINED = {
    "4000000000000002": "generic_decline",
    "4000000000009995": "insufficient_funds",
    "4000000000000069": "expired_card",
    "4000000000000119": "processing_error",
}
ASKS_EVERY_TIME = "4000002760003184"


def test_case_22_declined_and_paid_with_another_card(running_shop: RunningShop) -> None:
    """Four cards are declined, each for a reason that the buyer is told, and the fifth pays: one charge."""
    shop = running_shop
    buyer = shop.buyer()
    session_id = buyer.check_out()
    order = shop.order_of(buyer)
    messages = set()
    for card, reason in DECLINED.items():
        declined = buyer.pay(session_id, card)
        assert (declined.status, declined.decline_code) == ("open", reason)
        messages.add(declined.message)
        # Back in the shop: nothing was charged, and the way back leads to the same page.
        page = buyer.get(f"/en/orders/{order.public_id}")
        assert "This order is not paid yet. Nothing was charged." in page.text
        assert buyer.session_of(buyer.submit(page.button)) == session_id
    assert len(messages) == len(DECLINED)
    buyer.pay(session_id)
    shop.wait_until_delivered(order)
    assert shop.stripe.summary()["charges"] == {"failed": 4, "succeeded": 1}
    assert len(shop.money.attempts(order)) == 1


def test_case_22_declined_and_paid_with_the_same_card(running_shop: RunningShop) -> None:
    """Authentication fails, and the same card is tried again and pays: one charge, on the same session."""
    shop = running_shop
    buyer = shop.buyer()
    session_id = buyer.check_out()
    assert buyer.pay(session_id, ASKS_EVERY_TIME, outcome="fail").code == "payment_intent_authentication_failure"
    assert buyer.pay(session_id, ASKS_EVERY_TIME).payment_status == "paid"
    shop.wait_until_delivered(shop.order_of(buyer))


def test_case_22_authentication_is_abandoned(running_shop: RunningShop) -> None:
    """The buyer leaves in the middle of 3-D Secure: nothing is charged, and the way back has a new page and key."""
    shop = running_shop
    buyer = shop.buyer()
    session_id = buyer.check_out()
    assert buyer.pay(session_id, ASKS_EVERY_TIME, outcome=None).status == "open"
    order = shop.order_of(buyer)
    shop.reconcile()
    assert shop.row(order).status is OrderStatus.PENDING
    shop.advance(minutes=70)
    page = buyer.get(f"/en/orders/{order.public_id}")
    assert "Nothing was charged." in page.text
    again = buyer.session_of(buyer.submit(page.button))
    assert again != session_id
    buyer.pay(again)
    shop.wait_until_delivered(order)
    keys = [attempt.idempotency_key for attempt in shop.money.attempts(order)]
    assert len(set(keys)) == 2


def test_case_22_a_replayed_failure_does_not_swallow_the_retry(running_shop: RunningShop) -> None:
    """Stripe keeps a failure under our key and would replay it for a day: the same click goes on under a new key."""
    shop = running_shop
    shop.stripe.fault("500", method="POST", path="/v1/checkout/sessions", saved=True)
    buyer = shop.buyer()
    session_id = buyer.check_out()
    order = shop.order_of(buyer)
    first, second = shop.money.attempts(order)
    assert (first.status, second.status) == (AttemptStatus.SUPERSEDED, AttemptStatus.OPEN)
    assert first.idempotency_key != second.idempotency_key
    buyer.pay(session_id)
    shop.wait_until_delivered(order)
