"""The Stripe side of the gateway's contract: Stripe's own client over HTTP, and every answer in the shop's words."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import stripe

from config import StripeSettings
from sandbox.server import Sandbox
from sandbox.stripe import StripeSandbox, checkout
from sandbox.stripe.delivery import signature_header
from services.identifiers import random_key
from services.languages import LANGUAGES
from services.payments import (
    AnswerReplayed,
    BadSignature,
    GatewayRefused,
    GatewayUnavailable,
    SessionNotFound,
    SessionRequest,
)
from services.payments.stripe_gateway import ORIGIN, StripeGateway

SESSIONS, REFUNDS = "/v1/checkout/sessions", "/v1/refunds"
REQUEST = SessionRequest(
    attempt_reference="ABCDEFGHJK-1",
    order_public_id="ABCDEFGHJK",
    amount_minor=1490,
    currency="EUR",
    product_name="Monaco 1 GB",
    product_description="1 GB · ABCDEFGHJK",
    email="traveller@example.com",
    locale="en",
    success_url="http://shop.example/en/orders/ABCDEFGHJK?key=secret",
    cancel_url="http://shop.example/en/orders/ABCDEFGHJK",
    expires_at=datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1),
)


@pytest.fixture
def server(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> StripeSandbox:
    """Return Stripe; its client does not pause here between its own two tries."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    return sandbox.stripe


@pytest.fixture
def settings(sandbox: Sandbox) -> StripeSettings:
    keys = sandbox.settings
    return StripeSettings(
        secret_key=keys.stripe_secret_key, webhook_secret=keys.stripe_webhook_secret, api_base=sandbox.url
    )


@pytest.fixture
def gateway(server: StripeSandbox, settings: StripeSettings) -> StripeGateway:
    return StripeGateway(settings)


def paid(gateway: StripeGateway, server: StripeSandbox) -> str:
    """Pay a session and return the reference of its payment."""
    session = gateway.open_session(REQUEST, random_key())
    server.pay(session.session_id)
    reference = gateway.get_session(session.session_id).payment_reference
    assert reference is not None
    return reference


def test_a_session_is_what_was_asked_for(gateway: StripeGateway, server: StripeSandbox) -> None:
    state = gateway.open_session(REQUEST, random_key())
    assert (state.status, state.payment_status, state.livemode) == ("open", "unpaid", False)
    assert (state.amount_minor, state.currency) == (1490, "EUR")
    assert (state.payment_reference, state.intent_status) == (None, None)
    assert state.attempt_reference == REQUEST.attempt_reference
    assert abs(state.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    (session,) = server.objects("cs")
    assert (session["id"], session["url"]) == (state.session_id, state.url)
    assert session["metadata"] == {"origin": ORIGIN, "attempt": "ABCDEFGHJK-1", "order": "ABCDEFGHJK"}
    assert session["expires_at"] == int(REQUEST.expires_at.timestamp())
    assert gateway.get_session(state.session_id) == state


def test_a_paid_session_names_its_payment_which_says_what_it_is_for(
    gateway: StripeGateway, server: StripeSandbox
) -> None:
    reference = paid(gateway, server)
    (session,) = server.objects("cs")
    state = gateway.get_session(session["id"])
    assert (state.status, state.payment_status, state.intent_status) == ("complete", "paid", "succeeded")
    (intent,) = server.objects("pi")
    assert (intent["id"], intent["metadata"]["attempt"]) == (reference, "ABCDEFGHJK-1")


def test_the_same_key_is_the_same_session(gateway: StripeGateway, server: StripeSandbox) -> None:
    first = gateway.open_session(REQUEST, "key")
    assert gateway.open_session(REQUEST, "key") == first
    assert gateway.open_session(REQUEST, "another key") != first
    assert len(server.objects("cs")) == 2


def test_a_request_survives_being_stored(gateway: StripeGateway, server: StripeSandbox) -> None:
    first = gateway.open_session(REQUEST, "key")
    stored = json.loads(json.dumps(REQUEST.to_json()))
    assert SessionRequest.from_json(stored) == REQUEST
    assert gateway.open_session(SessionRequest.from_json(stored), "key") == first


def test_an_answer_lost_once_is_asked_for_again_by_the_client_itself(
    gateway: StripeGateway, server: StripeSandbox
) -> None:
    server.fault("drop_after", method="POST", path=SESSIONS)
    gateway.open_session(REQUEST, "key")
    assert len(server.objects("cs")) == 1


@pytest.mark.parametrize("fault", ["500", "503", "429", "409", "drop_before", "drop_after", "bad_json"])
def test_no_useful_answer_is_not_a_no(gateway: StripeGateway, server: StripeSandbox, fault: str) -> None:
    session = gateway.open_session(REQUEST, random_key())
    reference = paid(gateway, server)
    refund = gateway.refund(reference, 100, random_key())
    server.fault(fault, count=None)
    with pytest.raises(GatewayUnavailable):
        gateway.open_session(REQUEST, random_key())
    with pytest.raises(GatewayUnavailable):
        gateway.get_session(session.session_id)
    with pytest.raises(GatewayUnavailable):
        gateway.expire_session(session.session_id)
    with pytest.raises(GatewayUnavailable):
        list(gateway.list_sessions(REQUEST.expires_at - timedelta(days=1)))
    with pytest.raises(GatewayUnavailable):
        gateway.refund(reference, 100, random_key())
    with pytest.raises(GatewayUnavailable):
        gateway.get_refund(refund.reference)


def test_nobody_at_the_address_is_not_a_no(server: StripeSandbox, settings: StripeSettings) -> None:
    with pytest.raises(GatewayUnavailable):
        StripeGateway(replace(settings, api_base="http://127.0.0.1:9")).open_session(REQUEST, "key")


def test_a_key_that_stripe_does_not_accept_is_not_a_no(server: StripeSandbox, settings: StripeSettings) -> None:
    with pytest.raises(GatewayUnavailable):
        StripeGateway(replace(settings, secret_key="sk_test_wrong")).open_session(REQUEST, "key")


def test_a_stored_failure_is_told_apart(gateway: StripeGateway, server: StripeSandbox) -> None:
    server.fault("500", method="POST", path=SESSIONS, saved=True, should_retry=False)
    with pytest.raises(GatewayUnavailable):
        gateway.open_session(REQUEST, "key")
    with pytest.raises(AnswerReplayed):
        gateway.open_session(REQUEST, "key")


def test_another_request_under_a_known_key_is_told_apart(gateway: StripeGateway) -> None:
    gateway.open_session(REQUEST, "key")
    with pytest.raises(AnswerReplayed):
        gateway.open_session(replace(REQUEST, amount_minor=1), "key")


def test_a_no_names_its_reason(gateway: StripeGateway) -> None:
    with pytest.raises(GatewayRefused) as refusal:
        gateway.open_session(replace(REQUEST, amount_minor=10), "key")
    assert refusal.value.code == "amount_too_small"


def test_what_stripe_does_not_know_is_named(gateway: StripeGateway, server: StripeSandbox) -> None:
    with pytest.raises(SessionNotFound):
        gateway.get_session("cs_test_unknown")
    with pytest.raises(SessionNotFound):
        gateway.expire_session("cs_test_unknown")
    with pytest.raises(GatewayRefused) as refusal:
        gateway.refund("pi_unknown", 1, "key")
    assert refusal.value.code == "resource_missing"
    with pytest.raises(GatewayRefused) as refusal:
        gateway.get_refund("re_unknown")
    assert refusal.value.code == "resource_missing"


def test_closing_a_session_says_how_it_stands(gateway: StripeGateway, server: StripeSandbox) -> None:
    session = gateway.open_session(REQUEST, random_key())
    for _time in range(2):
        assert gateway.expire_session(session.session_id).status == "expired"
    paid(gateway, server)
    complete = server.objects("cs")[1]["id"]
    assert gateway.expire_session(complete).status == "complete"


@pytest.mark.parametrize(("executed", "status"), [(True, "expired"), (False, "open")])
def test_closing_a_session_says_how_it_stands_although_the_failure_is_repeated(
    gateway: StripeGateway, server: StripeSandbox, executed: bool, status: str
) -> None:
    session = gateway.open_session(REQUEST, random_key())
    # The client tries again under its own key, for which Stripe has stored the failure.
    server.fault("500", method="POST", path=f"{SESSIONS}/*/expire", executed=executed, saved=True)
    assert gateway.expire_session(session.session_id).status == status


def test_all_sessions_are_listed_newest_first_page_by_page(gateway: StripeGateway, server: StripeSandbox) -> None:
    price = {"currency": "eur", "unit_amount": "100", "product_data": {"name": "Another application's"}}
    parameters = {"mode": "payment", "line_items": [{"price_data": price, "quantity": "1"}], "success_url": "http://x/"}
    ours = gateway.open_session(REQUEST, random_key())
    for _number in range(104):
        with server.account.lock:
            checkout.create(server.account, dict(parameters))
    listed = list(gateway.list_sessions(datetime.now(UTC) - timedelta(days=1)))
    assert len({session.session_id for session in listed}) == 105
    assert listed[-1] == ours
    assert {session.attempt_reference for session in listed[:-1]} == {None}
    assert len(server.requests("GET", SESSIONS)) == 2
    assert list(gateway.list_sessions(datetime.now(UTC) + timedelta(minutes=1))) == []


def test_a_refund_goes_out_once_per_key(gateway: StripeGateway, server: StripeSandbox) -> None:
    reference = paid(gateway, server)
    refund = gateway.refund(reference, 1000, "key")
    assert gateway.refund(reference, 1000, "key") == refund
    assert (refund.status, refund.amount_minor, refund.currency) == ("succeeded", 1000, "EUR")
    assert (refund.payment_reference, gateway.get_refund(refund.reference)) == (reference, refund)
    with pytest.raises(GatewayRefused):
        gateway.refund(reference, 491, "another key")


@pytest.mark.parametrize("status", ["pending", "requires_action"])
def test_a_refund_that_takes_time_says_so(gateway: StripeGateway, server: StripeSandbox, status: str) -> None:
    server.account.refund_status = status
    refund = gateway.refund(paid(gateway, server), 1490, "key")
    assert refund.status == status
    server.settle_refund(refund.reference, "failed")
    assert gateway.get_refund(refund.reference).status == "failed"


@pytest.mark.parametrize(("code", "reason"), [("charge_disputed", "disputed"), ("charge_already_refunded", "refunded")])
def test_a_refund_that_cannot_be_is_refused(
    gateway: StripeGateway, server: StripeSandbox, code: str, reason: str
) -> None:
    reference = paid(gateway, server)
    (charge,) = server.objects("ch")
    if reason == "disputed":
        server.open_dispute(charge["id"])
    else:
        server.refund(charge["id"])
    with pytest.raises(GatewayRefused) as refusal:
        gateway.refund(reference, 1490, "key")
    assert refusal.value.code == code


@pytest.mark.parametrize("language", LANGUAGES)
def test_stripe_knows_every_language_of_the_shop(gateway: StripeGateway, language: str) -> None:
    gateway.open_session(replace(REQUEST, locale=LANGUAGES[language].stripe_locale), random_key())


@pytest.mark.parametrize(("amount", "currency"), [(0, "EUR"), (2600, "JPY"), (17_200, "AED"), (1290, "CHF")])
def test_amounts_are_in_minor_units_of_their_currency(
    gateway: StripeGateway, server: StripeSandbox, amount: int, currency: str
) -> None:
    state = gateway.open_session(replace(REQUEST, amount_minor=amount, currency=currency), random_key())
    assert (state.amount_minor, state.currency) == (amount, currency)
    server.pay(state.session_id)
    after = gateway.get_session(state.session_id)
    assert after.payment_status == ("paid" if amount else "no_payment_required")
    assert (after.payment_reference is None) == (amount == 0)


def signed(payload: bytes, settings: StripeSettings) -> str:
    return signature_header(payload, [settings.webhook_secret], int(time.time()))


@pytest.fixture
def event(gateway: StripeGateway, server: StripeSandbox) -> dict[str, object]:
    paid(gateway, server)
    (event,) = [each for each in server.objects("evt") if each["type"] == "checkout.session.completed"]
    return event


def test_an_event_is_read(gateway: StripeGateway, settings: StripeSettings, event: dict[str, object]) -> None:
    payload = json.dumps(event).encode()
    parsed = gateway.parse_event(payload, signed(payload, settings))
    assert (parsed.event_id, parsed.type) == (event["id"], "checkout.session.completed")
    assert parsed.session_id == parsed.object_id
    assert parsed.session_id is not None
    assert parsed.session_id.startswith("cs_")
    assert not parsed.livemode
    assert abs(parsed.created_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_event_about_something_else_names_no_session(gateway: StripeGateway, settings: StripeSettings) -> None:
    payload = json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "type": "refund.updated",
            "livemode": False,
            "created": 1,
            "data": {"object": {"id": "re_1", "object": "refund"}},
        }
    ).encode()
    parsed = gateway.parse_event(payload, signed(payload, settings))
    assert (parsed.object_id, parsed.session_id) == ("re_1", None)


def test_without_a_secret_nothing_is_believed(settings: StripeSettings, event: dict[str, object]) -> None:
    payload = json.dumps(event).encode()
    unset = replace(settings, webhook_secret="")
    with pytest.raises(BadSignature):
        StripeGateway(unset).parse_event(payload, signed(payload, unset))


def test_neither_key_nor_buyer_reaches_the_log(
    gateway: StripeGateway, server: StripeSandbox, settings: StripeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        paid(gateway, server)
        for request in (replace(REQUEST, amount_minor=1), replace(REQUEST, locale="xx")):
            with pytest.raises(GatewayRefused):
                gateway.open_session(request, "idempotency-key-of-the-test")
    for secret in (settings.secret_key, settings.webhook_secret, REQUEST.email, "key=secret", "idempotency-key"):
        assert secret not in caplog.text
    assert settings.secret_key not in repr(settings)
