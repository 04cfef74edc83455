"""A buyer at the checkout, for the tests of every page that comes after it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from models import Attempt, Order, db
from sandbox.server import Sandbox
from services.payments.settlement import settle
from services.shop import Shop
from tests.forms import SentForm, fill
from tests.page_client import Page, PageClient
from tests.page_rules import words

PLAN = "monaco-1gb-7-days"
DAILY_PLAN = "monaco-1gb-a-day"
EMAIL = "ana@example.com"
CONSENTS = {"phone_supports_esim": True, "terms": True, "immediate_delivery": True}


def checkout_path(plan: str = PLAN, language: str = "en", query: str = "") -> str:
    """Return the address of a plan's checkout."""
    return f"/{language}/checkout/{plan}{query}"


def pay_button(page: Page) -> str:
    """Return what the button says that leads to paying."""
    return words(page.one("button.button--primary"))


def filled(page: Page, **values: Any) -> SentForm:
    """Return what this checkout page sends when it is filled in rightly, but for `values`."""
    return fill(page.soup, pay_button(page), {"email": EMAIL, **CONSENTS, **values})


def check_out(client: PageClient, path: str = checkout_path(), status: int = 303, **values: Any) -> Page:
    """Open a checkout, fill it in rightly but for `values`, send it."""
    sent = filled(client.get(path), **values)
    return client.post(sent.action, sent.values, status)


def all_orders() -> list[Order]:
    """Return every order, oldest first."""
    return list(db.session.scalars(select(Order).order_by(Order.id)))


def only_order() -> Order:
    """Return the only order there is."""
    orders = all_orders()
    assert len(orders) == 1, f"{len(orders)} orders"
    return orders[0]


def session_ids(order: Order) -> list[str]:
    """Return the Stripe sessions that were opened for an order, oldest first."""
    attempts = db.session.scalars(select(Attempt).where(Attempt.order_id == order.id).order_by(Attempt.seq))
    return [attempt.session_id for attempt in attempts if attempt.session_id]


def settle_order(shop: Shop, order: Order) -> None:
    """Record what Stripe says about an order's newest session, as its webhook would."""
    session_id = session_ids(order)[-1]
    db.session.rollback()
    settle(shop, session_id)
    db.session.expire_all()


def pay_order(shop: Shop, sandbox: Sandbox, order: Order) -> None:
    """Pay an order on its payment page, and record it."""
    assert sandbox.stripe.pay(session_ids(order)[-1], wait=False).payment_status == "paid"
    settle_order(shop, order)


def pay_by_debit(sandbox: Sandbox, session_id: str) -> None:
    """Pay in a way that a bank takes days to confirm."""
    account = sandbox.stripe.account
    with account.lock:
        account.save({**account.find("cs", session_id), "payment_method_types": ["card", "sepa_debit"]})
    assert sandbox.stripe.pay(session_id, method="sepa_debit", wait=False).payment_status == "unpaid"
