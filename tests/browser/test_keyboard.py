"""Without a mouse: what has the focus is visible, and it is never lost."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage

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
