"""Accounts to try the shop with, made by `flask seed-demo` in an empty database only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models import Account, Staff, StaffRole
from services import audit
from services.audit import COMMAND, Action, Subject
from services.passwords import hash_new

TRAVELLER = "traveller@example.com"
OPERATOR = "staff@example.com"


@dataclass(frozen=True)
class SignIn:
    """Who may sign in where; the password is random and shown once."""

    role: str
    email: str
    password: str


def seed_accounts(session: Session, now: datetime) -> list[SignIn]:
    """Add a traveller and an operator with fresh random passwords, and return how they sign in."""
    sign_ins = [SignIn(role, email, _password()) for role, email in (("traveller", TRAVELLER), ("staff", OPERATOR))]
    traveller, operator = sign_ins
    session.add(
        Account(
            email=traveller.email,
            password_hash=hash_new(traveller.password, traveller.email),
            language="en",
            currency="EUR",
            session_version=1,
            created_at=now,
            claimed_at=now,
        )
    )
    session.add(
        Staff(
            email=operator.email,
            name="Demo operator",
            role=StaffRole.OWNER,
            password_hash=hash_new(operator.password, operator.email),
            session_version=1,
            created_at=now,
        )
    )
    session.flush()
    audit.record(session, Action.DEMO_SEEDED, Subject.staff(OPERATOR), by=COMMAND, now=now)
    return sign_ins


def _password() -> str:
    """Return a password that can be typed on a phone: twelve lower-case letters and digits, about 60 bits."""
    return "-".join("".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(4)) for _ in range(3))
