"""What the figures of the staff's first page mean: pure rules.

Days are Monaco's, money is minor units, moments are UTC. Amounts of different currencies are never added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from services.money import MONACO

ONE_DAY = timedelta(days=1)
# The longest of the periods that stand on the page whatever its charts show.
LONGEST_PERIOD = 30
# Which days the charts may show: so many up to today.
SPANS = (7, 30, 90)
# Over so many days it is reckoned what an average day costs at the supplier.
SPENDING_DAYS = 14


@dataclass(frozen=True)
class Sales:
    """What was paid for on some days in one currency; `refunded_minor` is what has gone back of it since."""

    purchases: int = 0
    renewals: int = 0
    gross_minor: int = 0
    refunded_minor: int = 0

    @property
    def orders(self) -> int:
        """Return how many orders were paid."""
        return self.purchases + self.renewals

    @property
    def net_minor(self) -> int:
        """Return what is left of it."""
        return self.gross_minor - self.refunded_minor

    def plus(self, other: Sales) -> Sales:
        """Return the sum with other days of the same currency."""
        return Sales(
            self.purchases + other.purchases,
            self.renewals + other.renewals,
            self.gross_minor + other.gross_minor,
            self.refunded_minor + other.refunded_minor,
        )


# By day and currency; a day without a paid order is not in it.
Books = dict[tuple[date, str], Sales]


@dataclass(frozen=True)
class Ends:
    """How many eSIMs ended on some days, and how many of them had been renewed before."""

    ended: int = 0
    renewed: int = 0

    @property
    def rate(self) -> float | None:
        """Return the share that had been renewed, None when none ended: no share is not a share of zero."""
        return self.renewed / self.ended if self.ended else None


@dataclass(frozen=True)
class Period:
    """Some days up to a last one, with what staff calls them."""

    name: str
    first: date
    last: date

    def holds(self, day: date) -> bool:
        """Return whether a day is one of them."""
        return self.first <= day <= self.last


def day_of(moment: datetime) -> date:
    """Return the day that it is in Monaco."""
    return moment.astimezone(MONACO).date()


def day_start(day: date) -> datetime:
    """Return the moment in UTC at which a day begins in Monaco; the next one's may be 23 or 25 hours later."""
    return datetime.combine(day, time(), MONACO).astimezone(UTC)


def last_days(today: date, number: int) -> list[date]:
    """Return so many days up to today, oldest first."""
    return [today - ONE_DAY * ago for ago in reversed(range(number))]


def periods(today: date) -> list[Period]:
    """Return the periods that an operator compares."""
    yesterday = today - ONE_DAY
    longer = [Period(f"Last {number} days", today - ONE_DAY * (number - 1), today) for number in (7, LONGEST_PERIOD)]
    return [Period("Today", today, today), Period("Yesterday", yesterday, yesterday), *longer]


def sales_of(books: Books, period: Period) -> dict[str, Sales]:
    """Return what was sold in a period, by currency in alphabetical order."""
    found: dict[str, Sales] = {}
    for (day, currency), sales in sorted(books.items()):
        if period.holds(day):
            found[currency] = found.get(currency, Sales()).plus(sales)
    return dict(sorted(found.items()))


def orders_per_day(books: Books, days: Sequence[date]) -> list[tuple[date, int, int]]:
    """Return purchases and renewals of each day, whatever the currency; orders can be counted across them."""
    counts = {day: (0, 0) for day in days}
    for (day, _currency), sales in books.items():
        if day in counts:
            purchases, renewals = counts[day]
            counts[day] = (purchases + sales.purchases, renewals + sales.renewals)
    return [(day, *counts[day]) for day in days]


def orders_in(books: Books, period: Period) -> tuple[int, int]:
    """Return purchases and renewals of a period, whatever the currency."""
    inside = [sales for (day, _currency), sales in books.items() if period.holds(day)]
    return sum(sales.purchases for sales in inside), sum(sales.renewals for sales in inside)


def sales_per_day(books: Books, days: Sequence[date], currency: str) -> list[tuple[date, Sales]]:
    """Return what was sold on each day in one currency."""
    return [(day, books.get((day, currency), Sales())) for day in days]


def currencies_of(books: Books, days: Sequence[date]) -> list[str]:
    """Return the currencies that were paid in on some days, the one of most orders first."""
    wanted = set(days)
    orders: dict[str, int] = {}
    for (day, currency), sales in books.items():
        if day in wanted:
            orders[currency] = orders.get(currency, 0) + sales.orders
    return sorted(orders, key=lambda currency: (-orders[currency], currency))


def ends_of(ends: Iterable[tuple[date, Ends]], period: Period) -> Ends:
    """Return how many eSIMs ended in a period, and how many of them had been renewed before."""
    inside = [found for day, found in ends if period.holds(day)]
    return Ends(sum(found.ended for found in inside), sum(found.renewed for found in inside))


def days_left(balance: int, spent: int, days: int = SPENDING_DAYS) -> int | None:
    """Return how many whole days a balance lasts when `days` cost `spent`, both in the same unit.

    None when nothing was spent: then nobody knows. A balance below zero lasts no day.
    """
    return max(0, balance) * days // spent if spent > 0 else None
