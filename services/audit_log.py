"""Reading the audit: newest first, a page at a time, by any of its filters; the whole of it without memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, literal, select, tuple_
from sqlalchemy.orm import Session

from models import AuditEvent, Staff
from services.audit import Action, SubjectKind
from services.money import MONACO

EVENTS_PER_PAGE = 50
EVENTS_PER_BATCH = 1000
EVENTS_OF_AN_ORDER = 20

Event = Row[*tuple[Any, ...]]


@dataclass(frozen=True)
class Place:
    """Where a page ends: the moment and the id of its last row."""

    at: datetime
    id: int


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """Which rows to list; what is None does not count.

    `nobody` asks for what no signed-in member did: commands, and sign-ins that were refused. `first` and `last` are
    days in Monaco, both included. `before` is where the page before ended.
    """

    staff_id: int | None = None
    nobody: bool = False
    action: Action | None = None
    subject_key: str | None = None
    first: date | None = None
    last: date | None = None
    before: Place | None = None


@dataclass(frozen=True)
class AuditPage:
    """One page of the audit; `next_before` is None on the last one."""

    events: Sequence[Event]
    next_before: Place | None


def read_page(session: Session, wanted: AuditFilter, limit: int = EVENTS_PER_PAGE) -> AuditPage:
    """Return one page of the audit, newest first, by one SQL statement that reads as many rows as it returns."""
    events = session.execute(_statement(wanted).limit(limit + 1)).all()
    last = events[limit - 1] if len(events) > limit else None
    return AuditPage(events[:limit], Place(last.at, last.id) if last is not None else None)


def read_all(session: Session, wanted: AuditFilter, batch: int = EVENTS_PER_BATCH) -> Iterator[Event]:
    """Yield all rows of a filter, newest first, never more than a batch of them in memory.

    Each batch is a short transaction of its own, because whoever takes the rows may take them slowly; rows never
    change, so nothing is missed or told twice, and what is added meanwhile is left out.
    """
    while True:
        page = read_page(session, wanted, batch)
        session.commit()
        yield from page.events
        if page.next_before is None:
            return
        wanted = replace(wanted, before=page.next_before)


def read_of_order(session: Session, public_id: str) -> AuditPage:
    """Return the newest of what was done about an order."""
    of_orders = AuditEvent.subject_kind == SubjectKind.ORDER.value
    statement = _statement(AuditFilter(subject_key=public_id)).where(of_orders)
    events = session.execute(statement.limit(EVENTS_OF_AN_ORDER + 1)).all()
    shown = events[:EVENTS_OF_AN_ORDER]
    return AuditPage(shown, Place(shown[-1].at, shown[-1].id) if len(events) > len(shown) else None)


def list_members(session: Session) -> Sequence[Event]:
    """Return everybody on the staff with id, name and address, for choosing whose deeds to list."""
    return session.execute(select(Staff.id, Staff.name, Staff.email).order_by(Staff.name, Staff.id)).all()


def begin_of(day: date) -> datetime:
    """Return when a day begins in Monaco, in that zone: days there have 23 to 25 hours."""
    return datetime.combine(day, time(), MONACO)


def _statement(wanted: AuditFilter) -> Select[*tuple[Any, ...]]:
    return (
        select(*AuditEvent.__table__.columns)
        .where(*_conditions(wanted))
        .order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
    )


def _conditions(wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.staff_id is not None:
        yield AuditEvent.staff_id == wanted.staff_id
    if wanted.nobody:
        yield AuditEvent.staff_id.is_(None)
    if wanted.action is not None:
        yield AuditEvent.action == wanted.action.value
    if wanted.subject_key is not None:
        yield AuditEvent.subject_key == wanted.subject_key
    if wanted.first is not None:
        yield AuditEvent.at >= begin_of(wanted.first)
    if wanted.last is not None:
        yield AuditEvent.at < begin_of(wanted.last + timedelta(days=1))
    if wanted.before is not None:
        # Both columns of the index at once, so that a later page costs what the first one does.
        place = literal(wanted.before.at, AuditEvent.at.type), literal(wanted.before.id)
        yield tuple_(AuditEvent.at, AuditEvent.id) < tuple_(*place)
