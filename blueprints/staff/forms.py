"""What staff fills in."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask_wtf import FlaskForm
from wtforms import DateField, HiddenField, PasswordField, SelectField, StringField, TextAreaField, ValidationError
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, InputRequired, Length, Optional, Regexp

from services.accounts import EmailInvalid, mail_address
from services.audit import KEY_LENGTH, Action
from services.audit_words import ACTIONS
from services.languages import Language
from services.money import AmountInvalid, format_amount, parse_amount
from services.passwords import MAX_LENGTH, MIN_LENGTH
from services.plan_texts import DESCRIPTION_LENGTH, NAME_LENGTH, clean_description, clean_name
from services.staff_refunds import NOTE_LENGTH

LOCALE = "en"
EARLIEST_DAY, LATEST_DAY = date(2000, 1, 1), date(2999, 12, 31)
ORDER_NUMBER_LENGTH = 10


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


class DayField(DateField):
    """A day, that says what to enter when it is none."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read a day as browsers send it."""
        try:
            super().process_formdata(valuelist)
        except ValueError as error:
            raise ValueError("Enter a day like 2026-11-25.") from error


class AuditFilterForm(FlaskForm):
    """Which rows of the audit to list; it changes nothing, so it is sent as an address and has no token."""

    class Meta:
        csrf = False

    who = SelectField("Who", default="")
    action = SelectField(
        "What",
        default="",
        choices=[SelectChoice("", "Everything"), *(SelectChoice(action.value, ACTIONS[action]) for action in Action)],
    )
    subject = StringField(
        "To what",
        render_kw={"placeholder": "order, address, text"},
        filters=[lambda text: _subject_key(text or "")],
        validators=[Length(max=KEY_LENGTH, message=f"Use at most {KEY_LENGTH} characters.")],
    )
    first = DayField("From", validators=[Optional()])
    last = DayField("To", validators=[Optional()])

    def validate_first(self, field: DateField) -> None:
        """Refuse days of other centuries, which no database reckons with."""
        _check_day(field)

    def validate_last(self, field: DateField) -> None:
        """Refuse a last day that is before the first one."""
        _check_day(field)
        if self.first.data is not None and field.data is not None and field.data < self.first.data:
            raise ValidationError("Enter a day that is not before the first one.")


def _check_day(field: DateField) -> None:
    if field.data is not None and not EARLIEST_DAY <= field.data <= LATEST_DAY:
        raise ValidationError(f"Enter a day between {EARLIEST_DAY:%Y} and {LATEST_DAY:%Y}.")


def _subject_key(text: str) -> str:
    """Return what somebody looks for as the audit writes it: numbers of orders large, addresses and texts small."""
    text = text.strip()
    if "@" in text or "/" in text:
        return text.lower()
    return text.upper() if len(text) == ORDER_NUMBER_LENGTH and text.isalnum() else text


def _written_in(language: Language) -> dict[str, str]:
    """Return the attributes of a field whose text is in a language, for its direction and the browser's spelling."""
    return {"lang": language.html, "dir": language.direction}
