"""Amounts in minor units: how many decimals a currency has, and which amounts Stripe refuses.

Rules of docs.stripe.com/currencies. Minimums that the page does not list are 0.50 US dollars at a rough, fixed rate.
"""

from __future__ import annotations

from decimal import Decimal

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, list_currencies

from sandbox.stripe.errors import invalid

ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
# Sent with two decimals although the currency has none, so the last two digits must be zero.
WHOLE_UNITS_ONLY = frozenset({"isk", "ugx"})
LARGEST = 99_999_999

_MINIMUM = {
    "aed": 200, "aud": 50, "bgn": 100, "bhd": 190, "brl": 50, "cad": 50, "chf": 50, "clp": 480, "cny": 360, "czk": 1500,
    "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "idr": 800_000, "ils": 185, "inr": 50, "isk": 7000,
    "jod": 355, "jpy": 50, "krw": 700, "kwd": 155, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "omr": 195,
    "php": 2900, "pln": 200, "qar": 185, "ron": 200, "sar": 190, "sek": 300, "sgd": 50, "thb": 1000, "tnd": 1550,
    "try": 2000, "twd": 1600, "usd": 50, "vnd": 13_000, "zar": 900,
}  # fmt: skip


def exponent(currency: str) -> int:
    """Return how many decimals Stripe's minor unit has: 0, 2 or 3."""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def minimum(currency: str) -> int:
    """Return the smallest chargeable amount in minor units."""
    return _MINIMUM.get(currency, 50)


def checked_currency(currency: str, param: str = "currency") -> str:
    """Return the currency in lower case; raises ApiError 400 when it is none."""
    if currency.upper() not in list_currencies():
        raise invalid(f"Invalid currency: {currency}.", param)
    return currency.lower()


def check_amount(amount: int, currency: str, param: str | None = "amount") -> None:
    """Raise ApiError 400 for an amount in minor units that cannot be charged in `currency`."""
    if currency in WHOLE_UNITS_ONLY and amount % 100:
        message = f"Invalid amount: {currency.upper()} has no minor unit; the amount must be divisible by 100."
        raise invalid(message, param, "invalid_charge_amount_no_decimal_compatible")
    if currency in THREE_DECIMAL and amount % 10:
        raise invalid(f"Invalid amount: in {currency.upper()} the last digit must be 0.", param)
    if amount < minimum(currency):
        message = f"Amount must be at least {formatted(minimum(currency), currency)}"
        raise invalid(message, param, "amount_too_small")
    if amount > LARGEST:
        message = f"Amount must be no more than {formatted(LARGEST, currency)}"
        raise invalid(message, param, "amount_too_large")


def formatted(amount: int, currency: str, language: str | None = None) -> str:
    """Return the amount as a reader of `language` (a Stripe locale; English when unknown) writes it."""
    return format_currency(Decimal(amount).scaleb(-exponent(currency)), currency.upper(), locale=_locale(language))


def _locale(language: str | None) -> Locale:
    try:
        return Locale.parse(language or "en", sep="-")
    except (ValueError, UnknownLocaleError):
        return Locale("en")
