"""Every page in languages that nobody speaks, two fifths longer than English: nothing runs out of a small phone.

One reads from the left and is written with accents, the other from the right in Hebrew letters.
"""

from __future__ import annotations

import pytest
from flask import Flask
from playwright.sync_api import Browser

from sandbox.server import Sandbox
from services.languages import LANGUAGES
from services.shop import Shop
from tests.browser.conftest import PHONE, windows
from tests.browser.layout import REFUSALS, cut_off, sideways
from tests.languages.pseudo import OPEN, spoken
from tests.visits import World


@pytest.mark.parametrize("code", ["en", "ar"])
def test_nothing_runs_out_of_the_page(
    app: Flask, sandbox: Sandbox, browser: Browser, live_shop: str, shop: Shop, code: str
) -> None:
    faults: list[str] = []
    with spoken(code, shop), windows(browser, live_shop, *REFUSALS) as open_window:
        world = World(app, sandbox, code)
        visits = [visit for visit in world.visits() if not visit.endpoint.startswith("staff.")]
        pages = {False: open_window(), True: open_window()}
        world.sign_in(pages[True])
        for page in pages.values():
            page.set_viewport_size({"width": 320, "height": PHONE["height"]})
        for visit in visits:
            page = pages[visit.signed_in]
            page.goto(visit.path)
            visit.do.in_browser(page)
            # Without its marks the page would be one of a real language, and prove nothing.
            assert OPEN in page.locator("body").inner_text(), visit.name
            assert page.evaluate("document.documentElement.dir") == LANGUAGES[code].direction
            found = [*sideways(page), *cut_off(page)]
            faults += [f"{visit.name}: {fault}" for fault in found]
        assert not faults, "\n".join(faults)
