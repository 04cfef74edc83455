"""Forgotten passwords and mailed links: asked for here, used here."""

from __future__ import annotations

from flask import Response, make_response, render_template, url_for

from blueprints._access import start_session, too_many_tries
from blueprints._web import current_shop, limiter, now, see_other
from blueprints.account import blueprint
from blueprints.account.forms import WEAKNESSES, EmailForm, NewPasswordForm
from blueprints.account.sign_in import typed_email
from models import TokenPurpose, db
from services import account_tokens, accounts, passwords
from services.account_tokens import TokenInvalid


@blueprint.route("/password-reset", methods=["GET", "POST"])
@limiter.limit("20 per hour", methods=["POST"], on_breach=too_many_tries)
@limiter.limit("5 per hour", key_func=typed_email, methods=["POST"], on_breach=too_many_tries)
def password_reset() -> Response:
    """Mail a link to choose a new password with; the answer is the same whether the address was known or not."""
    return _send_link("account/password_reset.html")


@blueprint.post("/claim")
@limiter.limit("20 per hour", on_breach=too_many_tries)
@limiter.limit("5 per hour", key_func=typed_email, on_breach=too_many_tries)
def request_claim() -> Response:
    """Mail a fresh link to someone whose old one has expired; the same answer as for a forgotten password."""
    return _send_link("account/password_reset.html")


@blueprint.get("/link-sent")
def link_sent() -> Response:
    """Say that a mail is on its way, and what to do with it."""
    return make_response(render_template("account/link_sent.html"))


@blueprint.route("/password-reset/<token>", methods=["GET", "POST"])
@limiter.limit("60 per hour", on_breach=too_many_tries)
def new_password(token: str) -> Response:
    """Choose a new password with a mailed link; only sending the form uses the link up."""
    return _choose_password(TokenPurpose.PASSWORD_RESET, token)


@blueprint.route("/claim/<token>", methods=["GET", "POST"])
@limiter.limit("60 per hour", on_breach=too_many_tries)
def claim(token: str) -> Response:
    """Make an account of what was bought with an e-mail alone; only sending the form uses the link up."""
    return _choose_password(TokenPurpose.CLAIM, token)


def without_path(response: Response) -> Response:
    """Keep the secret in this page's address from every page it leads to.

    Not `no-referrer`: over HTTPS the CSRF check wants to see which site a form comes from, and that is all this sends.
    Of several policies a browser takes the last that it knows (W3C Referrer Policy, section 4.1).
    """
    response.headers["Referrer-Policy"] = "same-origin, strict-origin"
    return response


def link_is_dead() -> Response:
    """Return the page for a link that has expired or was used, with a way to a fresh one."""
    return without_path(make_response(render_template("account/link_is_dead.html", form=EmailForm(formdata=None)), 410))


def _send_link(page: str) -> Response:
    form = EmailForm()
    if not form.validate_on_submit():
        return make_response(render_template(page, form=form), 422 if form.errors else 200)
    shop = current_shop()
    with shop.transaction() as session:
        accounts.send_link_if_known(shop, session, form.email.data, now())
    return see_other(url_for("account.link_sent"))


def _choose_password(purpose: TokenPurpose, secret: str) -> Response:
    form = NewPasswordForm()
    try:
        email = account_tokens.find(db.session(), purpose, secret, now()).account.email
        if form.validate_on_submit():
            password_hash = passwords.hash_new(form.password.data, email)
            with current_shop().transaction() as session:
                account = accounts.open_with_link(session, purpose, secret, password_hash, now())
            start_session(account)
            return without_path(see_other(url_for("account.overview")))
    except TokenInvalid:
        return link_is_dead()
    except passwords.WeakPassword as error:
        form.password.errors = [WEAKNESSES[error.weakness]]
    page = render_template(
        "account/choose_password.html", form=form, email=email, claiming=purpose is TokenPurpose.CLAIM
    )
    return without_path(make_response(page, 422 if form.errors else 200))
