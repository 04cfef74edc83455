"""Identifiers that people read out and keys that nobody guesses."""

from __future__ import annotations

import secrets

# Crockford's Base32 without the letters that are taken for digits (crockford.com/base32).
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def public_id() -> str:
    """Return ten random characters (50 bits) that can be read out on the telephone."""
    return "".join(secrets.choice(ALPHABET) for _ in range(10))


def random_key() -> str:
    """Return a random key of 192 bits, safe in addresses."""
    return secrets.token_urlsafe(24)
