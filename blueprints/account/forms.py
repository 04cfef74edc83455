"""The forms of the account area."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l
from flask_babel import lazy_ngettext
from flask_wtf import FlaskForm
from wtforms import Field, Form, PasswordField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, Length, ValidationError

from services import money
from services.accounts import EmailInvalid, normalise_email
from services.languages import LANGUAGES
from services.passwords import MAX_LENGTH, MIN_LENGTH, Weakness

WEAKNESSES = {
    Weakness.TOO_SHORT: lazy_ngettext(
        "Use at least %(num)s character.", "Use at least %(num)s characters.", num=MIN_LENGTH
    ),
    Weakness.TOO_LONG: lazy_ngettext(
        "Use at most %(num)s character.", "Use at most %(num)s characters.", num=MAX_LENGTH
    ),
    Weakness.IS_EMAIL: _l("Your e-mail address is too easy to guess. Choose another password."),
}


def _email_address(_form: Form, field: Field) -> None:
    try:
        normalise_email(field.data)
    except EmailInvalid as error:
        raise ValidationError(
            _l("This does not look like an e-mail address. Check it, like name@example.com.")
        ) from error


def _email_field(label: Any) -> StringField:
    return StringField(
        label,
        [
            DataRequired(_l("Enter your e-mail address.")),
            Length(max=254, message=_l("This is too long.")),
            _email_address,
        ],
    )


def _password_field(label: Any) -> PasswordField:
    return PasswordField(label, [DataRequired(_l("Enter a password."))])


class SignInForm(FlaskForm):
    """E-mail and password; a malformed address is simply a wrong one."""

    email = StringField(_l("E-mail"), [DataRequired(_l("Enter your e-mail address."))])
    password = _password_field(_l("Password"))


class EmailForm(FlaskForm):
    """An address to send a link to."""

    email = _email_field(_l("E-mail"))


class NewPasswordForm(FlaskForm):
    """The password that opens the account from now on."""

    password = _password_field(_l("New password"))


class EmptyForm(FlaskForm):
    """Nothing but the proof that the request comes from our own page."""


class EmailChangeForm(FlaskForm):
    """A new address, and the password that proves who asks."""

    new_email = _email_field(_l("New e-mail"))
    current_password = _password_field(_l("Your password"))


class PasswordChangeForm(FlaskForm):
    """The old password and the new one."""

    current_password = _password_field(_l("Current password"))
    new_password = _password_field(_l("New password"))


class LanguageForm(FlaskForm):
    """The language of pages and mails."""

    language = SelectField(
        _l("Language"),
        choices=[
            SelectChoice(language.code, language.name, render_kw={"lang": language.html})
            for language in LANGUAGES.values()
        ],
    )


class CurrencyForm(FlaskForm):
    """The currency that prices are shown in first."""

    currency = SelectField(_l("Currency"), choices=[SelectChoice(currency, currency) for currency in money.CURRENCIES])


class NicknameForm(FlaskForm):
    """A name that the traveller gives an eSIM; empty takes it away."""

    nickname = StringField(_l("Nickname"), [Length(max=40, message=_l("Use at most 40 characters."))])
