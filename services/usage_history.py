"""What each eSIM had used at the end of each day, as far as the supplier told us: one row per eSIM and day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from models import UsageDay
from services.database import inserting
from services.usage_days import KnownDay, day_of

# The id of an eSIM, the bytes it has used all in all, and when that was so, where the supplier says.
Figure = tuple[int, int, datetime | None]

# More than a page shows, so that its first days can be told from the ones before.
MOST_DAYS = 31

_DAYS = (
    select(UsageDay.day, UsageDay.used_bytes)
    .where(UsageDay.esim_id == bindparam("esim_id"))
    .order_by(UsageDay.day.desc())
    .limit(MOST_DAYS)
)


def note_days(session: Session, figures: Sequence[Figure], read_at: datetime) -> None:
    """Keep each figure as the last one of its day, by one statement; at most one figure per eSIM.

    A negative figure says nothing, so it is left out.
    """
    rows = [
        {"esim_id": esim_id, "day": day_of(as_of, read_at), "used_bytes": used}
        for esim_id, used, as_of in figures
        if used >= 0
    ]
    if not rows:
        return
    statement = inserting(session, UsageDay).values(rows)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["esim_id", "day"], set_={"used_bytes": statement.excluded.used_bytes}
        )
    )


def list_days(session: Session, esim_id: int) -> list[KnownDay]:
    """Return the newest days that are known of an eSIM, oldest first, by one statement."""
    rows = session.execute(_DAYS, {"esim_id": esim_id}).all()
    return [KnownDay(row.day, row.used_bytes) for row in reversed(rows)]
