"""Signing in with a mailed link: for whoever bought with an e-mail alone, or does not know the password any more."""

from __future__ import annotations

from flask import Response, make_response, render_template, url_for

from blueprints._access import start_session, too_many_tries
from blueprints._web import current_shop, limiter, now, see_other
from blueprints.account import blueprint
from blueprints.account.forms import EmailForm, EmptyForm
from blueprints.account.passwords import without_path
from blueprints.account.sign_in import typed_email
from models import TokenPurpose, db
from services import account_tokens, accounts
from services.account_tokens import TokenInvalid


@blueprint.route("/sign-in/link", methods=["GET", "POST"])
@limiter.limit("20 per hour", methods=["POST"], on_breach=too_many_tries)
@limiter.limit("5 per hour", key_func=typed_email, methods=["POST"], on_breach=too_many_tries)
def sign_in_link() -> Response:
    """Mail a link that opens the account; the answer is the same whether the address was known or not."""
    form = EmailForm()
    if not form.validate_on_submit():
        page = render_template("account/sign_in_link.html", form=form)
        return make_response(page, 422 if form.errors else 200)
    shop = current_shop()
    with shop.transaction() as session:
        accounts.send_sign_in_link_if_known(shop, session, form.email.data, now())
    return see_other(url_for("account.sign_in_link_sent"))


@blueprint.get("/sign-in/link-sent")
def sign_in_link_sent() -> Response:
    """Say that a mail is on its way, and what its link does."""
    return make_response(render_template("account/sign_in_link_sent.html"))


@blueprint.route("/sign-in/link/<token>", methods=["GET", "POST"])
@limiter.limit("60 per hour", on_breach=too_many_tries)
def open_by_link(token: str) -> Response:
    """Open the account with a mailed link; only sending the form uses it up, for mail programs look at links, too."""
    form = EmptyForm()
    try:
        email = account_tokens.find(db.session(), TokenPurpose.SIGN_IN, token, now()).account.email
        if not form.validate_on_submit():
            return without_path(make_response(render_template("account/open_by_link.html", email=email)))
        with current_shop().transaction() as session:
            account = account_tokens.use(session, TokenPurpose.SIGN_IN, token, now()).account
    except TokenInvalid:
        page = render_template("account/sign_in_link_ended.html", form=EmailForm(formdata=None))
        return without_path(make_response(page, 410))
    start_session(account)
    return without_path(see_other(url_for("account.overview")))
