"""Without a mouse, with large letters, with a thumb, without motion: the pages go along."""

from __future__ import annotations

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from sandbox.server import Sandbox
from services.languages import LANGUAGES
from tests.browser.conftest import PHONE, OpenPage, windows
from tests.browser.visits import World

MOST_TABS = 60
# What the keyboard is on, with the ring that shows it; the ring of a hidden radio button is drawn around its label.
FOCUSED = """() => {
    const focused = document.activeElement;
    const ring = [focused, focused.closest("label")].filter(Boolean).some((element) => {
        const style = getComputedStyle(element);
        return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    });
    const { top, bottom, left, right } = focused.getBoundingClientRect();
    const inside = bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
    return { lost: focused === document.body, ring, inside, html: focused.outerHTML.slice(0, 120) };
}"""
# WCAG 2.2, 2.5.5, without what it exempts: links in running text, what is not shown, and a box whose label is large.
SMALL = """(size) => [...document.querySelectorAll("a[href], button, select, summary, input:not([type=hidden])")]
    .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.matches(".skip"))
    .filter((element) => getComputedStyle(element).display !== "inline")
    .map((element) => {
        const boxes = [element, ...(element.labels ?? [])].map((each) => each.getBoundingClientRect());
        const height = Math.max(...boxes.map((box) => box.height)), width = Math.max(...boxes.map((box) => box.width));
        return { height, width, html: element.outerHTML.slice(0, 120) };
    })
    .filter(({ height, width }) => height < size - 0.5 || width < size - 0.5)
    .map(({ height, width, html }) => `${width.toFixed()}x${height.toFixed()} ${html}`)"""
MOVING = """() => [...document.querySelectorAll("*")].filter((element) => {
    const style = getComputedStyle(element);
    const lasts = (list) => list.split(",").some((each) => parseFloat(each) > 0);
    return lasts(style.transitionDuration) || (style.animationName !== "none" && lasts(style.animationDuration));
}).map((element) => element.outerHTML.slice(0, 80))"""
# Text whose box ends before its letters do. Codes and hidden labels are cut on purpose, and lose nothing.
CUT = """() => [...document.querySelectorAll("main *, header *, footer *")].filter((element) => {
    const style = getComputedStyle(element);
    const clips = style.overflowX !== "visible" || style.overflowY !== "visible";
    const more = element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1;
    const meant = element.matches(".visually-hidden, .scroll, svg, svg *, progress, input, select, textarea");
    return clips && more && !meant && element.checkVisibility();
}).map((element) => element.outerHTML.slice(0, 120))"""
THUMB = 44


def tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Press Tab until an element has the focus; on the way the focus is always visible and never lost."""
    for _ in range(MOST_TABS):
        page.keyboard.press(key)
        if page.evaluate("document.activeElement === document.body"):
            # The end of the page: the browser's own bar comes between it and the beginning.
            continue
        state = page.evaluate(FOCUSED)
        assert state["ring"], f"nothing shows that the focus is on {state['html']}"
        assert state["inside"], f"out of sight: {state['html']}"
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{MOST_TABS} times Tab do not lead to {selector} on {page.url}")


def assert_kept(page: Page) -> None:
    """Check that the focus is somewhere in the page, and visible."""
    state = page.evaluate(FOCUSED)
    assert not state["lost"], f"the focus is lost on {page.url}"
    assert state["inside"], state["html"]


def test_buying_with_the_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/en/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    tab_to(page, "main .bar a.button--primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/plans*")
    tab_to(page, 'main a.button[href*="/plans/monaco-1gb-a-day"]')
    page.keyboard.press("Enter")
    page.wait_for_url("**/plans/monaco-1gb-a-day*")
    tab_to(page, 'main a.button--primary[href*="/checkout/"]')
    page.keyboard.press("Enter")
    page.wait_for_url("**/checkout/**")

    # A choice that htmx answers: the total changes, the focus stays.
    tab_to(page, "#days-choice")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#summary input[name=days]")).not_to_have_value("1")
    expect(page.locator("#days-choice")).to_be_focused()

    # A mistake: the summary has the focus, and its link leads to the field.
    tab_to(page, "#summary button[type=submit]")
    page.keyboard.press("Enter")
    expect(page.locator(".error-summary")).to_be_focused()
    assert_kept(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#email")).to_be_focused()
    page.keyboard.type("ana@example.org")

    for name in ("phone_supports_esim", "terms", "immediate_delivery"):
        tab_to(page, f"#{name}")
        page.keyboard.press("Space")
        expect(page.locator(f"#{name}")).to_be_checked()
        # Leaving the address had it looked at, and its field swapped.
        assert_kept(page)
    tab_to(page, "#summary button[type=submit]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/c/pay/**")


def test_the_language_menu_with_the_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/en/help")
    tab_to(page, ".languages summary")
    page.keyboard.press("Enter")
    tab_to(page, ".languages a[lang=fr]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/fr/help")


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_page_for_thumbs_and_for_large_letters(
    app: Flask, sandbox: Sandbox, browser: Browser, live_shop: str, code: str
) -> None:
    """Targets of 44 pixels at 390; letters twice their size at 320 without scrolling sideways; nothing moves."""
    world = World(app, sandbox, code)
    faults: list[str] = []
    with windows(browser, live_shop, "status of 410") as open_window:
        pages = {False: open_window(), True: open_window()}
        world.sign_in(pages[True])
        for visit in world.visits():
            page = pages[visit.signed_in]
            if visit.acts:
                continue
            page.emulate_media(reduced_motion="reduce")
            page.set_viewport_size(PHONE)
            page.goto(visit.path)
            found = [f"small: {each}" for each in page.evaluate(SMALL, THUMB)]
            found += [f"moves: {each}" for each in page.evaluate(MOVING)]
            # As Android's text size does it: `rem` grows, the width does not.
            page.set_viewport_size({"width": 320, "height": PHONE["height"]})
            page.evaluate("document.documentElement.style.fontSize = '200%'")
            wide = page.evaluate("document.documentElement.scrollWidth")
            found += [f"{wide} pixels wide with large letters"] if wide > 320 else []
            found += [f"cut off: {each}" for each in page.evaluate(CUT)]
            faults += [f"{visit.name}: {each}" for each in found]
        assert not faults, "\n".join(faults)
