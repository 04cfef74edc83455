"""What a person has to decide on: noticed by whoever stumbles over it, one row however often, until it is settled."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models import Finding, FindingKind, Order
from services import audit
from services.audit import Action, Actor, Subject, SubjectKind
from services.database import inserting

log = logging.getLogger(__name__)

DETAILS_LENGTH = 200


class FindingNotFound(Exception):
    """There is no such finding, or somebody has settled it already."""


def notice(
    session: Session,
    kind: FindingKind,
    reference: str,
    now: datetime,
    *,
    order_id: int | None = None,
    details: str = "",
) -> None:
    """Put a finding before a person, or say that it is still there; one that was settled by hand stays settled.

    `details` holds no secret: staff reads it, and so does the log.
    """
    row = {"kind": kind, "reference": reference, "order_id": order_id, "details": details[:DETAILS_LENGTH]}
    statement = inserting(session, Finding).values(**row, noticed_at=now, seen_at=now)
    # One that went away by itself and is back is open again; what a person has settled is not asked twice.
    again = {"seen_at": now, "details": row["details"], "order_id": order_id}
    found = session.execute(
        statement.on_conflict_do_nothing(index_elements=["kind", "reference"]).returning(Finding.id)
    ).first()
    if found is not None:
        log.error("finding: %s %s (%s)", kind.value, reference, details)
        return
    same = (Finding.kind == kind, Finding.reference == reference)
    session.execute(update(Finding).where(*same, Finding.settled_at.is_(None)).values(**again))
    reopened = {**again, "noticed_at": now, "settled_at": None}
    session.execute(
        update(Finding)
        .where(*same, Finding.settled_at.is_not(None), Finding.settled_by.is_(None))
        .values(**reopened)
        .execution_options(synchronize_session=False)
    )


def clear_one(session: Session, kind: FindingKind, reference: str, now: datetime) -> None:
    """Settle a finding that has gone away by itself; does nothing when there is none."""
    session.execute(
        update(Finding)
        .where(Finding.kind == kind, Finding.reference == reference, Finding.settled_at.is_(None))
        .values(settled_at=now)
        .execution_options(synchronize_session=False)
    )


def settle_by_hand(session: Session, finding_id: int, now: datetime, *, by: Actor) -> None:
    """Record that a member of staff has dealt with a finding; raises FindingNotFound."""
    settled = session.execute(
        update(Finding)
        .where(Finding.id == finding_id, Finding.settled_at.is_(None))
        .values(settled_at=now, settled_by=by.staff_id)
        .returning(Finding.kind, Finding.reference, Finding.order_id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if settled is None:
        raise FindingNotFound(str(finding_id))
    public_id = session.scalar(select(Order.public_id).where(Order.id == settled.order_id))
    subject = Subject(SubjectKind.FINDING, f"{settled.kind.value} {settled.reference}")
    if public_id is not None:
        subject = Subject.order(public_id)
    after: audit.Facts = {"finding": settled.kind.value, "reference": settled.reference}
    audit.record(session, Action.FINDING_SETTLED, subject, by=by, now=now, after=after)


def open_findings(session: Session) -> Sequence[Finding]:
    """Return what waits for a person, oldest first."""
    return session.scalars(
        select(Finding).where(Finding.settled_at.is_(None)).order_by(Finding.noticed_at, Finding.id)
    ).all()
