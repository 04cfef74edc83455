"""Passwords: how they are kept, compared and judged."""

from __future__ import annotations

from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH = 10
MAX_LENGTH = 200

# Argon2id with 19 MiB and two passes: the OWASP Password Storage Cheat Sheet's setting that fits small web workers.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# Compared with where there is no password, so that an unknown address takes as long as a wrong password.
_NOBODY = _hasher.hash("nobody has this password")


class Weakness(StrEnum):
    """What is wrong with a new password."""

    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    IS_EMAIL = "is_email"


class WeakPassword(Exception):
    """The new password is too easy to guess; `weakness` says why."""

    def __init__(self, weakness: Weakness) -> None:
        super().__init__(weakness.value)
        self.weakness = weakness


def hash_new(password: str, email: str) -> str:
    """Return what to store for a new password of the account `email`; raises WeakPassword.

    Takes tens of milliseconds, so call it before a writing transaction opens, not inside.
    """
    if len(password) < MIN_LENGTH:
        raise WeakPassword(Weakness.TOO_SHORT)
    if len(password) > MAX_LENGTH:
        raise WeakPassword(Weakness.TOO_LONG)
    if password.casefold() in (email.casefold(), email.casefold().partition("@")[0]):
        raise WeakPassword(Weakness.IS_EMAIL)
    return _hasher.hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Return whether the password is the stored one, in the same time whether there is one stored or not."""
    try:
        _hasher.verify(password_hash or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Return whether a stored hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(password_hash)


def rehash(password: str) -> str:
    """Return a fresh hash of a password that has just been accepted."""
    return _hasher.hash(password)
