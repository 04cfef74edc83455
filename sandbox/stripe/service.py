"""The Python handle of the Stripe stand-in."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from flask import Blueprint

from sandbox.store import Document, Store
from sandbox.stripe import attempts, checkout, counts, delivery, disputes, events, refunds
from sandbox.stripe.account import Account, Settings, public
from sandbox.stripe.api import Api
from sandbox.stripe.checkout import Buyer
from sandbox.stripe.control import Control
from sandbox.stripe.dashboard import Dashboard
from sandbox.stripe.delivery import Delivery
from sandbox.stripe.errors import ApiError
from sandbox.stripe.faults import Chaos, Fault, Faults, fault_of
from sandbox.stripe.hosted import Hosted
from sandbox.stripe.webhooks import Webhooks


@dataclass(frozen=True)
class Payment:
    """What came of a buyer's attempt: the session's state after it, and the refusal if there was one."""

    status: str
    payment_status: str
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None


class StripeSandbox:
    """A Stripe account on loopback; `account`, `webhooks` and `faults` are its parts (see the package's docstring)."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.account = Account(store, settings)
        self.webhooks = Webhooks(self.account)
        self.faults = Faults()
        # Stripe waits ten seconds at most for the shop's answer before it sends the buyer back.
        self.checkout_wait_seconds = 5.0
        self._stopping = threading.Event()
        self._clockwork: threading.Thread | None = None
        self.api = Api(self.account, self.faults, self._stopping)

    def start(self, base_url: str) -> None:
        """Begin to send events and to expire sessions; `base_url` is where the blueprint is served."""
        self.account.base_url = base_url
        self._stopping.clear()
        self.webhooks.start()
        self._clockwork = threading.Thread(target=self._expire_in_time, name="stripe-clockwork", daemon=True)
        self._clockwork.start()

    def stop(self) -> None:
        """Stop the threads that `start` started, and let slow answers go."""
        self._stopping.set()
        self.webhooks.stop()
        if self._clockwork is not None:
            self._clockwork.join(2)

    def blueprint(self) -> Blueprint:
        """Return the blueprint that serves the API, the hosted page, the control API and the dashboard."""
        blueprint = Blueprint("stripe", __name__)
        self.api.register(blueprint)
        Hosted(self).register(blueprint)
        Control(self).register(blueprint)
        Dashboard(self).register(blueprint)
        return blueprint

    @property
    def webhook_url(self) -> str:
        """Return or set where events are sent from now on; empty for nowhere."""
        return self.webhooks.url

    @webhook_url.setter
    def webhook_url(self, url: str) -> None:
        self.webhooks.url = url

    def fault(self, kind: str, **fields: Any) -> int:
        """Let something go wrong with the next requests (fields as in `Fault`) and return its number."""
        return self.faults.add(fault_of(kind, **fields))

    def chaos(self, probability: float, **fields: Any) -> None:
        """Begin random faults (fields as in `Chaos`); a probability of 0 ends them."""
        self.faults.set_chaos(Chaos(probability=probability, **fields) if probability else None)

    def advance(self, delta: timedelta) -> None:
        """Skip time; sessions whose time is over then expire at once."""
        with self.account.lock:
            self.account.clock.advance(delta)
            checkout.expire_due(self.account)

    def pay(
        self,
        session_id: str,
        *,
        card: str = "4242424242424242",
        method: str = "card",
        email: str | None = None,
        outcome: attempts.Outcome | None = "complete",
        wait: bool = True,
    ) -> Payment:
        """Pay as the buyer would, answering 3-D Secure with `outcome` (None: not at all), and return what came of it.

        With `wait` the event is given time to be delivered, as on the hosted page. Raises ApiError 404 for no session.
        """
        session = checkout.retrieve(self.account, session_id)
        address = email or session["customer_email"] or "buyer@example.test"
        try:
            session = checkout.pay(self.account, session_id, Buyer(email=address, method=method, card=card))
            if session["status"] == "open" and outcome is not None:
                intent_id = session["payment_intent"] or session["setup_intent"]
                session = checkout.authenticate(self.account, intent_id, outcome)
        except ApiError as error:
            session = checkout.retrieve(self.account, session_id)
            fields = error.fields
            return Payment(
                session["status"],
                session["payment_status"],
                fields.get("code"),
                fields.get("decline_code"),
                error.message,
            )
        if wait:
            self.wait_until_told(session)
        return Payment(session["status"], session["payment_status"])

    def wait_until_told(self, session: Document) -> None:
        """Wait until the shop was told that the session is complete, or `checkout_wait_seconds` are over."""
        event_id = session.get("_completed_event")
        if event_id:
            self.webhooks.wait_attempted(event_id, self.checkout_wait_seconds)

    def settle_async_payment(self, session_id: str, *, succeeded: bool = True) -> Document:
        """Let the delayed payment of a session succeed or fail and return the session; raises ApiError 400."""
        return public(checkout.settle(self.account, session_id, succeeded=succeeded))

    def refund(self, charge: str, amount: int | None = None, reason: str | None = None) -> Document:
        """Refund a charge as the merchant would in Stripe's Dashboard (minor units); raises ApiError 400."""
        given = {"charge": charge, "amount": amount, "reason": reason}
        parameters = {name: str(value) for name, value in given.items() if value is not None}
        with self.account.lock:
            return public(refunds.create(self.account, parameters))

    def settle_refund(
        self, refund_id: str, status: refunds.Status = "failed", reason: str = "expired_or_canceled_card"
    ) -> Document:
        """Let a refund succeed, fail or be cancelled later and return it; raises ApiError 400 or 404."""
        with self.account.lock:
            return public(refunds.finish(self.account, refund_id, status, reason))

    def open_dispute(self, charge: str, *, reason: str = "fraudulent", inquiry: bool = False) -> Document:
        """Open a dispute (or an inquiry, which takes no money) over a charge and return it; raises ApiError 400."""
        with self.account.lock:
            return public(disputes.open_dispute(self.account, charge, reason=reason, inquiry=inquiry))

    def close_dispute(self, dispute_id: str, outcome: disputes.Outcome = "lost") -> Document:
        """Close a dispute and return it; raises ApiError 400 when it is closed already."""
        with self.account.lock:
            return public(disputes.end(self.account, dispute_id, outcome))

    def resend(self, event_id: str, *, times: int = 1, parallel: bool = False) -> list[Delivery]:
        """Send an event again now, in turn or all at once, and return the answers; raises ApiError 404."""
        self.account.find("evt", event_id)
        if not parallel:
            return [self.webhooks.send(event_id) for _ in range(times)]
        answers: list[Delivery] = []
        ready = threading.Barrier(times)

        def send() -> None:
            ready.wait()
            answers.append(self.webhooks.send(event_id))

        threads = [threading.Thread(target=send) for _ in range(times)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def twin(self, event_id: str) -> str:
        """Make, and send, a second event with another identity for the same change; return its identity."""
        return events.twin(self.account, event_id)

    def emit(self, kind: str, thing: Document) -> str:
        """Make, and send, an event of any type about any object; return its identity."""
        return self.account.emit(kind, thing)

    def forge(
        self,
        payload: bytes,
        *,
        secrets: Sequence[str] | None = None,
        age: float = 0,
        scheme: str = "v1",
        header: str | None = None,
        unsigned: bool = False,
    ) -> Delivery:
        """Send any bytes to the webhook address and return the answer.

        They are signed with the right secret, or with `secrets`, as if `age` seconds ago; `header` replaces the
        signature header and `unsigned` leaves it out.
        """
        signature = header or delivery.signature_header(
            payload, self.webhooks.secrets if secrets is None else secrets, int(time.time() - age), scheme
        )
        return delivery.post(self.webhooks.url, payload, None if unsigned else signature, self.webhooks.timeout)

    def wait_for_webhooks(self, seconds: float = 10) -> bool:
        """Wait until nothing is being sent or waits for a retry; return whether that happened in time."""
        return self.webhooks.wait_idle(seconds)

    def requests(self, method: str = "", path: str = "") -> list[Document]:
        """Return the log of API requests, oldest first, of one method and one beginning of a path when given."""
        return [
            entry
            for entry in list(self.api.log)
            if method in ("", entry["method"]) and str(entry["path"]).startswith(path)
        ]

    def objects(self, kind: str) -> list[Document]:
        """Return all objects of a kind (cs, pi, seti, cus, pm, ch, re, dp or evt), oldest first."""
        return [self.account.shown(thing) for thing in self.account.of(kind)]

    def charges_for(
        self, value: str, key: str = "order", status: Literal["succeeded", "failed", "pending", ""] = "succeeded"
    ) -> list[Document]:
        """Return the charges whose session or PaymentIntent carries `value` under `key` in its metadata."""
        sessions = {
            session["payment_intent"] for session in self.objects("cs") if session["metadata"].get(key) == value
        }
        return [
            charge
            for charge in self.objects("ch")
            if status in ("", charge["status"])
            and (charge["metadata"].get(key) == value or charge["payment_intent"] in sessions)
        ]

    def summary(self, key: str = "order") -> Document:
        """Return how many objects there are by state, and the money by the value of `key` in sessions' metadata."""
        return {
            **counts.by_state(self.account),
            "requests": len(self.api.log),
            "by_metadata": counts.orders(self.account, key),
        }

    def reset(self) -> None:
        """Forget every object, fault, key and log entry, and what is held; the webhook endpoint stays as it is set."""
        self.faults.forget()
        self.webhooks.forget()
        self.webhooks.behave()
        self.account.clear()
        self.api.log.clear()

    def _expire_in_time(self) -> None:
        while not self._stopping.wait(1):
            checkout.expire_due(self.account)


__all__ = ["Chaos", "Delivery", "Fault", "Payment", "StripeSandbox"]
