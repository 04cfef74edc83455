"""Placing an order and sending its buyer to the payment page, and what to say when that is not possible."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, make_response, render_template, url_for
from sqlalchemy.orm import Session

from blueprints._visitor import grant_order
from blueprints._web import current_shop, is_sent_by_htmx, now, private, see_other
from models import Account, Order, OrderStatus, db
from services.orders import OrderNotPending, Wish, find_by_checkout_key, is_as_wished, place_order
from services.payments import GatewayRefused, GatewayUnavailable
from services.payments.attempts import start_payment, stop_payment


def finished_order(checkout_key: str) -> Order | None:
    """Return the order of a checkout when it is paid or cancelled; None while there is none, or one that is open."""
    order = find_by_checkout_key(db.session(), checkout_key)
    return None if order is None or order.status is OrderStatus.PENDING else order


def order_and_pay(wish: Wish, find_account: Callable[[Session], Account]) -> Response:
    """Place the order of a checkout, or bring the one there is up to date, and return the way to its payment page.

    What somebody may be paying for never changes: a payment page that is open for another wish is closed first.
    """
    earlier = find_by_checkout_key(db.session(), wish.checkout_key)
    if earlier is not None and not is_as_wished(earlier, wish):
        try:
            stop_payment(current_shop(), earlier.id)
        except (GatewayUnavailable, GatewayRefused):
            return _payment_unavailable(earlier)
    with current_shop().transaction() as session:
        try:
            order = place_order(session, wish, find_account(session), now())
        except OrderNotPending as error:
            order = error.order
    grant_order(order.public_id)
    return pay(order)


def pay(order: Order) -> Response:
    """Return the way to the payment page of an order, or to the order when there is nothing left to pay."""
    order_page = url_for("orders.order", public_id=order.public_id)
    if order.status is not OrderStatus.PENDING:
        return see_other(order_page)
    try:
        return see_other(start_payment(current_shop(), order.id))
    except OrderNotPending:
        return see_other(order_page)
    except (GatewayUnavailable, GatewayRefused) as error:
        return _payment_unavailable(order, refused=isinstance(error, GatewayRefused))


def just_paid_page(order: Order, another: str) -> Response:
    """Return the page for whoever comes back to buy what is paid already; `another` leads to buying once more."""
    return private(make_response(render_template("checkout/just_bought.html", order=order, another=another)))


def _payment_unavailable(order: Order, *, refused: bool = False) -> Response:
    # htmx keeps an answer of 5xx away from the page, and this one says more than that nobody answered.
    status = 200 if is_sent_by_htmx() else 503
    response = make_response(render_template("orders/payment_unavailable.html", order=order, refused=refused), status)
    response.headers["Retry-After"] = "30"
    return private(response)
