"""Noticing a mistyped e-mail address."""

from __future__ import annotations

import pytest

from services.email_hints import COMMON_DOMAINS, suggest_email


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ana@gmial.com", "ana@gmail.com"),
        ("ana@gmail.con", "ana@gmail.com"),
        ("ana@gmail.co", "ana@gmail.com"),
        ("ana@hotmial.fr", "ana@hotmail.fr"),
        ("ana@icoud.com", "ana@icloud.com"),
        ("ana@outlok.com", "ana@outlook.com"),
        ("Ana.B+x@GMIAL.COM", "Ana.B+x@gmail.com"),
    ],
)
def test_a_near_miss_of_a_common_domain_is_asked_about(typed: str, meant: str) -> None:
    """The domain is corrected, the name before it is left as typed."""
    assert suggest_email(typed) == meant


@pytest.mark.parametrize(
    "typed", ["ana@example.com", "ana@monaco-telecom.mc", "ana@palace.mc", "ana", "", "@gmail.com"]
)
def test_other_addresses_are_left_alone(typed: str) -> None:
    """A company's own domain is not taken for a typing error."""
    assert suggest_email(typed) is None


@pytest.mark.parametrize("domain", COMMON_DOMAINS)
def test_common_domains_are_not_doubted(domain: str) -> None:
    """A right address is never asked about, however near it is to another one."""
    assert suggest_email(f"ana@{domain}") is None
