"""Money, data and moments as readers of a language expect them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.money import (
    GIGABYTE,
    MEGABYTE,
    AmountInvalid,
    exponent,
    format_age,
    format_amount,
    format_data,
    format_date,
    format_day,
    format_moment,
    format_money,
    parse_amount,
)


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "text"),
    [
        (1490, "EUR", "en", "€14.90"),
        (1490, "EUR", "fr", "14,90\xa0€"),
        (2500, "JPY", "en", "¥2,500"),
        (11900, "CNY", "zh_Hans", "¥119.00"),
        (0, "CHF", "fr", "0,00\xa0CHF"),
        (6300, "AED", "ar", "\u200f63.00\xa0د.إ.\u200f\u200e"),
        (1490, "USD", "ar", "\u200f14.90\xa0US$\u200e"),
    ],
)
def test_money_is_written_by_the_rules_of_currency_and_language(
    amount: int, currency: str, locale: str, text: str
) -> None:
    """Minor units become an amount with as many decimals as the currency has."""
    assert format_money(amount, currency, locale) == text


@pytest.mark.parametrize(("currency", "decimals"), [("EUR", 2), ("JPY", 0), ("KWD", 3)])
def test_currencies_have_their_own_number_of_decimals(currency: str, decimals: int) -> None:
    """Two, none and three are all there."""
    assert exponent(currency) == decimals


@pytest.mark.parametrize(
    ("text", "currency", "locale", "amount"),
    [
        ("14.90", "EUR", "en", 1490),
        ("14.9", "EUR", "en", 1490),
        (" 14 ", "EUR", "en", 1400),
        ("1,490.00", "EUR", "en", 149000),
        ("14,90", "EUR", "fr", 1490),
        ("1490", "JPY", "en", 1490),
        ("1,490", "JPY", "en", 1490),
        ("1490.0", "JPY", "en", 1490),
        ("1.234", "KWD", "en", 1234),
        ("0.00", "EUR", "en", 0),
    ],
)
def test_an_amount_is_read_as_it_is_written(text: str, currency: str, locale: str, amount: int) -> None:
    """As many decimals as the currency has, with the separators of the language."""
    assert parse_amount(text, currency, locale) == amount


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        *[(text, "EUR") for text in ("", " ", "much", "14,90", "14.901", "1.2.3", "-5", "+5", "1e3", "1_000", "NaN")],
        *[(text, "EUR") for text in ("Infinity", "€14.90", "14.90 EUR", "0x10", ".", ",")],
        ("14.90", "JPY"),
    ],
)
def test_what_is_no_amount_is_refused_and_never_guessed(text: str, currency: str) -> None:
    """A comma for a point would be a hundred times as much."""
    with pytest.raises(AmountInvalid):
        parse_amount(text, currency, "en")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(1490, "EUR", "14.90"), (5, "EUR", "0.05"), (149000, "EUR", "1490.00"), (1490, "JPY", "1490"), (0, "JPY", "0")],
)
def test_an_amount_in_a_field_can_be_read_again(amount: int, currency: str, text: str) -> None:
    """What a form is filled in with comes back as the same amount."""
    assert format_amount(amount, currency, "en") == text
    assert parse_amount(text, currency, "en") == amount


@pytest.mark.parametrize(
    ("size", "locale", "text"),
    [
        (GIGABYTE, "en", "1\xa0GB"),
        (GIGABYTE * 3 // 2, "fr", "1,5\xa0Go"),
        (512 * MEGABYTE, "fr", "512\xa0Mo"),
        (512 * MEGABYTE, "zh_Hans", "512\xa0MB"),
        (GIGABYTE * 3 // 2, "ar", "1.5\xa0غيغابايت"),
        (0, "en", "0\xa0MB"),
    ],
)
def test_data_is_counted_to_the_base_that_suppliers_sell_by(size: int, locale: str, text: str) -> None:
    """1,024 MB are 1 GB, and French says Go."""
    assert format_data(size, locale) == text


def test_moments_are_told_in_monaco_time() -> None:
    """The shop stores UTC and shows what the clock in Monaco says, in winter and in summer."""
    assert format_moment(datetime(2026, 1, 10, 23, 30, tzinfo=UTC), "fr") == "11 janv. 2026, 00:30"
    assert format_moment(datetime(2026, 7, 10, 22, 30, tzinfo=UTC), "fr") == "11 juil. 2026, 00:30"
    assert format_moment(datetime(2026, 7, 10, 22, 30, tzinfo=UTC), "ar") == "11 يوليو 2026، 12:30 ص"
    assert format_day(datetime(2026, 7, 10, 22, 30, tzinfo=UTC), "en") == "July 11, 2026"


def test_what_is_known_this_second_is_not_of_the_future() -> None:
    assert format_age(timedelta(), "en") == "1 minute ago"
    assert format_age(timedelta(seconds=59), "de") == "vor 1 Minute"
    assert format_age(timedelta(hours=3), "ru") == "3 часа назад"


def test_the_first_of_a_month_is_an_ordinal_in_french() -> None:
    first = datetime(2026, 12, 1, 14, tzinfo=UTC)
    assert format_moment(first, "fr") == "1er déc. 2026, 15:00"
    assert format_day(first, "fr_CH") == "1er décembre 2026"
    assert format_date(first.date(), "fr") == "1er déc."
    assert format_day(datetime(2026, 12, 11, tzinfo=UTC), "fr") == "11 décembre 2026"
    assert format_day(first, "it") == "1 dicembre 2026"
