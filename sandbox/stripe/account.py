"""The account that all calls work on: its objects, its clock, its events."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from stripe._api_version import _ApiVersion

from sandbox.clock import Clock
from sandbox.store import Collection, Document, Store
from sandbox.stripe import contract
from sandbox.stripe.errors import missing

API_VERSION = _ApiVersion.CURRENT

# The request being answered, as an event names it: {"id": ..., "idempotency_key": ...}.
current_request: ContextVar[Document | None] = ContextVar("stripe_request", default=None)

# By prefix of the identity: the collection and what Stripe calls the object when it does not exist.
KINDS = {
    "cs": ("sessions", "checkout.session"),
    "pi": ("payment_intents", "payment_intent"),
    "seti": ("setup_intents", "setupintent"),
    "cus": ("customers", "customer"),
    "pm": ("payment_methods", "PaymentMethod"),
    "ch": ("charges", "charge"),
    "re": ("refunds", "refund"),
    "dp": ("disputes", "dispute"),
    "evt": ("events", "event"),
}
_IDEMPOTENCY = "idempotency"
_MOMENTS = frozenset({"created", "expires_at", "canceled_at", "due_by"})
_LETTERS = string.ascii_letters + string.digits


class Settings(Protocol):
    """The part of the sandbox's settings that concerns Stripe."""

    @property
    def stripe_secret_key(self) -> str:
        """Return the key that the API asks for."""

    @property
    def stripe_webhook_url(self) -> str:
        """Return where events are sent; empty for nowhere."""

    @property
    def stripe_webhook_secret(self) -> str:
        """Return what events are signed with."""


class Account:
    """Everything one account holds; hold `lock` around a check and the change that rests on it.

    Objects are kept with moments of the sandbox's own clock and with private keys that begin with an underscore;
    `shown` turns one into what a client reads. `on_event` is called with each new event's identity, under the lock.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.lock = store.lock
        self.settings = settings
        self.base_url = ""
        self.clock = Clock(store.collection("stripe_clock"))
        self.idempotency = store.collection(f"stripe_{_IDEMPOTENCY}")
        # What a new refund begins with; "pending" lets its end be decided later.
        self.refund_status = "succeeded"
        self.on_event: Callable[[str], None] = lambda event_id: None
        # Open sessions by identity with the moment they expire, so that nobody has to read all of them to find out.
        self.open_sessions = {
            session["id"]: session["expires_at"] for session in self.of("cs") if session["status"] == "open"
        }

    def of(self, prefix: str) -> Collection:
        """Return the objects whose identities begin with `prefix`."""
        return self.store.collection(f"stripe_{KINDS[prefix][0]}")

    def now(self) -> int:
        """Return the sandbox's time in Unix seconds."""
        return int(self.clock.now().timestamp())

    def skipped(self) -> int:
        """Return how many seconds the sandbox's clock is ahead of a client's."""
        return int(self.clock.skipped.total_seconds())

    def new_id(self, prefix: str) -> str:
        """Return an identity that nobody can guess."""
        length = 56 if prefix == "cs" else 24
        infix = "test_" if prefix == "cs" else ""
        return f"{prefix}_{infix}" + "".join(secrets.choice(_LETTERS) for _ in range(length))

    def new(self, prefix: str, kind: str, **fields: Any) -> Document:
        """Return a new object of `kind`, not yet saved, with null for what is not given."""
        return contract.complete(kind, id=self.new_id(prefix), created=self.now(), **fields)

    def save(self, thing: Document) -> Document:
        """Keep the object and return it."""
        self.of(prefix_of(thing["id"])).put(thing["id"], thing)
        if thing["object"] == "checkout.session":
            if thing["status"] == "open":
                self.open_sessions[thing["id"]] = thing["expires_at"]
            else:
                self.open_sessions.pop(thing["id"], None)
        return thing

    def find(self, prefix: str, identity: str, param: str = "id") -> Document:
        """Return an object; raises ApiError 404 naming `param` when there is none."""
        thing = self.of(prefix).get(identity) if prefix_of(identity) == prefix else None
        if thing is None:
            raise missing(KINDS[prefix][1], identity, param)
        return thing

    def emit(self, kind: str, thing: Document) -> str:
        """Record that something happened to `thing` as it is now and return the event's identity."""
        with self.lock:
            event = self.new(
                "evt",
                "event",
                api_version=API_VERSION,
                type=kind,
                data={"object": public(thing)},
                pending_webhooks=1,
                request=current_request.get() or {"id": None, "idempotency_key": None},
                _delivery={"state": "new", "copies": 1, "attempts": 0, "last_status": None},
            )
            self.save(event)
            self.on_event(event["id"])
        return str(event["id"])

    def shown(self, thing: Document) -> Document:
        """Return the object as a client reads it: without private keys and in the client's time."""
        skipped = self.skipped()
        plain = public(thing)
        return plain if skipped == 0 else _shifted(plain, skipped)

    def clear(self) -> None:
        """Forget every object and every idempotency key, and set the clock right again."""
        with self.lock:
            for prefix in KINDS:
                for thing in self.of(prefix).all():
                    self.of(prefix).remove(thing["id"])
            for entry in self.idempotency.all():
                self.idempotency.remove(entry["id"])
            self.store.collection("stripe_clock").remove("clock")
            self.open_sessions.clear()
            self.refund_status = "succeeded"


def prefix_of(identity: str) -> str:
    """Return the part of an identity that says what it identifies."""
    return identity.split("_", 1)[0]


def public(thing: Document) -> Document:
    """Return the object without the keys that only the sandbox knows."""
    return {key: value for key, value in thing.items() if not key.startswith("_")}


def _shifted(value: Any, seconds: int) -> Any:
    if isinstance(value, list):
        return [_shifted(item, seconds) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: item - seconds if key in _MOMENTS and isinstance(item, int) else _shifted(item, seconds)
        for key, item in value.items()
    }
