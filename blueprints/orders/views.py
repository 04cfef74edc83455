"""The order page: what was asked for, how far it is, and the eSIM as soon as it is there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Response, abort, make_response, render_template, request, session, url_for
from flask_login import current_user

from blueprints._paying import pay
from blueprints._rerun import repeatable
from blueprints._visitor import grant_order, may_see_order
from blueprints._web import current_shop, limiter, now, private, render_page, see_other
from blueprints.orders import blueprint
from models import AttemptStatus, Order, OrderStatus, db
from services.delivery import install_info
from services.links import check_order_key
from services.order_progress import codes_are_shown, progress_of
from services.orders import OrderNotFound, find_order, live_attempt
from services.payments.refund_books import refunded_minor
from services.payments.settlement import look_at_payment
from services.renewal_rules import EsimState

# For this long after coming back from Stripe, the page keeps looking for the payment by itself.
WATCH_FOR = timedelta(minutes=10)


@blueprint.get("/orders/<public_id>")
@limiter.limit("240 per minute")
def order(public_id: str) -> Response:
    """The order's page; htmx asks for its state alone until nothing more is going to change by itself."""
    key = request.args.get("key")
    if key is not None:
        return _open_with_key(public_id, key)
    found = _load(public_id)
    answered = _look_at_stripe(found)
    if found.status is OrderStatus.PENDING:
        # Read again: the payment may just have been recorded.
        db.session.expire_all()
        found = _load(public_id)
    return private(render_page("orders/order.html", "orders/_order_state.html", **_context(found, answered)))


# Run again, it finds the attempt that the first run may have made: an order has one live attempt, with its own key.
@blueprint.post("/orders/<public_id>/payment")
@repeatable
@limiter.limit("20 per minute")
def start_payment(public_id: str) -> Response:
    """Lead back to the payment page of an order that is not paid yet."""
    return pay(_load(public_id))


@blueprint.get("/orders/<public_id>/receipt")
def receipt(public_id: str) -> Response:
    """A receipt for printing; there is none before the payment."""
    found = _load(public_id)
    if found.paid_at is None:
        abort(404)
    return private(
        make_response(
            render_template("orders/receipt.html", order=found, refunded_minor=refunded_minor(db.session(), found))
        )
    )


def _open_with_key(public_id: str, key: str) -> Response:
    """Let this browser into the order and take the key out of the address, so that it does not stay in a history."""
    if not check_order_key(current_shop().settings, public_id, key):
        abort(404)
    grant_order(public_id)
    session["returned"] = {"order": public_id, "at": now().isoformat()}
    response = private(see_other(url_for("orders.order", public_id=public_id)))
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _load(public_id: str) -> Order:
    """Return an order for its owner or for the browser that was let in; 404 for everybody else."""
    try:
        found = find_order(db.session(), public_id)
    except OrderNotFound:
        abort(404)
    if not may_see_order(found):
        abort(404)
    return found


def _look_at_stripe(found: Order) -> bool:
    """Ask Stripe about an unpaid order whose payment page is open: the buyer may be faster than the webhook.

    Returns whether what we know is what Stripe knows.
    """
    attempt = live_attempt(db.session(), found.id) if found.status is OrderStatus.PENDING else None
    if attempt is None or attempt.session_id is None:
        return True
    return look_at_payment(current_shop(), attempt.id)


def _context(found: Order, answered: bool) -> dict[str, Any]:
    progress = progress_of(found)
    attempt = live_attempt(db.session(), found.id) if found.status is OrderStatus.PENDING else None
    processing = attempt is not None and attempt.status is AttemptStatus.PROCESSING
    # A mail leads here with the key, too: only a payment page that is open can still bring a payment by itself.
    watching = processing or (attempt is not None and _just_returned(found))
    return {
        "order": found,
        "progress": progress,
        "processing": processing,
        "watching": watching,
        "uncharged": answered and found.status is OrderStatus.PENDING and not found.payments,
        "polls": watching or progress.moves,
        "install": install_info(found.esim, found.plan_facts)
        if found.esim is not None and codes_are_shown(found)
        else None,
        "change": _change(found),
        "refunded_minor": refunded_minor(db.session(), found),
        "signed_in": current_user.is_authenticated,
    }


def _change(found: Order) -> tuple[EsimState, EsimState] | None:
    """Return the state of the eSIM that was shown before paying, and the one that was promised for afterwards."""
    if found.shown_before is None or found.shown_after is None:
        return None
    return EsimState.from_json(found.shown_before), EsimState.from_json(found.shown_after)


def _just_returned(found: Order) -> bool:
    returned = session.get("returned") or {}
    if returned.get("order") != found.public_id:
        return False
    return now() - datetime.fromisoformat(returned["at"]) < WATCH_FOR
