"""What a traveller may ask of the shelf; all of it stands in the address, so nothing here needs a CSRF token."""

from __future__ import annotations

from collections.abc import Sequence

from flask import request
from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import Field, Form, SelectField, StringField
from wtforms.validators import ValidationError

from services.catalogue import PlanFilter, PlanView
from services.money import CURRENCIES, GIGABYTE, currency_name

# No plan lasts longer; a larger number is a slip of the finger.
LONGEST_STAY = 365
SIZES_GB = (1, 3, 5, 10, 20)
# The neighbours first: this is what people ask for.
NEIGHBOURS = ("MC", "FR", "IT")


class AddressForm(FlaskForm):
    """A form that is sent with GET."""

    class Meta:
        csrf = False

    def __init__(self) -> None:
        super().__init__(formdata=request.args)

    def number(self, name: str) -> int | None:
        """Return a field that has been checked as a whole number; None when it was left empty."""
        text = self[name].data
        return int(text) if text else None


def known_choice(_form: Form, field: SelectField) -> None:
    """Refuse what is not one of the choices; raises ValidationError."""
    if field.data not in {value for value, _label in field.choices}:
        raise ValidationError(_("%(field)s: please choose one of the list.", field=field.label.text))


class WholeDays:
    """Refuses anything but a whole number of days in the range, and, where it must be given, nothing."""

    def __init__(self, days_min: int, days_max: int, required: bool) -> None:
        self.days_min = days_min
        self.days_max = days_max
        self.required = required

    def __call__(self, _form: Form, field: Field) -> None:
        """Raise ValidationError for a number of days that is not offered."""
        text = (field.data or "").strip()
        field.data = text
        if not text and not self.required:
            return
        if not (text.isascii() and text.isdecimal() and self.days_min <= int(text[:6]) <= self.days_max):
            raise ValidationError(
                _(
                    "Days: please enter a whole number from %(first)s to %(last)s.",
                    first=self.days_min,
                    last=self.days_max,
                )
            )


class PlansForm(AddressForm):
    """Which plans to show."""

    country = SelectField(_("Country"), default="", validate_choice=False, validators=[known_choice])
    days = StringField(_("Days"), validators=[WholeDays(1, LONGEST_STAY, required=False)])
    data = SelectField(_("Data"), default="", validate_choice=False, validators=[known_choice])
    currency = SelectField(_("Currency"), validate_choice=False, validators=[known_choice])

    def __init__(self, countries: Sequence[tuple[str, str]], sizes: Sequence[tuple[str, str]], locale: str) -> None:
        super().__init__()
        self.country.choices = [("", _("Any country")), *countries]
        self.data.choices = [("", _("Any amount")), *sizes]
        self.currency.choices = currency_choices(locale)

    def wanted(self) -> PlanFilter:
        """Return what the checked form asks for."""
        gigabytes = self.number("data")
        return PlanFilter(
            country=self.country.data or None,
            days=self.number("days"),
            data_bytes=gigabytes * GIGABYTE if gigabytes else None,
        )


class PlanForm(AddressForm):
    """How many days of one plan, and in which currency."""

    days = StringField(_("Days"))
    currency = SelectField(_("Currency"), validate_choice=False, validators=[known_choice])

    def __init__(self, plan: PlanView, locale: str) -> None:
        super().__init__()
        self.currency.choices = currency_choices(locale)
        self.currency.data = self.currency.data or plan.currency
        if plan.days_choosable:
            self.days.validators = [WholeDays(plan.days_min, plan.days_max, required=True)]
            if "days" not in request.args:
                self.days.data = str(plan.days_min)
        else:
            del self.days


def currency_choices(locale: str) -> list[tuple[str, str]]:
    """Return the currencies with their names."""
    return [(code, f"{code} · {currency_name(code, locale)}") for code in CURRENCIES]
