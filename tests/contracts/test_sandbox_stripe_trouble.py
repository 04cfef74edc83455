"""The Stripe stand-in fails as Stripe does: idempotency keys, faults, lost connections, two buyers at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
import stripe

from sandbox.server import Sandbox
from sandbox.stripe import StripeSandbox

INTENT = {"amount": 900, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}


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
    return stripe.StripeClient("sk_test_sandbox", base_addresses={"api": running.url}).v1


@pytest.fixture
def session(client: Any) -> Any:
    price = {"currency": "eur", "unit_amount": 1250, "product_data": {"name": "Monaco 1 GB"}}
    return client.checkout.sessions.create(
        {"mode": "payment", "line_items": [{"price_data": price, "quantity": 1}], "success_url": "http://shop.test/"}
    )


def charged(sandbox: StripeSandbox) -> int:
    return len([charge for charge in sandbox.objects("ch") if charge["status"] == "succeeded"])


def test_a_key_replays_its_first_answer(client: Any, sandbox: StripeSandbox) -> None:
    first = client.payment_intents.create(INTENT, {"idempotency_key": "k1"})
    again = client.payment_intents.create(INTENT, {"idempotency_key": "k1"})
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert charged(sandbox) == 1
    with pytest.raises(stripe.IdempotencyError):
        client.payment_intents.create({**INTENT, "amount": 901}, {"idempotency_key": "k1"})
    assert [entry["outcome"] for entry in sandbox.requests("POST")] == ["executed", "replayed", "refused"]


def test_a_decline_is_replayed_too(client: Any, sandbox: StripeSandbox) -> None:
    declined = {**INTENT, "payment_method": "pm_card_visa_chargeDeclined"}
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refusal:
            client.payment_intents.create(declined, {"idempotency_key": "k1"})
        error: Any = refusal.value.error
        assert error.decline_code == "generic_decline"
    assert len(sandbox.objects("ch")) == 1


def test_a_key_is_forgotten_after_a_day(client: Any, sandbox: StripeSandbox) -> None:
    client.payment_intents.create(INTENT, {"idempotency_key": "k1"})
    sandbox.advance(timedelta(hours=25))
    client.payment_intents.create(INTENT, {"idempotency_key": "k1"})
    assert charged(sandbox) == 2


def test_a_refused_parameter_does_not_use_up_the_key(client: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.payment_intents.create({**INTENT, "nonsense": "1"}, {"idempotency_key": "k1"})
    assert client.payment_intents.create(INTENT, {"idempotency_key": "k1"}).status == "succeeded"


def test_a_key_in_use_is_a_conflict(client: Any, sandbox: StripeSandbox) -> None:
    sandbox.fault("slow", path="/v1/payment_intents", seconds=0.5)
    start = threading.Barrier(2)

    def charge() -> str:
        start.wait()
        try:
            return str(client.payment_intents.create(INTENT, {"idempotency_key": "k1"}).status)
        except stripe.APIError as error:
            body: Any = error.json_body
            return str(body["error"]["code"])

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(charge) for _ in range(2)]
    assert sorted(answer.result() for answer in answers) == ["idempotency_key_in_use", "succeeded"]
    assert charged(sandbox) == 1


def test_a_500_after_execution_began_is_replayed(client: Any, sandbox: StripeSandbox) -> None:
    sandbox.fault("500", executed=True)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failure:
            client.payment_intents.create(INTENT, {"idempotency_key": "k1"})
        assert failure.value.http_status == 500
    assert failure.value.headers is not None
    assert failure.value.headers["Idempotent-Replayed"] == "true"
    assert charged(sandbox) == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("500", stripe.APIError),
        ("503", stripe.APIError),
        ("409", stripe.APIError),
        ("429", stripe.RateLimitError),
        ("drop_before", stripe.APIConnectionError),
    ],
)
def test_a_fault_before_execution_leaves_the_key_free(
    client: Any, sandbox: StripeSandbox, kind: str, error: type[stripe.StripeError]
) -> None:
    sandbox.fault(kind, method="POST", path="/v1/payment_intents*")
    with pytest.raises(error):
        client.payment_intents.create(INTENT, {"idempotency_key": "k1"})
    assert charged(sandbox) == 0
    assert client.payment_intents.create(INTENT, {"idempotency_key": "k1"}).status == "succeeded"
    assert charged(sandbox) == 1


def test_a_lost_answer_and_a_retry_are_one_charge(client: Any, sandbox: StripeSandbox) -> None:
    sandbox.fault("drop_after", path="/v1/payment_intents")
    with pytest.raises(stripe.APIConnectionError):
        client.payment_intents.create(INTENT, {"idempotency_key": "k1"})
    assert charged(sandbox) == 1
    assert client.payment_intents.create(INTENT, {"idempotency_key": "k1"}).status == "succeeded"
    assert charged(sandbox) == 1
    log = [(entry["outcome"], entry["fault"], entry["status"]) for entry in sandbox.requests()]
    assert log == [("executed", "drop_after", None), ("replayed", None, 200)]


def test_the_librarys_own_retry_is_one_charge(client: Any, sandbox: StripeSandbox) -> None:
    sandbox.fault("drop_after")
    assert client.payment_intents.create(INTENT, {"max_network_retries": 1}).status == "succeeded"
    assert charged(sandbox) == 1


def test_a_garbled_answer_is_an_error(client: Any, sandbox: StripeSandbox) -> None:
    sandbox.fault("bad_json")
    with pytest.raises(stripe.APIError, match="Invalid response body"):
        client.payment_intents.create(INTENT)
    assert charged(sandbox) == 1


def test_faults_let_requests_through_and_are_taken_back(client: Any, sandbox: StripeSandbox) -> None:
    number = sandbox.fault("503", path="/v1/balance", count=None, skip=1)
    client.balance.retrieve()
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            client.balance.retrieve()
    assert sandbox.faults.remove(number)
    client.balance.retrieve()


def test_random_faults_repeat_with_their_seed(client: Any, sandbox: StripeSandbox) -> None:
    def outcomes() -> list[bool]:
        sandbox.chaos(0.5, seed=7, kinds=("503",))
        found = []
        for _ in range(12):
            try:
                client.balance.retrieve()
                found.append(True)
            except stripe.APIError:
                found.append(False)
        return found

    first = outcomes()
    assert first == outcomes()
    assert {True, False} == set(first)


def test_some_of_the_requests_meet_a_fault(client: Any, sandbox: StripeSandbox) -> None:
    """By a seed of its own for each fault, and how many did is counted."""

    def statuses() -> list[str]:
        sandbox.reset()
        sandbox.fault("drop_after", count=None, probability=0.3, seed=1)
        sandbox.fault("500", method="POST", count=None, probability=0.3, seed=2, executed=True)
        found = []
        for number in range(30):
            try:
                client.payment_intents.create(INTENT, {"idempotency_key": f"k{number}"})
                found.append("answered")
            except stripe.StripeError as error:
                found.append(type(error).__name__)
        return found

    first = statuses()
    assert statuses() == first
    assert set(first) == {"answered", "APIConnectionError", "APIError"}
    assert sandbox.faults.met() == {
        "drop_after, executed": first.count("APIConnectionError"),
        "status 500, executed": first.count("APIError"),
    }
    assert charged(sandbox) == 30
    with pytest.raises(ValueError, match="probability"):
        sandbox.fault("500", probability=1.5)


def test_two_clicks_charge_once(session: Any, sandbox: StripeSandbox) -> None:
    start = threading.Barrier(8)

    def click() -> int:
        start.wait()
        form = {"email": "a@example.test", "card": "4242424242424242"}
        return httpx.post(session.url, data=form, trust_env=False).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(click) for _ in range(8)]
    assert {answer.result() for answer in answers} == {303}
    assert charged(sandbox) == 1
