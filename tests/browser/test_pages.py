"""Every public page on a phone: nothing complains, nothing is wider than the screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from services.languages import LANGUAGES
from services.links import order_url
from services.shop import Shop
from tests.browser.conftest import OpenPage
from tests.factories import Factories

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


def test_without_scripts_no_button_is_shown_that_does_nothing(
    open_page: OpenPage, shop: Shop, factories: Factories
) -> None:
    """Copying needs a script; the codes are there to be marked by hand."""
    order = factories.make_order("verified")
    page = open_page(javascript=False)
    page.goto(order_url(shop, order))
    expect(page.locator("#install .code").first).to_be_visible()
    expect(page.locator("[data-copy]")).not_to_have_count(0)
    expect(page.locator("[data-copy]:visible")).to_have_count(0)
