"""`make weight` counts what a browser fetches, and does not let a page through that is too heavy."""

from __future__ import annotations

import base64
import hashlib

import httpx
import pytest
from flask import Flask
from markupsafe import Markup
from playwright.sync_api import Browser, Request

from scripts import weight
from scripts.served import Address, ServedShop
from scripts.weight import CRITICAL_BYTES, TOTAL_BYTES, Weight, too_heavy, weigh_all
from services.languages import LANGUAGES

HOME = Address(name="home", path="", critical=True)
RENEW = Address(name="renew", path="renew", critical=True)
HELP = Address(name="help", path="help")


@pytest.fixture
def shop(live_shop: str) -> ServedShop:
    """Return two pages of the shop of this test."""
    return ServedShop(url=live_shop, cookie="", pages=(HOME, RENEW))


def incompressible(size: int) -> str:
    """Return letters that no compression makes much shorter than this."""
    return base64.urlsafe_b64encode(hashlib.shake_256(b"the same each time").digest(size)).decode()[:size]


def a_weight(page: Address, **values: int) -> Weight:
    """Return a weight that is all right, but for `values`."""
    return Weight(page=page, language="en", **{"html": 7000, "scripts": 13000, "other": 200, "requests": 4, **values})


def test_every_page_in_every_language_is_light_enough(shop: ServedShop) -> None:
    weights = weigh_all(shop)
    assert [(each.page.name, each.language) for each in weights] == [
        (name, code) for name in ("home", "renew") for code in LANGUAGES
    ]
    assert too_heavy(weights) == []


@pytest.mark.parametrize("size", [CRITICAL_BYTES, TOTAL_BYTES])
def test_a_page_that_became_too_heavy_is_named(app: Flask, shop: ServedShop, size: int) -> None:
    """A stylesheet that grew; a second picture would do, too."""
    sheet = app.jinja_env.globals["stylesheet"]
    app.jinja_env.globals["stylesheet"] = Markup(f"{sheet}/*{incompressible(size * 4 // 3)}*/")  # noqa: S704
    broken = too_heavy(weigh_all(shop))
    assert broken[0].startswith("too heavy: home in en: ")
    assert any("in all" in line for line in broken) == (size == TOTAL_BYTES)
    assert len(broken) == 2 * len(LANGUAGES) * (2 if size == TOTAL_BYTES else 1)


@pytest.mark.parametrize(
    ("values", "page", "count"),
    [
        ({"html": CRITICAL_BYTES}, HOME, 0),
        ({"html": CRITICAL_BYTES + 1}, HOME, 1),
        ({"html": CRITICAL_BYTES + 1}, HELP, 0),
        ({"html": 7000, "scripts": TOTAL_BYTES - 7200, "other": 200}, HELP, 0),
        ({"html": 7001, "scripts": TOTAL_BYTES - 7200, "other": 200}, HELP, 1),
    ],
)
def test_limits(values: dict[str, int], page: Address, count: int) -> None:
    assert len(too_heavy([a_weight(page, **values)])) == count


def test_the_command_fails_when_a_limit_is_broken(
    shop: ServedShop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Served:
        def __enter__(self) -> ServedShop:
            return shop

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(weight, "served_shop", Served)
    assert weight.main() == 0
    monkeypatch.setattr(weight, "TOTAL_BYTES", 1000)
    assert weight.main() == 1
    assert "too heavy: renew in en" in capsys.readouterr().err


def test_a_page_that_is_not_answered_is_no_light_page(live_shop: str) -> None:
    gone = Address(name="gone", path="gone")
    with pytest.raises(httpx.HTTPStatusError):
        weigh_all(ServedShop(url=live_shop, cookie="", pages=(gone,)))


@pytest.mark.browser
def test_requests_are_those_of_a_browser(shop: ServedShop, browser: Browser) -> None:
    """Chromium asks for exactly as many things on a first visit; not every headless one asks for the icon."""
    counted = {each.page.path: each.requests for each in weigh_all(shop) if each.language == "en"}
    for path, requests in counted.items():
        seen: list[str] = []
        context = browser.new_context()
        page = context.new_page()

        def note(request: Request, seen: list[str] = seen) -> None:
            if "/icon." not in request.url:
                seen.append(request.url)

        page.on("request", note)
        page.goto(f"{shop.url}/en/{path}", wait_until="networkidle")
        context.close()
        assert len(seen) == requests - 1, seen
