"""The Stripe stand-in answers the real client library: sessions, the hosted page, payments, refunds, disputes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import stripe

from sandbox.server import Sandbox, SandboxSettings
from sandbox.stripe import StripeSandbox, contract
from sandbox.stripe.errors import ApiError

Create = Callable[..., Any]
KEY = "sk_test_sandbox"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> StripeSandbox:
    running.stripe.reset()
    return running.stripe


@pytest.fixture
def client(running: Sandbox, sandbox: StripeSandbox) -> Any:
    return stripe.StripeClient(KEY, base_addresses={"api": running.url}).v1


@pytest.fixture
def browser(running: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, trust_env=False) as browser:
        yield browser


@pytest.fixture
def create(client: Any) -> Create:
    def create(amount: int = 1250, currency: str = "eur", **more: Any) -> Any:
        price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Monaco 1 GB"}}
        return client.checkout.sessions.create(
            {
                "mode": "payment",
                "line_items": [{"price_data": price, "quantity": 1}],
                "success_url": "http://shop.test/done?session={CHECKOUT_SESSION_ID}",
                "cancel_url": "http://shop.test/cart",
                **more,
            }
        )

    return create


def paid_charge(sandbox: StripeSandbox, session: Any, **more: Any) -> str:
    assert sandbox.pay(session.id, **more).payment_status == "paid"
    return str(sandbox.objects("ch")[-1]["id"])


def test_a_session_has_no_payment_until_the_buyer_confirms(client: Any, create: Create, sandbox: StripeSandbox) -> None:
    session = create(metadata={"order": "A1"}, payment_intent_data={"metadata": {"note": "x"}})
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert session.payment_method_types == ["card", "paypal", "alipay", "wechat_pay"]
    assert session.livemode is False
    sandbox.pay(session.id)
    session = client.checkout.sessions.retrieve(
        session.id, {"expand": ["payment_intent.latest_charge", "line_items", "customer"]}
    )
    assert (session.status, session.payment_status, session.amount_total) == ("complete", "paid", 1250)
    assert session.payment_intent.metadata.to_dict() == {"note": "x"}, "the session's metadata is not copied"
    assert session.payment_intent.latest_charge.amount == 1250
    assert session.line_items.data[0].price.unit_amount == 1250
    assert client.checkout.sessions.line_items.list(session.id).data[0].description == "Monaco 1 GB"


def test_sessions_expire_by_the_clock_and_only_from_open(client: Any, create: Create, sandbox: StripeSandbox) -> None:
    session = create(expires_at=int(time.time()) + 1800)
    sandbox.advance(timedelta(minutes=31))
    assert client.checkout.sessions.retrieve(session.id).status == "expired"
    assert [event.data.object.id for event in client.events.list({"type": "checkout.session.expired"})] == [session.id]
    with pytest.raises(stripe.InvalidRequestError, match="status of `expired`"):
        client.checkout.sessions.expire(session.id)
    assert client.checkout.sessions.expire(create().id).status == "expired"


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"expires_at": int(time.time()) + 600}, "expires_at", None),
        ({"expires_at": int(time.time()) + 90_000}, "expires_at", None),
        ({"locale": "ar"}, "locale", None),
        ({"payment_method_types": ["card"]}, "payment_method_types", "parameter_unknown"),
        ({"payment_intent_data": {"meta": {"a": "b"}}}, "payment_intent_data[meta]", "parameter_unknown"),
        ({"customer_email": "nobody"}, "customer_email", "email_invalid"),
        ({"success_url": "/done"}, "success_url", "url_invalid"),
        ({"amount": 49}, None, "amount_too_small"),
        ({"amount": 100_000_000}, None, "amount_too_large"),
        ({"amount": 55_050, "currency": "isk"}, None, "invalid_charge_amount_no_decimal_compatible"),
        ({"amount": 5124, "currency": "kwd"}, None, None),
        (
            {"payment_method_options": {"alipay": {"setup_future_usage": "off_session"}}},
            "payment_method_options[alipay][setup_future_usage]",
            None,
        ),
    ],
)
def test_what_stripe_refuses_is_refused(
    create: Create, more: dict[str, Any], param: str | None, code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        create(**more)
    assert (refusal.value.http_status, refusal.value.code, refusal.value.param) == (400, code, param)
    assert str(refusal.value.request_id).startswith("req_")


def test_a_wrong_key_is_refused(running: Sandbox) -> None:
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("sk_test_wrong", base_addresses={"api": running.url}).v1.balance.retrieve()


def test_a_free_session_needs_no_payment(client: Any, create: Create, sandbox: StripeSandbox) -> None:
    session = create(0)
    sandbox.pay(session.id)
    session = client.checkout.sessions.retrieve(session.id)
    assert (session.status, session.payment_status, session.payment_intent) == ("complete", "no_payment_required", None)


def test_objects_carry_every_key_the_library_knows(client: Any, create: Create, sandbox: StripeSandbox) -> None:
    customer = client.customers.create({"email": "a@example.test"})
    client.setup_intents.create({"customer": customer.id, "payment_method": "pm_card_visa", "confirm": True})
    charge = paid_charge(sandbox, create())
    client.refunds.create({"charge": charge, "amount": 100})
    sandbox.open_dispute(charge)
    for prefix in ("cs", "pi", "seti", "cus", "pm", "ch", "re", "dp", "evt"):
        thing = sandbox.objects(prefix)[-1]
        kind, extra = thing["object"], set()
        if kind == "payment_method":
            extra = {thing["type"]}
        assert set(thing) == contract.response_keys(kind) | extra, kind
        for key, annotation in contract.RESOURCES[kind].__annotations__.items():
            if key in thing and type(None) not in get_args(annotation):
                assert thing[key] is not None, f"{kind}.{key} is never null"
    assert set(client.balance.retrieve().to_dict()) == contract.response_keys("balance")


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000000069", "expired_card", "expired_card"),
        ("4242424242424241", "incorrect_number", None),
    ],
)
def test_a_declined_buyer_may_try_again(
    create: Create, sandbox: StripeSandbox, card: str, code: str, decline_code: str | None
) -> None:
    session = create(metadata={"order": "A1"})
    payment = sandbox.pay(session.id, card=card)
    assert (payment.status, payment.code, payment.decline_code) == ("open", code, decline_code)
    assert sandbox.pay(session.id).payment_status == "paid"
    assert len(sandbox.charges_for("A1")) == 1
    assert len(sandbox.objects("pi")) == 1, "one payment with several attempts"


def test_the_hosted_page_sells_without_javascript(
    browser: httpx.Client, create: Create, sandbox: StripeSandbox
) -> None:
    session = create(customer_email="anna@example.test", locale="de")
    page = browser.get(session.url)
    assert 'value="anna@example.test"' in page.text
    assert "12,50\xa0€" in page.text
    refused = browser.post(session.url, data={"email": "anna@example.test", "card": "4000000000009995"})
    assert refused.status_code == 402
    assert "Your card has insufficient funds." in refused.text
    step = browser.post(session.url, data={"email": "b@example.test", "card": "4000000000003220"})
    failed = browser.post(step.headers["location"], data={"outcome": "fail"})
    assert failed.status_code == 402
    step = browser.post(session.url, data={"email": "b@example.test", "card": "4000000000003220"})
    done = browser.post(step.headers["location"], data={"outcome": "complete"})
    assert done.status_code == 303
    assert parse_qs(urlsplit(done.headers["location"]).query) == {"session": [session.id]}
    assert "already paid" in browser.get(session.url).text
    assert sandbox.objects("cs")[-1]["customer_details"]["email"] == "b@example.test"


def test_the_hosted_page_goes_back_and_expires(browser: httpx.Client, create: Create, client: Any) -> None:
    session = create()
    back = browser.post(session.url, data={"action": "back"})
    assert (back.status_code, back.headers["location"]) == (303, "http://shop.test/cart")
    client.checkout.sessions.expire(session.id)
    assert browser.get(session.url).status_code == 410
    assert browser.post(session.url, data={"email": "a@example.test", "card": "4242424242424242"}).status_code == 410


@pytest.mark.parametrize("method", ["paypal", "alipay", "wechat_pay"])
def test_wallets_pay_at_once(browser: httpx.Client, create: Create, sandbox: StripeSandbox, method: str) -> None:
    form = {"email": "a@example.test", "method": method, "card_number": "", "action": "pay"}
    assert browser.post(create().url, data=form).status_code == 303
    assert sandbox.objects("ch")[-1]["payment_method_details"]["type"] == method


@pytest.mark.parametrize(("succeeded", "status"), [(True, "paid"), (False, "unpaid")])
def test_a_delayed_payment_ends_later(
    client: Any, create: Create, sandbox: StripeSandbox, succeeded: bool, status: str
) -> None:
    session = create(allowed_payment_method_types=["card", "sepa_debit"])
    payment = sandbox.pay(session.id, method="sepa_debit")
    assert (payment.status, payment.payment_status) == ("complete", "unpaid")
    sandbox.settle_async_payment(session.id, succeeded=succeeded)
    assert client.checkout.sessions.retrieve(session.id).payment_status == status
    kind = f"checkout.session.async_payment_{'succeeded' if succeeded else 'failed'}"
    assert client.events.list({"type": kind}).data[0].data.object.payment_status == status


def test_a_saved_card_is_charged_without_the_buyer(client: Any, create: Create, sandbox: StripeSandbox) -> None:
    options = {"card": {"setup_future_usage": "off_session"}}
    sandbox.pay(create(payment_method_options=options).id, card="4000002500003155")
    session = sandbox.objects("cs")[-1]
    card = client.payment_methods.list({"customer": session["customer"]}).data[0]
    charge = {"amount": 900, "currency": "eur", "customer": session["customer"], "off_session": True, "confirm": True}
    assert client.payment_intents.create({**charge, "payment_method": card.id}).status == "succeeded"
    strict = client.payment_methods.attach("pm_card_authenticationRequired", {"customer": session["customer"]})
    with pytest.raises(stripe.CardError) as refusal:
        client.payment_intents.create({**charge, "payment_method": strict.id})
    assert refusal.value.code == "authentication_required"
    error: Any = refusal.value.error
    assert error.payment_intent.status == "requires_payment_method"
    client.payment_methods.detach(card.id)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        client.payment_intents.create({**charge, "payment_method": card.id})
    client.customers.delete(session["customer"])
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.payment_intents.create({**charge, "payment_method": strict.id})
    assert (missing.value.code, missing.value.param) == ("resource_missing", "customer")


def test_a_payment_intent_asks_for_authentication(client: Any, browser: httpx.Client) -> None:
    intent = client.payment_intents.create(
        {
            "amount": 900,
            "currency": "eur",
            "payment_method": "pm_card_threeDSecure2Required",
            "confirm": True,
            "return_url": "http://shop.test/back",
        }
    )
    assert intent.status == "requires_action"
    back = browser.post(intent.next_action.redirect_to_url.url, data={"outcome": "complete"})
    assert back.headers["location"] == f"http://shop.test/back?payment_intent={intent.id}"
    assert client.payment_intents.retrieve(intent.id).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.payment_intents.cancel(intent.id)
    assert refusal.value.code == "payment_intent_unexpected_state"


def test_refunds_never_exceed_the_charge(client: Any, create: Create, sandbox: StripeSandbox) -> None:
    charge = paid_charge(sandbox, create())
    assert client.refunds.create({"charge": charge, "amount": 400}).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount") as refusal:
        client.refunds.create({"charge": charge, "amount": 851})
    assert refusal.value.param == "amount"
    last = client.refunds.create({"charge": charge, "reason": "requested_by_customer"})
    assert last.amount == 850
    with pytest.raises(stripe.InvalidRequestError) as twice:
        client.refunds.create({"charge": charge})
    assert twice.value.code == "charge_already_refunded"
    assert client.charges.retrieve(charge).refunded is True
    refunded = client.events.list({"type": "charge.refunded"})
    assert [event.data.object.amount_refunded for event in refunded] == [1250, 400], "cumulative, newest first"
    sandbox.settle_refund(last.id, "failed")
    assert client.refunds.retrieve(last.id).failure_reason == "expired_or_canceled_card"
    assert client.charges.retrieve(charge).amount_refunded == 400
    assert len(client.events.list({"type": "refund.failed"}).data) == 1


def test_a_refund_may_be_pending_first(client: Any, create: Create, sandbox: StripeSandbox) -> None:
    sandbox.account.refund_status = "pending"
    refund = client.refunds.create({"charge": paid_charge(sandbox, create())})
    assert refund.status == "pending"
    sandbox.settle_refund(refund.id, "succeeded")
    assert client.refunds.retrieve(refund.id).status == "succeeded"


def test_a_disputed_charge_cannot_be_refunded(client: Any, create: Create, sandbox: StripeSandbox) -> None:
    charge = paid_charge(sandbox, create(), card="4000000000000259")
    dispute = client.disputes.list({"charge": charge}).data[0]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.refunds.create({"charge": charge})
    assert refusal.value.code == "charge_disputed"
    sandbox.close_dispute(dispute.id, "won")
    assert client.disputes.retrieve(dispute.id).status == "won"
    kinds = {event.type for event in client.events.list({"type": "charge.dispute.*", "limit": 100})}
    assert kinds == {
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    }
    with pytest.raises(ApiError):
        sandbox.close_dispute(dispute.id, "lost")


def test_a_restarted_sandbox_remembers(tmp_path: Path) -> None:
    state = tmp_path / "sandbox.sqlite"
    with Sandbox(SandboxSettings(state_file=state)) as first:
        client: Any = stripe.StripeClient(KEY, base_addresses={"api": first.url}).v1
        intent = {"amount": 900, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
        made = client.payment_intents.create(intent, {"idempotency_key": "k1"})
    with Sandbox(SandboxSettings(state_file=state)) as second:
        client = stripe.StripeClient(KEY, base_addresses={"api": second.url}).v1
        assert client.payment_intents.create(intent, {"idempotency_key": "k1"}).id == made.id
        assert [charge.payment_intent for charge in client.charges.list()] == [made.id]


@pytest.mark.parametrize("locale", contract.literals("checkout.SessionCreateParams", "locale"))
def test_the_hosted_page_speaks_every_locale(browser: httpx.Client, create: Create, locale: str) -> None:
    page = browser.get(create(locale=locale, currency="jpy").url)
    assert page.status_code == 200
    assert re.search(r"1\D?250", page.text)


def test_lists_are_paged_in_both_directions(client: Any, create: Create) -> None:
    made = [create().id for _ in range(7)]
    first = client.checkout.sessions.list({"limit": 3})
    assert [session.id for session in first.data] == made[:3:-1]
    assert first.has_more is True
    assert [session.id for session in first.auto_paging_iter()] == made[::-1]
    newer = client.checkout.sessions.list({"ending_before": made[0], "limit": 2})
    assert [session.id for session in newer.data] == [made[2], made[1]]
    assert newer.has_more is True
    assert sorted(session.id for session in newer.auto_paging_iter()) == sorted(made[1:])
    assert client.checkout.sessions.list({"created": {"gt": int(time.time()) + 5}}).data == []
    with pytest.raises(stripe.InvalidRequestError):
        client.checkout.sessions.list({"limit": 101})


def test_the_control_api_does_what_the_handle_does(browser: httpx.Client, create: Create) -> None:
    session = create(metadata={"order": "A1"})
    control = "/_control/stripe"
    paid = browser.post(f"{control}/sessions/pay", json={"session": session.id}).json()
    assert paid["payment_status"] == "paid"
    charge = browser.get(f"{control}/charges", params={"value": "A1"}).json()["charges"][0]
    refund = browser.post(f"{control}/refunds/create", json={"charge": charge["id"], "amount": 250}).json()
    assert refund["amount"] == 250
    summary = browser.get(f"{control}/summary").json()
    assert summary["by_metadata"] == {"A1": {"sessions": 1, "charges": 1, "captured": 1250, "refunded": 250}}
    assert browser.post(f"{control}/refunds/create", json={"charge": "ch_x"}).status_code == 404
    assert browser.post(f"{control}/faults", json={"kind": "nonsense"}).status_code == 400
    assert browser.post(f"{control}/faults", json={"nonsense": 1}).status_code == 400
    assert browser.get(f"{control}/webhooks").json()["holding"] is False


def test_the_dashboard_refunds_and_disputes(browser: httpx.Client, create: Create, sandbox: StripeSandbox) -> None:
    charge = paid_charge(sandbox, create())
    assert browser.post("/stripe/", data={"action": "refund", "id": charge, "amount": "50"}).status_code == 303
    assert browser.post("/stripe/", data={"action": "dispute", "id": charge}).status_code == 303
    assert browser.post("/stripe/", data={"action": "refund", "id": charge}).status_code == 400
    page = browser.get("/stripe/").text
    assert "€0.50 refunded, disputed" in page
    assert "needs_response" in page
