"""Every page, in every language: axe-core finds nothing, nothing is wider than the screen, thumbs find every target.

One language is one test of some 80 states. Two of them, one for each direction of writing, are looked at in three
widths and in the dark; the others, whose layout differs only where texts are longer, at the narrowest one.
`make test ARGS="--every-width tests/browser/test_accessibility.py"` takes its time and leaves nothing out.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page

from sandbox.server import Sandbox
from services.languages import LANGUAGES
from tests.browser.conftest import PHONE, windows
from tests.browser.layout import REFUSALS, cut_off, moving, sideways, small_targets
from tests.visits import NOT_PAGES, Visit, World

LOOKED_AT_WHOLE = ("en", "ar")
WIDTHS = (320, PHONE["width"], 1280)
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What looks at colours; the rest is the same in the dark.
COLOURS = ["color-contrast", "link-in-text-block"]
# `target-size` (WCAG 2.2, 2.5.8) has a tag but is switched off unless it is asked for.
RUN = """async ([only, without]) => {
    const rules = only.type === "tag" ? { "target-size": { enabled: true } } : {};
    for (const name of without) rules[name] = { enabled: false };
    const options = { runOnly: only, resultTypes: ["violations"], rules };
    const { violations } = await axe.run(document, options);
    return violations.flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.target} ${node.failureSummary}`));
}"""
# As it came, before htmx and axe put anything into the page.
INLINE = r"""(html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const found = [];
    for (const element of page.querySelectorAll("*")) {
        for (const { name, value } of element.attributes) {
            if (name.startsWith("on") || name === "style" || /^\s*javascript:/i.test(value)) {
                found.push(`${element.localName} has ${name}="${value.slice(0, 60)}"`);
            }
        }
        const data = element.type === "application/ld+json";
        if (element.localName === "script" && !element.src && !data) found.push("an inline script");
    }
    return found;
}"""


def test_every_address_is_looked_at_or_excused(app: Flask, sandbox: Sandbox) -> None:
    """A new page fails here until it is visited (tests/visits.py), or stands among what is no page, with the reason."""
    asked = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    visited = {visit.endpoint for visit in World(app, sandbox, "en").visits()} - {"error"}
    assert visited & set(NOT_PAGES) == set()
    assert asked == visited | set(NOT_PAGES)


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_page_is_in_anybodys_way(
    app: Flask, sandbox: Sandbox, browser: Browser, live_shop: str, code: str, request: pytest.FixtureRequest
) -> None:
    """0 violations, no scrolling sideways, targets for thumbs, letters twice their size, nothing inline, no motion.

    And nothing on the console, no request to anywhere else.
    """
    world = World(app, sandbox, code)
    visits = world.visits()
    whole = code in LOOKED_AT_WHOLE or request.config.getoption("every_width")
    faults: list[str] = []
    with windows(browser, live_shop, *REFUSALS) as open_window:
        stranger, owner = open_window(), open_window()
        world.sign_in(owner)
        for page in (stranger, owner):
            # Or axe would read the colours half-way from light to dark.
            page.emulate_media(reduced_motion="reduce")
        for visit in visits:
            page = owner if visit.signed_in else stranger
            faults += [f"{visit.name} ({visit.path}): {fault}" for fault in _look_at(page, visit, whole)]
        assert not faults, "\n".join(faults)


def _look_at(page: Page, visit: Visit, whole: bool) -> list[str]:
    """Open a page, bring it to its state, and return everything that is wrong with it."""
    page.set_viewport_size(PHONE)
    answer = page.goto(visit.path)
    assert answer is not None, visit.name
    faults = [*page.evaluate(INLINE, answer.text())]
    visit.do.in_browser(page)
    faults += [*small_targets(page), *moving(page)]
    page.evaluate(AXE)
    for width in WIDTHS if whole else WIDTHS[:1]:
        page.set_viewport_size({"width": width, "height": PHONE["height"]})
        faults += sideways(page)
        # The colours, which cost more than all the rest, are the same at every width.
        without = [] if width == PHONE["width"] else ["color-contrast"]
        faults += [f"at {width}: {fault}" for fault in _axe(page, {"type": "tag", "values": TAGS}, without)]
    if whole:
        page.set_viewport_size(PHONE)
        page.emulate_media(color_scheme="dark")
        faults += [f"dark: {fault}" for fault in _axe(page, {"type": "rule", "values": COLOURS})]
        page.emulate_media(color_scheme="light")
    # As Android's text size does it: `rem` grows, the width does not.
    page.set_viewport_size({"width": WIDTHS[0], "height": PHONE["height"]})
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    return faults + [f"with large letters: {fault}" for fault in (*sideways(page), *cut_off(page))]


def _axe(page: Page, only: dict[str, Any], without: Sequence[str] = ()) -> list[str]:
    found: list[str] = page.evaluate(RUN, [only, list(without)])
    return found
