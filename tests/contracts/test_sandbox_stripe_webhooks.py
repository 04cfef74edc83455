"""The Stripe stand-in's webhooks: signed, retried, held, doubled, lost, reordered, forged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from sandbox.server import Sandbox, SandboxSettings
from sandbox.stripe import StripeSandbox

SECRET = "whsec_sandbox"


class Receiver:
    """A webhook endpoint that remembers what it was sent and answers `answers` in turn, then 200."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[str | None] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(body)
                receiver.headers.append(self.headers["Stripe-Signature"])
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def events(self) -> list[Any]:
        """Return what was received, each verified by the client library."""
        return [
            stripe.Webhook.construct_event(body, header or "", SECRET)
            for body, header in zip(self.bodies, self.headers, strict=True)
        ]

    def types(self) -> list[str]:
        """Return the types of what was received."""
        return [event.type for event in self.events()]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(stripe_webhook_secret=SECRET)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> StripeSandbox:
    running.stripe.reset()
    return running.stripe


@pytest.fixture
def receiver(sandbox: StripeSandbox) -> Iterator[Receiver]:
    receiver = Receiver()
    sandbox.webhook_url = receiver.url
    sandbox.webhooks.retry_delays = (0.01, 0.01)
    yield receiver
    sandbox.webhooks.forget()
    sandbox.webhook_url = ""
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def client(running: Sandbox, sandbox: StripeSandbox) -> Any:
    return stripe.StripeClient("sk_test_sandbox", base_addresses={"api": running.url}).v1


@pytest.fixture
def session(client: Any) -> Any:
    price = {"currency": "eur", "unit_amount": 1250, "product_data": {"name": "Monaco 1 GB"}}
    return client.checkout.sessions.create(
        {"mode": "payment", "line_items": [{"price_data": price, "quantity": 1}], "success_url": "http://shop.test/"}
    )


def state_of(sandbox: StripeSandbox, event_id: str) -> dict[str, Any]:
    delivery: dict[str, Any] = sandbox.account.find("evt", event_id)["_delivery"]
    return delivery


def test_events_are_signed_and_say_what_happened(session: Any, sandbox: StripeSandbox, receiver: Receiver) -> None:
    sandbox.pay(session.id)
    assert sandbox.wait_for_webhooks()
    events = {event.type: event for event in receiver.events()}
    assert set(events) == {
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    }
    completed = events["checkout.session.completed"]
    assert (completed.data.object.id, completed.data.object.payment_status) == (session.id, "paid")
    assert completed.api_version == stripe.api_version
    assert completed.livemode is False


def test_paying_waits_for_the_shop_to_be_told(session: Any, sandbox: StripeSandbox, receiver: Receiver) -> None:
    sandbox.pay(session.id)
    assert "checkout.session.completed" in receiver.types()


@pytest.mark.parametrize("status", [500, 302, 404])
def test_what_is_not_2xx_is_sent_again(sandbox: StripeSandbox, receiver: Receiver, status: int) -> None:
    receiver.answers = [status, status]
    event_id = sandbox.emit("customer.created", {"id": "cus_1", "object": "customer"})
    assert sandbox.wait_for_webhooks()
    assert [event.id for event in receiver.events()] == [event_id] * 3
    assert state_of(sandbox, event_id)["state"] == "delivered"


def test_an_event_fails_in_the_end(client: Any, sandbox: StripeSandbox, receiver: Receiver) -> None:
    receiver.answers = [500] * 3
    event_id = sandbox.emit("customer.created", {"id": "cus_1", "object": "customer"})
    assert sandbox.wait_for_webhooks()
    delivery = state_of(sandbox, event_id)
    assert (delivery["state"], delivery["attempts"], delivery["last_status"]) == ("failed", 3, 500)
    assert [event.id for event in client.events.list({"delivery_success": False})] == [event_id]
    assert sandbox.resend(event_id)[0].status == 200
    assert client.events.list({"delivery_success": False}).data == []
    assert [event.id for event in client.events.list({"delivery_success": True})] == [event_id]


def test_without_an_address_events_stay_undelivered(client: Any, session: Any, sandbox: StripeSandbox) -> None:
    sandbox.pay(session.id)
    undelivered = client.events.list({"delivery_success": False, "types": ["checkout.session.completed"]})
    assert [event.data.object.id for event in undelivered] == [session.id]


def test_held_events_are_released_in_any_order(session: Any, sandbox: StripeSandbox, receiver: Receiver) -> None:
    sandbox.webhooks.hold()
    sandbox.pay(session.id)
    assert receiver.bodies == []
    ids = [event["id"] for event in sandbox.objects("evt")]
    assert sandbox.webhooks.release(event_ids=[ids[2]]) == [ids[2]]
    assert sandbox.wait_for_webhooks()
    assert sandbox.webhooks.release("newest") == [ids[3], ids[1], ids[0]]
    assert sandbox.wait_for_webhooks()
    assert [event.id for event in receiver.events()] == [ids[2], ids[3], ids[1], ids[0]]


def test_events_are_doubled_and_lost(sandbox: StripeSandbox, receiver: Receiver) -> None:
    sandbox.webhooks.copies = 3
    sandbox.webhooks.drop_next(1, ["customer.updated"])
    thing = {"id": "cus_1", "object": "customer"}
    created, updated = sandbox.emit("customer.created", thing), sandbox.emit("customer.updated", thing)
    assert sandbox.wait_for_webhooks()
    assert [event.id for event in receiver.events()] == [created] * 3
    assert state_of(sandbox, updated)["state"] == "dropped"
    assert [answer.status for answer in sandbox.resend(updated, times=4, parallel=True)] == [200] * 4


def test_events_are_lost_doubled_and_late_at_random(sandbox: StripeSandbox, receiver: Receiver) -> None:
    """By their shares and by the seed; what became of each is on the books."""

    def emit(number: int) -> list[int]:
        ids = [sandbox.emit("customer.created", {"id": f"cus_{each}", "object": "customer"}) for each in range(number)]
        assert sandbox.wait_for_webhooks()
        arrived = [event.id for event in receiver.events()]
        receiver.bodies.clear()
        receiver.headers.clear()
        return [arrived.count(each) for each in ids]

    fates = []
    for _ in range(2):
        sandbox.reset()
        sandbox.webhooks.chaos(doubled=0.3, dropped=0.2, delayed=0.5, seconds=0.05, seed=3)
        fates.append(emit(40))
    assert fates[0] == fates[1]
    assert {0, 1, 2} == set(fates[0])
    states = [(each["state"], each["copies"]) for each in sandbox.webhooks.deliveries()]
    assert states == [("delivered", copies) if copies else ("dropped", 1) for copies in fates[0]]
    sandbox.webhooks.chaos()
    assert emit(10) == [1] * 10
    with pytest.raises(ValueError, match="shares"):
        sandbox.webhooks.chaos(doubled=0.6, dropped=0.5)


def test_late_events_are_overtaken(sandbox: StripeSandbox, receiver: Receiver) -> None:
    sandbox.webhooks.chaos(delayed=0.5, seconds=0.3, seed=1)
    ids = [sandbox.emit("customer.created", {"id": f"cus_{each}", "object": "customer"}) for each in range(20)]
    assert sandbox.wait_for_webhooks()
    arrived = [event.id for event in receiver.events()]
    assert sorted(arrived) == sorted(ids)
    assert arrived != ids


def test_one_change_may_have_two_events(sandbox: StripeSandbox, receiver: Receiver) -> None:
    event_id = sandbox.emit("customer.created", {"id": "cus_1", "object": "customer"})
    other = sandbox.twin(event_id)
    assert sandbox.wait_for_webhooks()
    assert {event.id for event in receiver.events()} == {event_id, other}
    assert len({event.data.object.id for event in receiver.events()}) == 1


def test_forged_deliveries_are_told_apart(sandbox: StripeSandbox, receiver: Receiver) -> None:
    payload = b'{"id": "evt_1", "object": "event", "type": "x", "data": {"object": {}}}'
    assert sandbox.forge(payload, secrets=["whsec_old", SECRET]).status == 200
    assert receiver.types() == ["x"], "two signatures while a secret is rolled"
    for forged in ({"secrets": ["wrong"]}, {"age": 301}, {"scheme": "v0"}, {"unsigned": True}, {"header": "junk"}):
        sandbox.forge(payload, **forged)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(receiver.bodies[-1], receiver.headers[-1] or "", SECRET)
    sandbox.forge(b"\xff\xfe")
    assert receiver.bodies[-1] == b"\xff\xfe"


def test_events_are_paged(client: Any, sandbox: StripeSandbox) -> None:
    ids = [sandbox.emit("customer.created", {"id": f"cus_{number}", "object": "customer"}) for number in range(25)]
    first = client.events.list({"limit": 10, "types": ["customer.created"]})
    assert first.has_more is True
    assert [event.id for event in first.auto_paging_iter()] == ids[::-1]
    assert [event.id for event in client.events.list({"ending_before": ids[22]}).data] == [ids[24], ids[23]]
    with pytest.raises(stripe.InvalidRequestError):
        client.events.list({"types": ["a"] * 21})
