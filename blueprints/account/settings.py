"""Settings of an account: e-mail, password, language, currency, each a small form of its own."""

from __future__ import annotations

from flask import Response, make_response, render_template, request, url_for
from flask_babel import gettext as _
from flask_limiter.util import get_remote_address
from flask_wtf import FlaskForm

from blueprints._access import account_required, required_account, signed_in_account, start_session, too_many_tries
from blueprints._web import current_shop, limiter, now, see_other
from blueprints.account import blueprint
from blueprints.account.forms import (
    WEAKNESSES,
    CurrencyForm,
    EmailChangeForm,
    EmptyForm,
    LanguageForm,
    PasswordChangeForm,
)
from blueprints.account.passwords import link_is_dead, without_path
from models import TokenPurpose, db
from services import account_tokens, accounts, passwords

DONE = ("email", "address", "password", "language", "currency")


def _account_key() -> str:
    account = signed_in_account()
    return f"account-id:{account.id}" if account is not None else get_remote_address()


@blueprint.get("/account/settings")
@account_required
def settings() -> Response:
    """Show all settings, with a word about the one that was just changed."""
    return _page()


@blueprint.post("/account/settings/email")
@account_required
@limiter.limit("10 per hour", key_func=_account_key, on_breach=too_many_tries)
def change_email() -> Response:
    """Mail a link to the new address; the old one stays until that link is opened."""
    form = EmailChangeForm(prefix="email")
    account = required_account()
    if not form.validate() or not _password_fits(form):
        return _page(email_form=form)
    shop = current_shop()
    with shop.transaction() as session:
        accounts.ask_email_change(shop, session, account, form.new_email.data, now())
    return _done("email")


@blueprint.post("/account/settings/password")
@account_required
@limiter.limit("10 per hour", key_func=_account_key, on_breach=too_many_tries)
def change_password() -> Response:
    """Set a new password; every other browser is signed out, this one stays."""
    form = PasswordChangeForm()
    account = required_account()
    if not form.validate() or not _password_fits(form):
        return _page(password_form=form)
    try:
        password_hash = passwords.hash_new(form.new_password.data, account.email)
    except passwords.WeakPassword as error:
        form.new_password.errors = [WEAKNESSES[error.weakness]]
        return _page(password_form=form)
    with current_shop().transaction() as session:
        accounts.set_password(session, account, password_hash, now())
    start_session(account)
    return _done("password")


@blueprint.post("/account/settings/language")
@account_required
def change_language() -> Response:
    """Write to the traveller in another language from now on, and show this page in it."""
    form = LanguageForm()
    if not form.validate():
        form.language.errors = [_("Choose one of the languages.")]
        return _page(language_form=form)
    with current_shop().transaction():
        required_account().language = form.language.data
    return see_other(url_for("account.settings", lang=form.language.data, done="language"))


@blueprint.post("/account/settings/currency")
@account_required
def change_currency() -> Response:
    """Show prices in another currency first."""
    form = CurrencyForm()
    if not form.validate():
        form.currency.errors = [_("Choose one of the currencies.")]
        return _page(currency_form=form)
    with current_shop().transaction():
        required_account().currency = form.currency.data
    return _done("currency")


@blueprint.route("/email/<token>", methods=["GET", "POST"])
@limiter.limit("60 per hour", on_breach=too_many_tries)
def confirm_email(token: str) -> Response:
    """Move the account to its new address; only sending the form uses the link up."""
    form = EmptyForm()
    try:
        new_email = account_tokens.find(db.session(), TokenPurpose.EMAIL_CHANGE, token, now()).new_email
        if not form.validate_on_submit():
            page = render_template("account/confirm_email.html", new_email=new_email)
            return without_path(make_response(page))
        with current_shop().transaction() as session:
            accounts.change_email(session, token, now())
    except account_tokens.TokenInvalid:
        return link_is_dead()
    except accounts.EmailTaken:
        return without_path(make_response(render_template("account/email_taken.html", new_email=new_email), 409))
    return without_path(_done("address"))


def _password_fits(form: EmailChangeForm | PasswordChangeForm) -> bool:
    try:
        accounts.check_password(required_account(), form.current_password.data)
    except accounts.WrongPassword:
        form.current_password.errors = [_("This is not your current password.")]
        return False
    return True


def _done(what: str) -> Response:
    return see_other(url_for("account.settings", done=what))


def _page(**forms: FlaskForm) -> Response:
    account = required_account()
    context: dict[str, FlaskForm] = {
        "email_form": EmailChangeForm(formdata=None, prefix="email"),
        "password_form": PasswordChangeForm(formdata=None),
        "language_form": LanguageForm(formdata=None, language=account.language),
        "currency_form": CurrencyForm(formdata=None, currency=account.currency),
        **forms,
    }
    done = request.args.get("done")
    page = render_template("account/settings.html", account=account, done=done if done in DONE else None, **context)
    return make_response(page, 422 if forms else 200)
