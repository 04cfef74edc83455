"""Sign-in of the staff, and the orders."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TypeVar

from flask import Response, abort, make_response, render_template, request, url_for
from flask_limiter import RequestLimit
from sqlalchemy.exc import SQLAlchemyError

from blueprints._web import current_shop, limiter, now, private, see_other
from blueprints.staff import access, blueprint
from blueprints.staff.forms import SetUpForm, SignInForm
from models import FulfilmentStatus, OrderStatus, db
from services import passwords, staff_sign_in
from services.staff import (
    OrderFilter,
    SetupLinkInvalid,
    SignInRefused,
    find_invited,
    list_orders,
)
from services.staff import (
    set_up as set_up_password,
)
from services.stuck import count_stuck

State = TypeVar("State", bound=StrEnum)

log = logging.getLogger(__name__)

# Digits of the largest number that SQLite and PostgreSQL compare an id with, less one.
LONGEST_ID = 18


def _note_blocked(_limit: RequestLimit) -> None:
    """Let the audit know of somebody who goes on guessing; the answer is the shop's own for too many tries."""
    try:
        staff_sign_in.note_blocked(current_shop(), request.form.get("email", ""), by=access.stranger())
    except SQLAlchemyError:
        # Nobody gets in because the books are away; Flask-Limiter would take the error for one of its own storage.
        log.exception("a blocked sign-in is not in the audit")


@blueprint.route("/sign-in", methods=["GET", "POST"])
@limiter.limit("10 per minute; 50 per hour", methods=["POST"], on_breach=_note_blocked)
def sign_in() -> Response:
    """Sign a member of staff in."""
    form = SignInForm()
    if form.validate_on_submit():
        try:
            member = staff_sign_in.sign_in(current_shop(), form.email.data, form.password.data, by=access.stranger())
        except SignInRefused:
            form.form_errors.append("E-mail and password do not belong together.")
        else:
            access.sign_in(member)
            return private(see_other(url_for("staff.today")))
    return _page("staff/sign_in.html", 422 if form.errors else 200, form=form)


@blueprint.route("/set-up/<token>", methods=["GET", "POST"])
@limiter.limit("10 per minute", methods=["POST"])
def set_up(token: str) -> Response:
    """Let the owner of a set-up link choose a password."""
    try:
        member = find_invited(db.session(), token, now())
    except SetupLinkInvalid:
        return _page("staff/set_up_ended.html", 404)
    form = SetUpForm()
    if form.validate_on_submit():
        try:
            password_hash = passwords.hash_new(form.password.data, member.email)
        except passwords.WeakPassword:
            form.password.errors = ["Choose a password that is not your e-mail address."]
        else:
            with current_shop().transaction() as session:
                set_up_password(session, token, password_hash, now(), by=access.stranger())
            return private(see_other(url_for("staff.sign_in")))
    return _page("staff/set_up.html", 422 if form.errors else 200, form=form, member=member)


@blueprint.post("/sign-out")
def sign_out() -> Response:
    """Sign the member of staff out."""
    member = access.signed_in()
    if member is not None:
        staff_sign_in.sign_out(current_shop(), member, by=access.stranger().known_as(member))
    access.sign_out()
    return private(see_other(url_for("staff.sign_in")))


@blueprint.get("/")
@access.staff_required
def orders() -> Response:
    """List the orders with their states, newest first, and say how much waits for a person."""
    wanted = OrderFilter(
        status=_state(OrderStatus, "status"),
        fulfilment=_state(FulfilmentStatus, "fulfilment"),
        before=_order_id(request.args.get("before", "")),
    )
    context = {"wanted": wanted, "statuses": list(OrderStatus), "fulfilments": list(FulfilmentStatus)}
    page = list_orders(db.session(), wanted)
    return _page("staff/orders.html", page=page, waiting=count_stuck(db.session(), now()), **context)


def _order_id(text: str) -> int | None:
    """Return the id in an address, None for what is none; a longer number is no id that either database could hold."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_ID else None


def _state(states: type[State], name: str) -> State | None:
    """Return the state that the address asks for, None for all; a state that does not exist is a 404."""
    value = request.args.get(name, "")
    if not value:
        return None
    try:
        return states(value)
    except ValueError:
        abort(404)


def _page(template: str, status: int = 200, /, **context: object) -> Response:
    return private(make_response(render_template(template, **context), status))
