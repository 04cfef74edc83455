"""Every public page on a phone: nothing complains, nothing is wider than the screen."""

from __future__ import annotations

import pytest

from services.languages import LANGUAGES
from tests.browser.conftest import OpenPage

PATHS = ("", "plans", "renew", "compatibility", "install", "help", "terms", "privacy", "sign-in", "sign-up")


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_page_is_wider_than_the_phone(open_page: OpenPage, code: str) -> None:
    """At 390 pixels nobody scrolls sideways, in any language."""
    page = open_page()
    wide = {}
    for path in PATHS:
        page.goto(f"/{code}/{path}")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            wide[path] = width
    assert wide == {}
