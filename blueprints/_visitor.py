"""What this browser has done here before, kept in the signed cookie: its checkouts and the orders it may open."""

from __future__ import annotations

from flask import session

from services.identifiers import random_key

MOST_REMEMBERED = 20


def checkout_key(subject: str) -> str:
    """Return the key of this browser's checkout of `subject`, the same one in every tab until it is renewed."""
    checkouts = _remembered("checkouts")
    if subject not in checkouts:
        return new_checkout_key(subject)
    return checkouts[subject]


def new_checkout_key(subject: str) -> str:
    """Start another checkout of `subject` and return its key."""
    key = random_key()
    _remember("checkouts", subject, key)
    return key


def grant_order(public_id: str) -> None:
    """Let this browser open an order without signing in."""
    _remember("orders", public_id, "1")


def may_open_order(public_id: str) -> bool:
    """Return whether this browser was let into an order."""
    return public_id in _remembered("orders")


def _remembered(name: str) -> dict[str, str]:
    kept: dict[str, str] = session.get(name, {})
    return kept


def _remember(name: str, key: str, value: str) -> None:
    kept = {**{k: v for k, v in _remembered(name).items() if k != key}, key: value}
    # A cookie holds 4 KB: the oldest ones go.
    session[name] = dict(list(kept.items())[-MOST_REMEMBERED:])
    session.permanent = True
