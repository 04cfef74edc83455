"""What this browser has done here before, kept in the signed cookie: checkouts, orders it may open, its address."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import session
from flask_login import current_user
from sqlalchemy import exists, select

from models import Account, Order, OrderStatus, db
from services.identifiers import random_key
from services.orders import find_by_checkout_key

MOST_REMEMBERED = 20
A_MOMENT = timedelta(hours=1)
# Why a browser may open an order: it bought it, or (`_by_link`) it was let in by a link.
BOUGHT_HERE = "1"


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


def just_bought(subject: str, now: datetime) -> Order | None:
    """Return this browser's last order of `subject` when it was paid a moment ago: perhaps its buyer does not know.

    Whoever lost the connection while paying comes back to where the order began, and would pay a second time.
    """
    key = _remembered("checkouts").get(subject)
    order = find_by_checkout_key(db.session(), key) if key else None
    if order is None or order.paid_at is None or now - order.paid_at > A_MOMENT or not may_see_order(order):
        return None
    return order


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
    """Let this browser open the order that was placed with it, without signing in."""
    _remember("orders", public_id, BOUGHT_HERE)


def grant_order_by_link(order: Order) -> None:
    """Let this browser open an order, by the mailed link, until the order's address is corrected."""
    bought_here = _remembered("orders").get(order.public_id) == BOUGHT_HERE
    _remember("orders", order.public_id, BOUGHT_HERE if bought_here else _by_link(order))


def may_see_order(order: Order) -> bool:
    """Return whether the order is that of the account signed in here, or this browser was let into it."""
    owned = current_user.is_authenticated and order.account_id == current_user.id
    return owned or _remembered("orders").get(order.public_id) in (BOUGHT_HERE, _by_link(order))


def knows_orders_of_no_other(account: Account) -> bool:
    """Return whether this browser was let into orders, and all of them are the account's."""
    known = list(_remembered("orders"))
    others = exists().where(Order.public_id.in_(known), Order.account_id != account.id)
    return bool(known) and not db.session.scalar(select(others))


def remember_email(email: str | None) -> None:
    """Keep an address that was typed here, so that it need not be typed again."""
    session[_email_name()] = (email or "")[:254]


def known_email() -> str:
    """Return the address that was last typed here, at first that of the account."""
    return str(session.get(_email_name()) or (current_user.email if current_user.is_authenticated else ""))


def _email_name() -> str:
    # What somebody typed before signing in is no reason to send the eSIM of an account elsewhere.
    return "account_email" if current_user.is_authenticated else "email"


def _by_link(order: Order) -> str:
    # The link of a mail that went to a wrong address ends with the correction, and so does what it opened.
    return f"link-{order.corrections}"


def _remembered(name: str) -> dict[str, str]:
    kept: dict[str, str] = session.get(name, {})
    return kept


def _remember(name: str, key: str, value: str) -> None:
    kept = {**{k: v for k, v in _remembered(name).items() if k != key}, key: value}
    # A cookie holds 4 KB: the oldest ones go.
    session[name] = dict(list(kept.items())[-MOST_REMEMBERED:])
    session.permanent = True
