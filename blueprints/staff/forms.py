"""What staff fills in."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, StringField, TextAreaField, ValidationError
from wtforms.validators import DataRequired, InputRequired, Length, Regexp

from services.accounts import EmailInvalid, mail_address
from services.languages import Language
from services.money import AmountInvalid, format_amount, parse_amount
from services.passwords import MAX_LENGTH, MIN_LENGTH
from services.plan_texts import DESCRIPTION_LENGTH, NAME_LENGTH, clean_description, clean_name
from services.staff_refunds import NOTE_LENGTH

LOCALE = "en"


class SignInForm(FlaskForm):
    """E-mail and password."""

    email = StringField("E-mail", validators=[InputRequired("Enter your e-mail address.")])
    password = PasswordField("Password", validators=[InputRequired("Enter your password.")])


class SetUpForm(FlaskForm):
    """The first password, or a new one."""

    password = PasswordField(
        "Password",
        validators=[Length(MIN_LENGTH, MAX_LENGTH, f"Enter {MIN_LENGTH} to {MAX_LENGTH} characters.")],
    )


class RefundForm(FlaskForm):
    """How much of an order goes back and why; `form_key` makes a form that is sent twice one refund."""

    amount = StringField("Amount")
    note = StringField(
        "Reason",
        validators=[
            DataRequired("Say why the money goes back; only staff reads it."),
            Length(max=NOTE_LENGTH, message=f"Use at most {NOTE_LENGTH} characters."),
        ],
    )
    form_key = HiddenField(validators=[Regexp(r"[\w-]{32}\Z", message="This form is incomplete. Send it again.")])

    def __init__(self, currency: str, **values: Any) -> None:
        super().__init__(**values)
        self.currency = currency
        self.amount.label.text = f"Amount in {currency}"
        self.amount_minor = 0

    def validate_amount(self, field: StringField) -> None:
        """Read the amount as English writes it, with as many decimals as the currency has."""
        try:
            self.amount_minor = parse_amount(field.data or "", self.currency, LOCALE)
        except AmountInvalid as error:
            raise ValidationError(f"Enter an amount like {format_amount(1490, self.currency, LOCALE)}.") from error
        if not self.amount_minor:
            raise ValidationError("Enter an amount above zero.")


class RecipientForm(FlaskForm):
    """Where the mails about an order go from now on."""

    email = StringField("Address")

    def validate_email(self, field: StringField) -> None:
        """Refuse what is no address."""
        try:
            field.data = mail_address((field.data or "").strip())
        except EmailInvalid as error:
            raise ValidationError("Enter an e-mail address like name@example.com.") from error


class PageTextForm(FlaskForm):
    """The text of a page in a language; `seen` is the version that was the newest when it was opened, empty for none.

    What a text may be is the service's to say. Without `maxlength`: browsers would cut what is pasted, silently.
    """

    body = TextAreaField("Text", filters=[lambda text: text or ""])
    seen = HiddenField()

    def __init__(self, language: Language, **values: Any) -> None:
        super().__init__(**values)
        self.body.render_kw = {**_written_in(language), "rows": 20}


class PlanTextForm(FlaskForm):
    """What a plan is called and says in a language."""

    name = StringField(
        "Name",
        filters=[lambda text: clean_name(text or "")],
        validators=[
            DataRequired("Enter a name."),
            Length(max=NAME_LENGTH, message=f"Use at most {NAME_LENGTH} characters."),
        ],
    )
    description = TextAreaField("Description", filters=[lambda text: clean_description(text or "")])

    def __init__(self, language: Language, **values: Any) -> None:
        super().__init__(**values)
        self.name.render_kw = _written_in(language)
        self.description.render_kw = {**_written_in(language), "rows": 5}

    def validate_description(self, field: TextAreaField) -> None:
        """Refuse what is too long to stand above the facts of a plan."""
        if len(field.data) > DESCRIPTION_LENGTH:
            raise ValidationError(f"Use at most {DESCRIPTION_LENGTH:,} characters; these are {len(field.data):,}.")


def _written_in(language: Language) -> dict[str, str]:
    """Return the attributes of a field whose text is in a language, for its direction and the browser's spelling."""
    return {"lang": language.html, "dir": language.direction}
