"""What this browser has done here before, kept in the signed cookie: its checkouts and the orders it may open."""

from __future__ import annotations

from flask import session
from flask_login import current_user

from models import Order, OrderStatus, db
from services.identifiers import random_key
from services.orders import find_by_checkout_key

MOST_REMEMBERED = 20


def open_checkout_key(subject: str) -> str:
    """Return this browser's key for buying `subject`, the same one in every tab.

    A new one when there is none yet, or when the order behind the last one is no longer open.
    """
    key = _remembered("checkouts").get(subject)
    order = find_by_checkout_key(db.session(), key) if key else None
    if key is None or (order is not None and order.status is not OrderStatus.PENDING):
        key = random_key()
        _remember("checkouts", subject, key)
    return key


def sent_checkout_key(subject: str, sent: str | None) -> str:
    """Return the key that came with a form, or the open one when this browser was never given what was sent.

    A tab that was left open may send the key of an order that is paid by now: that one still counts.
    """
    key = sent or ""
    if key == _remembered("checkouts").get(subject):
        return key
    order = find_by_checkout_key(db.session(), key)
    return key if order is not None and may_see_order(order) else open_checkout_key(subject)


def grant_order(public_id: str) -> None:
    """Let this browser open an order without signing in."""
    _remember("orders", public_id, "1")


def may_see_order(order: Order) -> bool:
    """Return whether the order is that of the account signed in here, or this browser was let into it."""
    owned = current_user.is_authenticated and order.account_id == current_user.id
    return owned or order.public_id in _remembered("orders")


def _remembered(name: str) -> dict[str, str]:
    kept: dict[str, str] = session.get(name, {})
    return kept


def _remember(name: str, key: str, value: str) -> None:
    kept = {**{k: v for k, v in _remembered(name).items() if k != key}, key: value}
    # A cookie holds 4 KB: the oldest ones go.
    session[name] = dict(list(kept.items())[-MOST_REMEMBERED:])
    session.permanent = True
