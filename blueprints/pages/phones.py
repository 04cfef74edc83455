"""A phone of the list as a page shows it: its traps with the names of countries in the reader's language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext as _
from flask_babel import ngettext

from blueprints._language import current_language
from services.countries import country_name, join_names
from services.phones import Phone, Trap

# A longer list says no more to somebody who looks for one country.
MOST_PLACES = 3


@dataclass(frozen=True)
class PhoneLine:
    """A phone, and per trap its effect and where it applies in words; "" for everywhere."""

    phone: Phone
    traps: list[tuple[str, str]]


def line_of(phone: Phone) -> PhoneLine:
    """Return `phone` for a page in the language of the request."""
    return PhoneLine(phone, [(trap.effect.value, _places(trap)) for trap in phone.traps])


def _places(trap: Trap) -> str:
    names = [_place(code) for code in trap.places]
    if len(names) > MOST_PLACES + 1:
        more = len(names) - MOST_PLACES
        names = [*names[:MOST_PLACES], ngettext("%(num)s other country", "%(num)s other countries", more)]
    return _joined(names)


def _joined(names: Sequence[str]) -> str:
    return join_names(tuple(names), current_language().locale)


def _place(code: str) -> str:
    """Return the name of a place of purchase; CLDR's "China" and "Hong Kong SAR China" would be mixed up."""
    if code == "CN":
        return _("mainland China")
    if code == "HK":
        return _("Hong Kong")
    if code == "MO":
        return _("Macau")
    return country_name(code, current_language().locale)
