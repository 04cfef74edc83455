"""The shop with a clock that can be moved on: `flask --app bench.chaos_clock …` in place of `flask --app app …`.

How far it is ahead of the machine's stands in a file in INSTANCE and is read anew each time.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask import Flask

import app

FILE = "chaos_clock"


class MovedClock:
    """The machine's clock and what the file in `instance` adds to it."""

    def __init__(self, instance: Path) -> None:
        self._file = instance / FILE

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        return datetime.now(UTC) + self.ahead

    @property
    def ahead(self) -> timedelta:
        """Return how far the clock is ahead of the machine's."""
        try:
            return timedelta(seconds=float(self._file.read_text()))
        except FileNotFoundError:
            return timedelta()

    def move_to(self, moment: datetime) -> None:
        """Make it that moment; never goes back."""
        ahead = max(self.ahead, moment - datetime.now(UTC))
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(ahead.total_seconds()))
        fresh.replace(self._file)


def create_app() -> Flask:
    """Return the shop of the environment with such a clock."""
    return app.create_app(clock=MovedClock(Path(os.environ["INSTANCE"])))
