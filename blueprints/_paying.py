"""Sending a buyer to the payment page, and what to say when that is not possible."""

from __future__ import annotations

from flask import Response, make_response, redirect, render_template, url_for

from blueprints._web import current_shop, private, see_other
from models import Order, OrderStatus
from services.orders import OrderNotPending
from services.payments import GatewayRefused, GatewayUnavailable
from services.payments.attempts import start_payment


def pay(order: Order) -> Response:
    """Return the way to the payment page of an order, or to the order when there is nothing left to pay."""
    order_page = url_for("orders.order", public_id=order.public_id)
    if order.status is not OrderStatus.PENDING:
        return see_other(order_page)
    try:
        return make_response(redirect(start_payment(current_shop(), order.id), code=303))
    except OrderNotPending:
        return see_other(order_page)
    except (GatewayUnavailable, GatewayRefused):
        response = make_response(render_template("orders/payment_unavailable.html", order=order), 503)
        response.headers["Retry-After"] = "30"
        return private(response)
