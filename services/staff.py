"""The people who run the shop, and the list of orders that they look at."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Row, select, update
from sqlalchemy.orm import Session

from models import Fulfilment, FulfilmentStatus, Order, OrderStatus, Staff, StaffRole
from services import audit, passwords
from services.accounts import normalise_email
from services.audit import Action, Actor, Subject

SETUP_LIFETIME = timedelta(days=2)
ORDERS_PER_PAGE = 50


class SetupLinkInvalid(Exception):
    """The set-up link was never ours, has expired, or was used before."""


class SignInRefused(Exception):
    """No member of staff has this address and this password."""


@dataclass(frozen=True)
class Invitation:
    """A fresh set-up link; the secret exists here and on the operator's screen, and nowhere else."""

    staff_id: int
    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class OrderFilter:
    """Which orders to list; `before` is the id of the last order of the page before, None for the first page."""

    status: OrderStatus | None = None
    fulfilment: FulfilmentStatus | None = None
    before: int | None = None


@dataclass(frozen=True)
class OrderPage:
    """One page of orders, newest first; `next_before` is None on the last one."""

    rows: Sequence[Row[*tuple[Any, ...]]]
    next_before: int | None


def invite(
    session: Session, email: str, name: str | None, role: StaffRole | None, now: datetime, *, by: Actor
) -> Invitation:
    """Return a fresh set-up link for the member of staff with this address, made where there is none.

    What is None stays as it is. An earlier link ends, a password that was set stays until the link is used. Raises
    EmailInvalid.
    """
    email = normalise_email(email)
    member = session.scalar(select(Staff).where(Staff.email == email))
    before = _described(member) if member is not None else None
    if member is None:
        member = Staff(email=email, name=email.partition("@")[0], role=StaffRole.SUPPORT, created_at=now)
        session.add(member)
    member.name = name or member.name
    member.role = role or member.role
    secret = secrets.token_urlsafe(32)
    member.setup_hash = _hash(secret)
    member.setup_expires_at = now + SETUP_LIFETIME
    session.flush()
    audit.record(session, Action.INVITED, Subject.staff(email), by=by, now=now, before=before, after=_described(member))
    return Invitation(member.id, secret)


def find_invited(session: Session, secret: str, now: datetime) -> Staff:
    """Return the member of staff whom an open set-up link belongs to; raises SetupLinkInvalid."""
    member = session.scalar(select(Staff).where(Staff.setup_hash == _hash(secret), Staff.setup_expires_at > now))
    if member is None:
        raise SetupLinkInvalid
    return member


def set_up(session: Session, secret: str, password_hash: str, now: datetime, *, by: Actor) -> None:
    """Use a set-up link up and store the password, for one caller only; ends every session of that member.

    `by` is whoever opened the link, who is that member from now on. Raises SetupLinkInvalid.
    """
    member = find_invited(session, secret, now)
    result = session.execute(
        update(Staff)
        .where(Staff.setup_hash == _hash(secret), Staff.setup_expires_at > now)
        .values(
            password_hash=password_hash,
            setup_hash=None,
            setup_expires_at=None,
            session_version=Staff.session_version + 1,
        )
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    if result.rowcount != 1:
        raise SetupLinkInvalid
    audit.record(session, Action.SET_UP, Subject.staff(member.email), by=by.known_as(member), now=now)


def authenticate(session: Session, email: str, password: str) -> Staff:
    """Return the member of staff with this address and password; raises SignInRefused, always after the same time."""
    member = session.scalar(select(Staff).where(Staff.email == email.strip().lower()))
    if not passwords.matches(member.password_hash if member else None, password) or member is None:
        raise SignInRefused
    return member


def find_signed_in(session: Session, staff_id: int, session_version: int) -> Staff | None:
    """Return the member of staff whom a session belongs to, None when it has ended."""
    return session.scalar(select(Staff).where(Staff.id == staff_id, Staff.session_version == session_version))


def list_orders(session: Session, wanted: OrderFilter, limit: int = ORDERS_PER_PAGE) -> OrderPage:
    """Return one page of orders with their states, newest first, in one statement."""
    statement = (
        select(
            *(Order.id, Order.public_id, Order.kind, Order.status, Order.email, Order.plan_name),
            *(Order.currency, Order.amount_minor, Order.created_at, Order.paid_at),
            Fulfilment.status.label("fulfilment"),
            Fulfilment.reason.label("reason"),
        )
        .outerjoin(Fulfilment, Fulfilment.order_id == Order.id)
        .order_by(Order.id.desc())
        .limit(limit + 1)
    )
    if wanted.status is not None:
        statement = statement.where(Order.status == wanted.status)
    if wanted.fulfilment is not None:
        statement = statement.where(Fulfilment.status == wanted.fulfilment)
    if wanted.before is not None:
        statement = statement.where(Order.id < wanted.before)
    rows = session.execute(statement).all()
    more = len(rows) > limit
    return OrderPage(rows[:limit], rows[limit - 1].id if more else None)


def _described(member: Staff) -> dict[str, audit.Value]:
    return {"name": member.name, "role": member.role.value}


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
