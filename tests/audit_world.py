"""What tests ask of the audit: what was written, and rows to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from models import AuditEvent, db
from services import audit
from services.audit import Action, Actor, Subject
from services.shop import Shop

ANN = Actor(staff_id=7, name="Ann", role="owner", from_address="192.0.2.7", request_id="r-1")


def events() -> Sequence[AuditEvent]:
    """Return every row of the audit as the database holds it now, oldest first."""
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(AuditEvent).order_by(AuditEvent.id)).all()


def actions() -> list[str]:
    """Return what was done, oldest first."""
    return [event.action for event in events()]


def write(shop: Shop, action: Action = Action.SIGNED_IN, key: str = "ann@example.com", **values: Any) -> None:
    """Write one row that commits; `by` is Ann unless somebody else is named."""
    subject = values.pop("subject", Subject.staff(key))
    with shop.transaction() as session:
        audit.record(session, action, subject, **{"by": ANN, "now": shop.clock.now(), **values})
