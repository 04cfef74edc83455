"""Counting what is in the account, for tests that compare it with the shop's books."""

from __future__ import annotations

from sandbox.store import Document
from sandbox.stripe.account import Account

_FIELDS = (
    ("sessions", "cs", "status"),
    ("payment_intents", "pi", "status"),
    ("charges", "ch", "status"),
    ("refunds", "re", "status"),
    ("disputes", "dp", "status"),
    ("events", "evt", "type"),
)


def by_state(account: Account) -> Document:
    """Return how many objects of each kind are in each state, events by type, and `deliveries` by their state."""
    counts: Document = {name: _by([thing[field] for thing in account.of(prefix)]) for name, prefix, field in _FIELDS}
    return {**counts, "deliveries": _by([event["_delivery"]["state"] for event in account.of("evt")])}


def orders(account: Account, key: str) -> dict[str, dict[str, int]]:
    """Return sessions, succeeded charges and money in minor units by the value of `key` in the sessions' metadata."""
    found: dict[str, dict[str, int]] = {}
    values: dict[str, str] = {}
    for session in account.of("cs"):
        value = session["metadata"].get(key)
        if value is not None:
            found.setdefault(value, dict.fromkeys(("sessions", "charges", "captured", "refunded"), 0))
            found[value]["sessions"] += 1
            values[session["payment_intent"]] = value
    for charge in account.of("ch"):
        order = found.get(charge["metadata"].get(key) or values.get(charge["payment_intent"], ""))
        if order is not None and charge["status"] == "succeeded":
            order["charges"] += 1
            order["captured"] += charge["amount_captured"]
            order["refunded"] += charge["amount_refunded"]
    return found


def _by(values: list[str]) -> dict[str, int]:
    return {value: values.count(value) for value in dict.fromkeys(values)}
