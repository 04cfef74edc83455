"""One order with everything on the books, and what a person can do about it: delivery, money, address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, abort, make_response, render_template, request, url_for

from blueprints._rerun import repeatable
from blueprints._web import current_shop, now, see_other
from blueprints.staff import access, blueprint
from blueprints.staff.audit import AUDIT_WORDS
from blueprints.staff.forms import LOCALE, RecipientForm, RefundForm
from models import FulfilmentStatus, Order, db
from services import recipients, staff_deliveries
from services.audit_log import read_of_order
from services.identifiers import random_key
from services.money import format_amount, format_money
from services.order_states import WORKED_ON
from services.orders import OrderNotFound, find_order
from services.payments.disputes import PaymentDisputed
from services.payments.refunds import RefundTooLarge
from services.staff_orders import read_books
from services.staff_refunds import (
    FormUsed,
    NothingToRefund,
    Obstacle,
    effect_of,
    obstacle_of,
    refund_by_staff,
    refundable_minor,
)
from services.stuck_words import FINDINGS, order_words

# What an action leads back with, so that the page can say what was done.
DONE: Mapping[str, str] = {
    "retry": "Back at work. Reload the page in a moment to see what came of it.",
    "look": "The shop looks again now. Reload the page in a moment to see what came of it.",
    "close": "Marked as done: this order is not delivered any more.",
    "refund": "The refund is under way. The buyer is told by e-mail once it has gone out.",
    "corrected": "The address is corrected, and what the buyer should have by now is sent there.",
    "retried": "The address stays as it was, and what came back from it is sent once more.",
    "kept": "The address stays as it was.",
}
OBSTACLES: Mapping[Obstacle, str] = {
    Obstacle.NOT_PAID: "Nothing was paid for this order, so nothing can be sent back.",
    Obstacle.NOTHING_LEFT: "All of it is back with the buyer or on its way there.",
    Obstacle.DISPUTED: "The buyer's bank has the money, so nothing can be sent back.",
}


@blueprint.get("/orders/<public_id>")
@access.staff_required
def order(public_id: str) -> Response:
    """Show one order with everything on the books."""
    return _page(_load(public_id))


# Run again, it finds the order back at work, and has it looked at once more.
@blueprint.post("/orders/<public_id>/delivery")
@repeatable
@access.staff_required
def take_up_delivery(public_id: str) -> Response:
    """Put a held order back to work, or have one that is under way looked at now; the page says why neither is due."""
    try:
        done = staff_deliveries.take_up(current_shop(), public_id, by=access.actor())
    except OrderNotFound:
        abort(404)
    except staff_deliveries.NoSuchStep:
        return _to_order(public_id)
    return _to_order(public_id, done)


# Run again, it finds the delivery ended.
@blueprint.post("/orders/<public_id>/delivery-end")
@repeatable
@access.staff_required
def end_delivery(public_id: str) -> Response:
    """End the delivery of a held order whose money is not ours any more."""
    try:
        staff_deliveries.close(current_shop(), public_id, by=access.actor())
    except OrderNotFound:
        abort(404)
    except staff_deliveries.NoSuchStep:
        return _to_order(public_id)
    return _to_order(public_id, "close")


# Run again, it finds the refund that the first run may have made: a form has a key, and makes one refund.
@blueprint.post("/orders/<public_id>/refunds")
@repeatable
@access.staff_required
def refund(public_id: str) -> Response:
    """Send money back, once however often the form arrives."""
    form = RefundForm(_load(public_id).currency)
    if form.validate_on_submit() and _refund(public_id, form):
        return _to_order(public_id, "refund")
    return _page(_load(public_id), refund_form=form)


# Run again, it finds the address corrected and sends nothing more.
@blueprint.post("/orders/<public_id>/recipient")
@repeatable
@access.staff_required
def correct_recipient(public_id: str) -> Response:
    """Write to another address about an order from now on, and send there what its buyer should have by now."""
    found, form = _load(public_id), RecipientForm()
    if form.validate_on_submit():
        shop = current_shop()
        with shop.transaction() as session:
            done = recipients.correct_recipient(shop, session, found, form.email.data, now(), by=access.actor())
        return _to_order(public_id, done)
    return _page(_load(public_id), recipient_form=form)


def _refund(public_id: str, form: RefundForm) -> bool:
    """Make the refund of a form and return True, or say on the form why this amount cannot go back."""
    values = {"form_key": form.form_key.data, "note": form.note.data.strip(), "by": access.actor()}
    try:
        refund_by_staff(current_shop(), public_id, form.amount_minor, **values)
    except RefundTooLarge:
        left = refundable_minor(db.session(), _load(public_id))
        form.amount.errors = [f"That is more than what is left: {_money(left, form)}."]
    except FormUsed as used:
        form.form_key.data = random_key()
        form.amount.errors = [
            f"This form has sent {_money(used.amount_minor, form)} back before. Send it again for another refund."
        ]
    except (NothingToRefund, PaymentDisputed):
        # The page says so by itself.
        pass
    else:
        return True
    return False


def _load(public_id: str) -> Order:
    try:
        return find_order(db.session(), public_id)
    except OrderNotFound:
        abort(404)


def _to_order(public_id: str, done: str | None = None) -> Response:
    return see_other(url_for("staff.order", public_id=public_id, done=done))


def _page(
    found: Order, *, refund_form: RefundForm | None = None, recipient_form: RecipientForm | None = None
) -> Response:
    session = db.session()
    left, obstacle = refundable_minor(session, found), obstacle_of(session, found)
    if refund_form is not None and obstacle is not None:
        _replace_errors(refund_form, OBSTACLES[obstacle])
    refused = refund_form or recipient_form
    books = read_books(session, found.public_id)
    waits = books.order.fulfilment is FulfilmentStatus.HELD or (
        books.order.fulfilment in WORKED_ON and books.order.late_at is not None
    )
    context: dict[str, Any] = {
        "books": books,
        "words": order_words(books.order.reason) if waits else None,
        "finding_words": FINDINGS,
        "step": staff_deliveries.next_step(session, found),
        "obstacle": OBSTACLES[obstacle] if obstacle is not None else None,
        "effect": effect_of(session, found),
        "left_minor": left,
        "may_refund": access.may(access.Act.REFUND),
        "form": refund_form or _fresh_form(found.currency, left),
        "recipient_form": recipient_form or RecipientForm(formdata=None, email=found.email),
        "refused": refused,
        "audit": read_of_order(session, found.public_id) if access.may(access.Act.AUDIT) else None,
        "audit_words": AUDIT_WORDS,
        "done": DONE.get(request.args.get("done", "")),
    }
    return make_response(render_template("staff/order.html", **context), 422 if refused else 200)


def _replace_errors(form: RefundForm, message: str) -> None:
    """Let a form whose fields are not shown say one thing only."""
    for field in form:
        field.errors = []
    form.form_errors = [message]


def _fresh_form(currency: str, left_minor: int) -> RefundForm:
    """Return the form for all that is left, with a key of its own."""
    amount = format_amount(left_minor, currency, LOCALE)
    return RefundForm(currency, formdata=None, amount=amount, form_key=random_key())


def _money(amount_minor: int, form: RefundForm) -> str:
    return format_money(amount_minor, form.currency, LOCALE)
