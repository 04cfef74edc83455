"""The order page: what was asked for, how far it is, and the eSIM as soon as it is there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Response, abort, make_response, render_template, request, session, url_for
from flask_login import current_user

from blueprints._pack import keep_of_order
from blueprints._paying import pay
from blueprints._rerun import repeatable
from blueprints._visitor import grant_order_by_link, may_see_order, remember_email
from blueprints._web import current_shop, limiter, now, private, render_page, see_other
from blueprints.orders import blueprint
from blueprints.orders.forms import RecipientForm
from models import AttemptStatus, Order, OrderStatus, db
from services import recipients
from services.delivery import install_info
from services.links import check_order_key, order_url, was_order_key
from services.mail.messages import order_key
from services.mail.redirection import MailState, mail_state
from services.order_progress import codes_are_shown, progress_of
from services.orders import OrderNotFound, find_order, live_attempt, lock_order
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
    found = load_order(public_id)
    answered = _look_at_stripe(found)
    if found.status is OrderStatus.PENDING:
        # Read again: the payment may just have been recorded.
        db.session.expire_all()
        found = load_order(public_id)
    return private(render_page("orders/order.html", "orders/_order_state.html", **_context(found, answered)))


# Run again, it finds the attempt that the first run may have made: an order has one live attempt, with its own key.
@blueprint.post("/orders/<public_id>/payment")
@repeatable
@limiter.limit("20 per minute")
def start_payment(public_id: str) -> Response:
    """Lead back to the payment page of an order that is not paid yet."""
    return pay(load_order(public_id))


@blueprint.get("/orders/<public_id>/receipt")
def receipt(public_id: str) -> Response:
    """A receipt for printing; there is none before the payment."""
    found = load_order(public_id)
    if found.paid_at is None:
        abort(404)
    return private(
        make_response(
            render_template("orders/receipt.html", order=found, refunded_minor=refunded_minor(db.session(), found))
        )
    )


@blueprint.get("/orders/<public_id>/recipient")
def recipient(public_id: str) -> Response:
    """Say where the mails about the order go, and what correcting that would send again."""
    found = load_order(public_id)
    return _recipient_page(found, RecipientForm(formdata=None, email=found.email))


# Run again, it finds the address corrected and sends nothing more.
@blueprint.post("/orders/<public_id>/recipient")
@repeatable
@limiter.limit("20 per hour")
def correct_recipient(public_id: str) -> Response:
    """Write to another address from now on, and send there what the buyer should have by now."""
    found = load_order(public_id)
    form = RecipientForm()
    if not form.validate():
        return _recipient_page(found, form, 422)
    try:
        with current_shop().transaction() as database:
            # Somebody may have corrected it since, and the link that let this browser in has ended.
            if not may_see_order(lock_order(database, found.id)):
                abort(404)
            outcome = recipients.correct_recipient(current_shop(), database, found, form.email.data, now())
    except recipients.TooManyCorrections:
        return _recipient_page(found, form, 409)
    # What this browser was let in by has ended with the old address, and the next purchase begins with the right one.
    grant_order_by_link(found)
    remember_email(form.email.data)
    return see_other(url_for("orders.order", public_id=public_id, mail=outcome.value))


def _open_with_key(public_id: str, key: str) -> Response:
    """Let this browser into the order and take the key out of the address, so that it does not stay in a history."""
    found, settings = _find(public_id), current_shop().settings
    if check_order_key(settings, found, key):
        grant_order_by_link(found)
    elif not may_see_order(found):
        if was_order_key(settings, found, key):
            return _link_has_ended(found)
        abort(404)
    session["returned"] = {"order": public_id, "at": now().isoformat()}
    response = private(see_other(url_for("orders.order", public_id=public_id)))
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _link_has_ended(found: Order) -> Response:
    return private(make_response(render_template("orders/link_has_ended.html", order=found), 410))


def load_order(public_id: str) -> Order:
    """Return an order for its owner or for the browser that was let in; 404 for everybody else."""
    found = _find(public_id)
    if not may_see_order(found):
        abort(404)
    return found


def _find(public_id: str) -> Order:
    try:
        return find_order(db.session(), public_id)
    except OrderNotFound:
        abort(404)


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
    mail = mail_state(db.session(), order_key(found.id), found.email, now())
    return {
        "order": found,
        "progress": progress,
        "processing": processing,
        "watching": watching,
        "uncharged": answered and found.status is OrderStatus.PENDING and not found.payments,
        "polls": watching or progress.moves or mail is MailState.LEAVING,
        "install": install_info(found.esim, found.plan_facts)
        if found.esim is not None and codes_are_shown(found)
        else None,
        # For the browser of the phone, when this one is part of an app: it was not let in yet.
        "own_address": order_url(current_shop(), found),
        "keep": keep_of_order(found),
        "change": _change(found),
        "refunded_minor": refunded_minor(db.session(), found),
        "signed_in": current_user.is_authenticated,
        "mail": mail,
        "corrected": request.args.get("mail", ""),
    }


def _recipient_page(found: Order, form: RecipientForm, status: int = 200) -> Response:
    page = render_template(
        "orders/recipient.html",
        order=found,
        form=form,
        due=recipients.mails_due(db.session(), found),
        moves=recipients.belongs_to_address(found.account, found.email),
        corrected_out=recipients.is_corrected_out(found),
        most=recipients.MOST_CORRECTIONS,
        refused=mail_state(db.session(), order_key(found.id), found.email, now()) is MailState.REFUSED,
    )
    return private(make_response(page, status))


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
