"""Money, data, minutes and moments as a reader of a language writes them; the only place that formats or reads them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel.core import Locale, get_global
from babel.dates import format_date as babel_format_date
from babel.dates import format_time, format_timedelta, get_datetime_format
from babel.numbers import (
    NumberFormatError,
    format_currency,
    format_decimal,
    format_percent,
    get_currency_name,
    parse_decimal,
)

from services.languages import data_units

CURRENCIES = ("EUR", "USD", "GBP", "CHF", "JPY", "CNY", "AED")
MONACO = ZoneInfo("Europe/Monaco")
GIGABYTE = 1024**3
MEGABYTE = 1024**2
SECOND = timedelta(seconds=1)
_FRACTIONS = get_global("currency_fractions")
# What an amount is written with in any language; neither signs nor exponents.
_AMOUNT = re.compile(r"[\d\s.,'’٫٬]+")


class AmountInvalid(ValueError):
    """What was entered is no amount of this currency."""


def exponent(currency: str) -> int:
    """Return how many decimals `currency` has (ISO 4217 by way of CLDR): 2 for EUR, 0 for JPY."""
    return int(_FRACTIONS.get(currency, _FRACTIONS["DEFAULT"])[0])


@lru_cache(maxsize=4096)
def format_money(amount_minor: int, currency: str, locale: str) -> str:
    """Return `amount_minor` (minor units) with its currency as `locale` writes it."""
    amount = Decimal(amount_minor).scaleb(-exponent(currency))
    text = format_currency(amount, currency, locale=locale)
    # Arabic begins with a mark of its own; without one at the end the sign of "US$" would go to the other side of it.
    return text + "\u200e" if text.startswith("\u200f") else text


def format_amount(amount_minor: int, currency: str, locale: str) -> str:
    """Return `amount_minor` (minor units) as `parse_amount` reads it: no currency, no separators of thousands."""
    digits = exponent(currency)
    amount = Decimal(amount_minor).scaleb(-digits)
    pattern = f"0.{'0' * digits}" if digits else "0"
    return format_decimal(amount, format=pattern, locale=locale)


def parse_amount(text: str, currency: str, locale: str) -> int:
    """Return an amount that a person has entered as `locale` writes it, in minor units of `currency`.

    Raises AmountInvalid for what is no number, has misplaced separators, or more decimals than the currency.
    """
    try:
        amount = parse_decimal(text.strip(), locale=locale, strict=True) if _AMOUNT.fullmatch(text) else None
    except NumberFormatError:
        amount = None
    minor = amount.scaleb(exponent(currency)) if amount is not None else None
    if minor is None or minor != minor.to_integral_value():
        raise AmountInvalid(text)
    return int(minor)


@lru_cache(maxsize=1024)
def currency_name(currency: str, locale: str) -> str:
    """Return the name of `currency` in `locale`."""
    return get_currency_name(currency, locale=locale)


@lru_cache(maxsize=4096)
def format_data(size: int, locale: str) -> str:
    """Return `size` (bytes) as MB or GB to the base of 1024 that suppliers sell by, with at most two decimals."""
    gigabytes, megabytes = data_units(locale)
    if size >= GIGABYTE:
        return format_decimal(Decimal(size) / GIGABYTE, format="#,##0.##", locale=locale) + "\u00a0" + gigabytes
    return format_decimal(Decimal(size) / MEGABYTE, format="#,##0", locale=locale) + "\u00a0" + megabytes


@lru_cache(maxsize=1024)
def format_number(value: int, locale: str) -> str:
    """Return a whole number with the separators of `locale`."""
    return format_decimal(value, locale=locale)


def format_share(value: float, locale: str) -> str:
    """Return a share of one (0.25) as a whole percentage in `locale`."""
    return _format_percent((Decimal(str(value)) * 100).to_integral_value(ROUND_HALF_EVEN), locale)


@lru_cache(maxsize=1024)
def _format_percent(percent: Decimal, locale: str) -> str:
    return format_percent(percent / 100, locale=locale)


def format_moment(moment: datetime, locale: str) -> str:
    """Return a moment in Monaco's time, to the minute; the page names the zone once."""
    return _format_minute(moment.replace(second=0, microsecond=0), locale)


@lru_cache(maxsize=4096)
def _format_minute(moment: datetime, locale: str) -> str:
    local = moment.astimezone(MONACO)
    pattern = str(get_datetime_format("medium", locale=locale))
    # The long names of the halves of a day: Korean has no short ones, and is given English ones by CLDR.
    short = str(Locale.parse(locale).time_formats["short"].pattern).replace("a", "aaaa")
    time = format_time(local, format=short, tzinfo=MONACO, locale=locale)
    # Arabic has no short names of months: what CLDR calls medium is digits, which can be read from either side.
    day = _first_of_month(
        babel_format_date(local, format="long" if locale.startswith("ar") else "medium", locale=locale), local, locale
    )
    return pattern.replace("{1}", day).replace("{0}", time)


def format_day(moment: datetime | date, locale: str) -> str:
    """Return the day of a moment, in Monaco's time."""
    day = moment.astimezone(MONACO).date() if isinstance(moment, datetime) else moment
    return _first_of_month(babel_format_date(day, format="long", locale=locale), day, locale)


@lru_cache(maxsize=4096)
def format_date(day: date, locale: str) -> str:
    """Return a day of this year, without the year."""
    text = babel_format_date(day, format=str(Locale.parse(locale).datetime_skeletons["MMMd"]), locale=locale)
    return _first_of_month(text, day, locale)


def _first_of_month(text: str, day: date, locale: str) -> str:
    """Return a date whose first of the month is an ordinal where it has to be: French, and CLDR does not know it."""
    return f"1er{text[1:]}" if locale.startswith("fr") and day.day == 1 and text.startswith("1 ") else text


def format_duration(duration: timedelta, locale: str) -> str:
    """Return about how long something takes, in its largest unit from minutes up."""
    return _format_timedelta(_whole_seconds(duration), locale, False)


def format_age(age: timedelta, locale: str) -> str:
    """Return how long ago something was, in its largest unit from minutes up ("3 hours ago"); never less than one."""
    # No time at all would be put into the future: "in 0 minutes".
    return _format_timedelta(_whole_seconds(-max(age, SECOND)), locale, True)


@lru_cache(maxsize=4096)
def _format_timedelta(duration: timedelta, locale: str, add_direction: bool) -> str:
    return format_timedelta(duration, granularity="minute", add_direction=add_direction, locale=locale)


def _whole_seconds(duration: timedelta) -> timedelta:
    return duration // SECOND * SECOND
