"""Signing in as staff, with what the audit keeps of it: who came in, who was refused, who tried too often."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import AuditEvent, Staff, db
from services import audit
from services.audit import Action, Actor, Subject
from services.shop import Shop
from services.staff import SignInRefused, authenticate

# Who goes on trying is written down once in this time: the audit must not grow as fast as somebody can ask.
BLOCKED_AGAIN_AFTER = timedelta(minutes=10)


def sign_in(shop: Shop, email: str, password: str, *, by: Actor) -> Staff:
    """Return the member of staff with this address and password, and write down that they came in, or who did not.

    Opens its own transaction, after the password was compared: that takes its time. Raises SignInRefused.
    """
    try:
        member = authenticate(db.session(), email, password)
    except SignInRefused:
        with shop.transaction() as session:
            subject = Subject.staff(_claimed(session, email))
            audit.record(session, Action.SIGN_IN_REFUSED, subject, by=by, now=shop.clock.now())
        raise
    with shop.transaction() as session:
        subject = Subject.staff(member.email)
        audit.record(session, Action.SIGNED_IN, subject, by=by.known_as(member), now=shop.clock.now())
    return member


def sign_out(shop: Shop, member: Staff, *, by: Actor) -> None:
    """Write down that a member of staff has signed out; opens its own transaction."""
    with shop.transaction() as session:
        audit.record(session, Action.SIGNED_OUT, Subject.staff(member.email), by=by, now=shop.clock.now())


def note_blocked(shop: Shop, email: str, *, by: Actor) -> None:
    """Write down that sign-ins from an address are refused unseen for a while, once in ten minutes for each address.

    Opens its own transaction.
    """
    now = shop.clock.now()
    with shop.transaction() as session:
        known = select(AuditEvent.id).where(
            AuditEvent.action == Action.SIGN_IN_BLOCKED.value,
            AuditEvent.at > now - BLOCKED_AGAIN_AFTER,
            AuditEvent.from_address == by.from_address,
        )
        if session.scalar(known.limit(1)) is None:
            audit.record(session, Action.SIGN_IN_BLOCKED, Subject.staff(_claimed(session, email)), by=by, now=now)


def _claimed(session: Session, email: str) -> str:
    """Return whom somebody claims to be: in full when it is one of the staff, else so that it gives nobody away."""
    email = email.replace("\0", "").strip().lower()
    known = session.scalar(select(Staff.email).where(Staff.email == email))
    return known or audit.masked(email)
