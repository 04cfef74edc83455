"""The whole way of a traveller on a phone: buy, install, take the account, see what is left, renew the same eSIM."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from scripts.traveller import GIGABYTE, Traveller, read_sandbox, until
from services.languages import LANGUAGES
from services.money import format_data, format_money
from tests.browser.conftest import PHONE, OpenPage
from tests.house.test_run import Demo

CURRENCY_PRICES = {"EUR": (1490, 3690), "CNY": (11900, 29500)}


class Checks:
    """What holds for every page of the shop that a traveller comes to."""

    def __init__(self, page: Page, shop_url: str, html_language: str) -> None:
        self._page = page
        self._shop_url = shop_url
        self._language = html_language
        self.seen: list[str] = []

    def __call__(self, name: str) -> None:
        """Check the page that is open."""
        self.seen.append(name)
        assert self._page.url.startswith(self._shop_url)
        assert self._page.locator("html").get_attribute("lang") == self._language, name
        width = self._page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], f"{name} is {width} pixels wide"


def mail_of(traveller: Traveller, kind: str, count: int) -> dict[str, Any]:
    """Return the only mail of a kind, once all `count` mails are there; its Message-ID or a link tells the kind."""
    mails = until(lambda: len(found := traveller.mails()) >= count and found)
    assert len(mails) == count, [mail["subject"] for mail in mails]
    found: list[dict[str, Any]] = [mail for mail in mails if kind in mail["text"]]
    assert len(found) >= 1, f"no mail holds {kind!r}"
    return found[-1]
