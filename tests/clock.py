"""A clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Stands still; begins at the machine's own time, because the sandbox's stand-ins go by that."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC).replace(microsecond=0)

    def now(self) -> datetime:
        """Return the moment it stands at, in UTC."""
        return self._now

    def advance(self, **delta: float) -> None:
        """Move forward, as in `advance(days=3, minutes=5)`."""
        self._now += timedelta(**delta)

    def set(self, moment: datetime) -> None:
        """Move to `moment`, forward or back."""
        self._now = moment.astimezone(UTC)
