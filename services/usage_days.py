"""Use per day, worked out from what is known at the end of some days: pure rules. Data is bytes, days are Monaco's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise

from services.money import MONACO

# A chart shows so many days, and up to MOST_SHOWN where the use of several days is only known as one sum.
SHOWN = 7
MOST_SHOWN = 14
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class KnownDay:
    """What an eSIM had used all in all at the last figure of a day."""

    day: date
    used: int


@dataclass(frozen=True)
class Use:
    """What was used from the beginning of `first` to the last figure of `last`; None where that is not known."""

    first: date
    last: date
    used: int | None

    @property
    def days(self) -> int:
        """Return how many days it is about."""
        return (self.last - self.first).days + 1


def day_of(as_of: datetime | None, read_at: datetime) -> date:
    """Return the day that a figure belongs to: its own moment's, else the one at which it was read.

    A figure that claims to be of a moment to come is one of the moment at which it was read.
    """
    return min(as_of or read_at, read_at).astimezone(MONACO).date()


def use_per_day(known: Sequence[KnownDay], activated_at: datetime | None, until: date) -> list[Use]:
    """Return the use of the last days up to `until`, oldest first, without a gap; empty while nothing is known.

    `known` is in order of days. Days without a figure in between are one sum with the next known day. A figure that
    went down, as after a correction, makes the use of its days unknown.
    """
    points = _with_the_beginning([day for day in known if day.day <= until], activated_at)
    uses = [_between(before, after) for before, after in pairwise(points)]
    if points and points[-1].day < until:
        uses.append(Use(points[-1].day + ONE_DAY, until, None))
    shown = list(_window(uses, until))
    return shown if any(use.used is not None for use in shown) else []


def _between(before: KnownDay, after: KnownDay) -> Use:
    used = after.used - before.used
    return Use(before.day + ONE_DAY, after.day, used if used >= 0 else None)


def _with_the_beginning(known: list[KnownDay], activated_at: datetime | None) -> list[KnownDay]:
    """Begin with the day before the activation, when nothing had been used.

    Not where figures of days before say otherwise: then what the supplier calls the activation was not the first one.
    """
    if activated_at is None:
        return known
    eve = activated_at.astimezone(MONACO).date() - ONE_DAY
    if any(day.used for day in known if day.day <= eve):
        return known
    since = [day for day in known if day.day > eve]
    return [KnownDay(eve, 0), *since] if since else []


def _window(uses: list[Use], until: date) -> Iterator[Use]:
    """Yield what ends in the last SHOWN days; a sum that began before MOST_SHOWN days cannot be shown as a part."""
    begin, earliest = until - ONE_DAY * (SHOWN - 1), until - ONE_DAY * (MOST_SHOWN - 1)
    for use in uses:
        if use.last < begin:
            continue
        if use.first < earliest:
            yield Use(begin, use.last, None)
        elif use.used is None and use.first < begin:
            yield replace(use, first=begin)
        else:
            yield use
