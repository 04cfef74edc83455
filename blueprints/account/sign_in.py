"""Signing in, signing out, signing up."""

from __future__ import annotations

from flask import Response, make_response, render_template, request, url_for
from flask_babel import gettext as _

from blueprints._access import end_session, safe_next, signed_in_account, start_session, too_many_tries
from blueprints._language import current_language, first_currency
from blueprints._web import current_shop, limiter, now, see_other
from blueprints.account import blueprint
from blueprints.account.forms import EmailForm, SignInForm
from services import accounts


def typed_email() -> str:
    """Return the address that was typed, as the key of a limit per account."""
    return "account:" + request.form.get("email", "").strip().lower()[:254]


def _failed(response: Response) -> bool:
    return response.status_code == 422


@blueprint.route("/sign-in", methods=["GET", "POST"])
@limiter.limit("30 per 10 minutes", methods=["POST"], deduct_when=_failed, on_breach=too_many_tries)
@limiter.limit(
    "10 per 10 minutes", key_func=typed_email, methods=["POST"], deduct_when=_failed, on_breach=too_many_tries
)
def sign_in() -> Response:
    """Open the account and go where the visitor wanted to go, within this shop."""
    form = SignInForm()
    target = safe_next(request.values.get("next"))
    if request.method == "GET" and signed_in_account() is not None:
        return see_other(target or url_for("account.overview"))
    if form.validate_on_submit():
        try:
            account = accounts.authenticate(current_shop(), form.email.data, form.password.data)
        except accounts.WrongPassword:
            form.password.errors = [_("E-mail and password do not fit together. Check both, or get a new password.")]
        else:
            start_session(account)
            return see_other(target or url_for("account.overview"))
    page = render_template("account/sign_in.html", form=form, target=target)
    return make_response(page, 422 if form.errors else 200)


@blueprint.post("/sign-out")
def sign_out() -> Response:
    """Sign out on this browser."""
    end_session()
    return see_other(url_for("catalogue.home"))


@blueprint.route("/sign-up", methods=["GET", "POST"])
@limiter.limit("20 per hour", methods=["POST"], on_breach=too_many_tries)
@limiter.limit("5 per hour", key_func=typed_email, methods=["POST"], on_breach=too_many_tries)
def sign_up() -> Response:
    """Mail a link to choose a password with; the answer is the same whether the address was known or not."""
    form = EmailForm()
    if not form.validate_on_submit():
        page = render_template("account/sign_up.html", form=form)
        return make_response(page, 422 if form.errors else 200)
    shop, language = current_shop(), current_language()
    with shop.transaction() as session:
        accounts.sign_up(shop, session, form.email.data, language.code, first_currency(), now())
    return see_other(url_for("account.link_sent"))
