"""One-time links sent by mail: made, looked at, used once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session, joinedload

from models import Account, AccountToken, TokenPurpose

LIFETIMES = {
    TokenPurpose.CLAIM: timedelta(days=14),
    TokenPurpose.PASSWORD_RESET: timedelta(hours=1),
    TokenPurpose.EMAIL_CHANGE: timedelta(hours=24),
    TokenPurpose.SIGN_IN: timedelta(hours=1),
}


class TokenInvalid(Exception):
    """The link was never ours, has expired, or was used before."""


@dataclass(frozen=True)
class IssuedToken:
    """A fresh link; the secret exists here and in the mail, and nowhere else."""

    token_id: int
    secret: str = field(repr=False)


def issue(
    session: Session, account: Account, purpose: TokenPurpose, now: datetime, new_email: str | None = None
) -> IssuedToken:
    """Store a new link for `account` and return it."""
    secret = secrets.token_urlsafe(32)
    token = AccountToken(
        account_id=account.id,
        purpose=purpose,
        secret_hash=_hash(secret),
        new_email=new_email,
        created_at=now,
        expires_at=now + LIFETIMES[purpose],
    )
    session.add(token)
    session.flush()
    return IssuedToken(token.id, secret)


def find(session: Session, purpose: TokenPurpose, secret: str, now: datetime) -> AccountToken:
    """Return the link with its account, unused; raises TokenInvalid."""
    token = session.scalar(
        select(AccountToken)
        .where(AccountToken.secret_hash == _hash(secret), AccountToken.purpose == purpose)
        .options(joinedload(AccountToken.account))
    )
    if token is None or token.used_at is not None or token.expires_at <= now:
        raise TokenInvalid
    return token


def use(session: Session, purpose: TokenPurpose, secret: str, now: datetime) -> AccountToken:
    """Use the link up and return it, for one caller only. Raises TokenInvalid.

    Every other open link of the account dies with it, but for one that signs in: it changes nothing about the account.
    """
    # The account before its links, as whoever corrects the address of an order does it (`recipients`).
    owner = select(AccountToken.account_id).where(AccountToken.secret_hash == _hash(secret)).scalar_subquery()
    session.execute(select(Account.id).where(Account.id == owner).with_for_update())
    result = session.execute(
        update(AccountToken)
        .where(
            AccountToken.secret_hash == _hash(secret),
            AccountToken.purpose == purpose,
            AccountToken.used_at.is_(None),
            AccountToken.expires_at > now,
        )
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    if result.rowcount != 1:
        raise TokenInvalid
    token = session.scalars(
        select(AccountToken)
        .where(AccountToken.secret_hash == _hash(secret))
        .options(joinedload(AccountToken.account))
        .execution_options(populate_existing=True)
    ).one()
    if purpose is not TokenPurpose.SIGN_IN:
        withdraw_all(session, token.account_id, now)
    return token


def withdraw_all(session: Session, account_id: int, now: datetime) -> None:
    """Let every open link of the account die: whoever could read an old mail must not get in with it."""
    session.execute(
        update(AccountToken)
        .where(AccountToken.account_id == account_id, AccountToken.used_at.is_(None))
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
