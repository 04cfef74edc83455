"""What a renewal changes, computed before paying and checked afterwards; values in, values out.

The rule is the supplier's: a top-up adds its data to what is left and its days to the end date; before the first
connection there is no end date yet, and the days add up (docs/suppliers.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from services.suppliers import Reading
from services.usage_rules import remaining

# Suppliers round an end date; an hour tells a rounding from a missing day.
ROUNDING = timedelta(hours=1)


class Figures(Protocol):
    """What a reading and a stored eSIM have in common: bytes, days, UTC; None where the supplier said nothing."""

    @property
    def total_bytes(self) -> int | None: ...
    @property
    def used_bytes(self) -> int | None: ...
    @property
    def total_days(self) -> int | None: ...
    @property
    def activated_at(self) -> datetime | None: ...
    @property
    def expires_at(self) -> datetime | None: ...


@dataclass(frozen=True, kw_only=True)
class EsimState:
    """What a traveller cares about on one eSIM: bytes left, when it ends, how many days were bought in all.

    `ends_at` is None while the days have not started to count; a figure that the supplier did not give is None too.
    """

    data_left: int | None
    ends_at: datetime | None
    days: int | None
    as_of: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values, for keeping it beside an order."""
        return {
            "data_left": self.data_left,
            "ends_at": self.ends_at.isoformat() if self.ends_at else None,
            "days": self.days,
            "as_of": self.as_of.isoformat() if self.as_of else None,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EsimState:
        """Return the state that `to_json` wrote."""
        moments = {
            name: datetime.fromisoformat(values[name]) if values[name] else None for name in ("ends_at", "as_of")
        }
        return cls(data_left=values["data_left"], days=values["days"], **moments)

    @classmethod
    def from_figures(cls, figures: Figures, as_of: datetime | None) -> EsimState:
        """Return the state that a supplier's figures describe; before the first connection there is no end yet."""
        return cls(
            data_left=remaining(figures.total_bytes, figures.used_bytes),
            ends_at=figures.expires_at if figures.activated_at is not None else None,
            days=figures.total_days,
            as_of=as_of,
        )


def after_renewal(before: EsimState, data_bytes: int | None, days: int) -> EsimState:
    """Return the state that a renewal of `data_bytes` and `days` leads to, all else staying as it is."""
    left = None if before.data_left is None or data_bytes is None else before.data_left + data_bytes
    return EsimState(
        data_left=left,
        ends_at=before.ends_at + timedelta(days=days) if before.ends_at else None,
        days=before.days + days if before.days is not None else None,
        as_of=before.as_of,
    )


def with_topups(before: Reading, sizes: Sequence[tuple[int | None, int]]) -> Reading:
    """Return what `before` became by other top-ups of so many bytes (None: unlimited) and days each."""
    data_bytes = sum(data_bytes or 0 for data_bytes, _days in sizes)
    days = sum(days for _data_bytes, days in sizes)
    ends_at = before.expires_at
    if before.activated_at is not None and ends_at is not None:
        ends_at += timedelta(days=days)
    return replace(
        before,
        total_bytes=None if before.total_bytes is None else before.total_bytes + data_bytes,
        total_days=None if before.total_days is None else before.total_days + days,
        expires_at=ends_at,
        package_count=before.package_count + len(sizes),
    )


def was_applied(before: Reading, now: Reading) -> bool:
    """Return whether a top-up has reached the eSIM since `before` was read."""
    if now.package_count != before.package_count:
        return now.package_count > before.package_count
    return (now.total_bytes or 0) > (before.total_bytes or 0) or (now.total_days or 0) > (before.total_days or 0)


def is_as_promised(before: Reading, now: Reading, data_bytes: int | None, days: int) -> bool:
    """Return whether the supplier's own figures grew by at least what was paid for; no figure is no proof."""
    if data_bytes is not None:
        if before.total_bytes is None or now.total_bytes is None:
            return False
        if now.total_bytes - before.total_bytes < data_bytes:
            return False
    if before.total_days is None or now.total_days is None or now.total_days - before.total_days < days:
        return False
    if before.activated_at is None or before.expires_at is None:
        return True
    return now.expires_at is not None and now.expires_at - before.expires_at >= timedelta(days=days) - ROUNDING
