"""Noticing a mistyped e-mail address before an activation code is sent to nobody."""

from __future__ import annotations

from difflib import get_close_matches

# Where most travellers have their mailbox; a domain that is nearly one of these is probably meant to be it.
COMMON_DOMAINS = (
    "gmail.com",
    "googlemail.com",
    "yahoo.com",
    "yahoo.fr",
    "yahoo.co.uk",
    "yahoo.co.jp",
    "hotmail.com",
    "hotmail.fr",
    "hotmail.co.uk",
    "outlook.com",
    "outlook.fr",
    "live.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "aol.com",
    "orange.fr",
    "wanadoo.fr",
    "free.fr",
    "sfr.fr",
    "laposte.net",
    "libero.it",
    "gmx.de",
    "gmx.net",
    "web.de",
    "t-online.de",
    "mail.ru",
    "yandex.ru",
    "qq.com",
    "163.com",
    "126.com",
    "foxmail.com",
    "naver.com",
    "proton.me",
    "protonmail.com",
    "monaco.mc",
)
SIMILARITY = 0.82


def suggest_email(email: str) -> str | None:
    """Return the address that was probably meant, None when this one looks right."""
    local, _at, domain = email.rpartition("@")
    domain = domain.lower()
    if not local or domain in COMMON_DOMAINS:
        return None
    nearest = get_close_matches(domain, COMMON_DOMAINS, n=1, cutoff=SIMILARITY)
    return f"{local}@{nearest[0]}" if nearest else None
