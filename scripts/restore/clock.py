"""The shop with a clock that is ahead of the machine's: `flask --app scripts.restore.clock`.

The exercise lasts a minute and stands for an hour: what was sold in it is to be an hour old when the shop comes back.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import app

AHEAD = timedelta(seconds=float(os.environ["EXERCISE_SECONDS_AHEAD"]))


class ClockAhead:
    """The machine's own clock and a while more."""

    def now(self) -> datetime:
        """Return the moment that it is for the shop, in UTC."""
        return datetime.now(UTC) + AHEAD


app.SystemClock = ClockAhead  # type: ignore[assignment, attr-defined]
create_app = app.create_app
