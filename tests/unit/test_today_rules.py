"""Days of Monaco, periods, and what is reckoned from the figures of a shop."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from services.today_rules import (
    Books,
    Ends,
    Sales,
    currencies_of,
    day_of,
    day_start,
    days_left,
    ends_of,
    last_days,
    orders_in,
    orders_per_day,
    periods,
    sales_of,
    sales_per_day,
)

TODAY = date(2026, 11, 25)
YESTERDAY = date(2026, 11, 24)
BOOKS: Books = {
    (TODAY, "EUR"): Sales(2, 1, 4470, 0),
    (TODAY, "JPY"): Sales(1, 0, 2400, 2400),
    (YESTERDAY, "EUR"): Sales(0, 1, 1490, 500),
    (date(2026, 11, 19), "CHF"): Sales(1, 0, 1400, 0),
    (date(2026, 10, 27), "EUR"): Sales(1, 0, 1490, 0),
    (date(2026, 10, 26), "EUR"): Sales(9, 9, 9999, 0),
}


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (date(2026, 10, 24), 24),
        (date(2026, 10, 25), 25),
        (date(2026, 10, 26), 24),
        (date(2026, 3, 28), 24),
        (date(2026, 3, 29), 23),
        (date(2026, 3, 30), 24),
    ],
)
def test_a_day_is_as_long_as_it_is_in_monaco(day: date, hours: int) -> None:
    """The clocks go back on 25 October 2026 and forward on 29 March 2026."""
    start, end = day_start(day), day_start(day + timedelta(days=1))
    assert end - start == timedelta(hours=hours)
    assert start.tzinfo is UTC
    assert (day_of(start), day_of(end - timedelta(microseconds=1)), day_of(end)) == (day, day, day + timedelta(days=1))


def test_a_day_begins_before_midnight_in_utc() -> None:
    """One hour in winter, two in summer."""
    assert day_start(date(2026, 11, 25)) == datetime(2026, 11, 24, 23, tzinfo=UTC)
    assert day_start(date(2026, 7, 1)) == datetime(2026, 6, 30, 22, tzinfo=UTC)


def test_the_last_days_end_with_today() -> None:
    """Without a gap, across a change of the clocks too."""
    days = last_days(date(2026, 10, 27), 4)
    assert days == [date(2026, 10, 24), date(2026, 10, 25), date(2026, 10, 26), date(2026, 10, 27)]
    assert last_days(TODAY, 1) == [TODAY]


def test_periods_include_today_except_for_yesterday() -> None:
    """Seven and thirty days, today among them."""
    found = {period.name: (period.first, period.last) for period in periods(TODAY)}
    assert found == {
        "Today": (TODAY, TODAY),
        "Yesterday": (YESTERDAY, YESTERDAY),
        "Last 7 days": (date(2026, 11, 19), TODAY),
        "Last 30 days": (date(2026, 10, 27), TODAY),
    }


def test_sales_are_added_up_within_a_currency_only() -> None:
    """By period; a day outside of it does not count, and a period without sales has no currency."""
    today, yesterday, week, month = (sales_of(BOOKS, period) for period in periods(TODAY))
    assert today == {"EUR": Sales(2, 1, 4470, 0), "JPY": Sales(1, 0, 2400, 2400)}
    assert yesterday == {"EUR": Sales(0, 1, 1490, 500)}
    assert week == {"CHF": Sales(1, 0, 1400, 0), "EUR": Sales(2, 2, 5960, 500), "JPY": Sales(1, 0, 2400, 2400)}
    assert month["EUR"] == Sales(3, 2, 7450, 500)
    assert (month["EUR"].orders, month["EUR"].net_minor) == (5, 6950)
    assert list(month) == ["CHF", "EUR", "JPY"]
    assert sales_of({}, periods(TODAY)[0]) == {}


def test_orders_are_counted_across_currencies() -> None:
    """Of a period, and of each day; a day without orders is there with none."""
    today, _yesterday, week, _month = periods(TODAY)
    assert orders_in(BOOKS, today) == (3, 1)
    assert orders_in(BOOKS, week) == (4, 2)
    assert orders_in({}, week) == (0, 0)
    days = last_days(TODAY, 3)
    assert orders_per_day(BOOKS, days) == [(date(2026, 11, 23), 0, 0), (YESTERDAY, 0, 1), (TODAY, 3, 1)]


def test_the_sales_of_each_day_are_in_one_currency() -> None:
    """A day without any has none."""
    assert sales_per_day(BOOKS, [YESTERDAY, TODAY], "JPY") == [(YESTERDAY, Sales()), (TODAY, Sales(1, 0, 2400, 2400))]


def test_the_currency_of_most_orders_comes_first() -> None:
    """Of the days that are shown; as many orders are in the order of the alphabet."""
    assert currencies_of(BOOKS, last_days(TODAY, 7)) == ["EUR", "CHF", "JPY"]
    assert currencies_of(BOOKS, [date(2026, 11, 20)]) == []


def test_the_renewal_rate_is_a_share_of_what_ended() -> None:
    """None where nothing ended: that is not a rate of zero."""
    week = periods(TODAY)[2]
    ends = [(TODAY, Ends(3, 1)), (date(2026, 11, 19), Ends(1, 1)), (date(2026, 11, 18), Ends(7, 7))]
    assert ends_of(ends, week) == Ends(4, 2)
    assert ends_of(ends, week).rate == 0.5
    assert Ends(3, 0).rate == 0
    assert ends_of([], week).rate is None


@pytest.mark.parametrize(
    ("balance", "spent", "left"),
    [(1000, 140, 100), (1000, 0, None), (0, 140, 0), (-5, 140, 0), (9, 140, 0), (10, 140, 1), (1000, -1, None)],
)
def test_how_long_a_balance_lasts(balance: int, spent: int, left: int | None) -> None:
    """Whole days at the average of fourteen; unknown when nothing was spent."""
    assert days_left(balance, spent) == left
