"""What a browser can say about the layout of a page: too wide, cut off, too small for a thumb, moving."""

from __future__ import annotations

from playwright.sync_api import Page

# What some of the pages are there to say: a link has ended, an address is taken, Stripe does not answer.
REFUSALS = ("status of 410", "status of 409", "status of 503")
# WCAG 2.2, 2.5.5: the side of a target.
THUMB = 44
# What reaches furthest to either side, to name it.
_WIDE = """() => [...document.body.querySelectorAll("*")].filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return right > innerWidth + 1 || left < -1;
}).map(({ localName, className, textContent }) => `<${localName} class="${className}"> ${textContent.slice(0, 40)}`)
    .slice(-3).join(" ")"""
# WCAG 2.2, 2.5.5, without what it exempts: links in running text, what is not shown, and a box whose label is large.
_SMALL = """(size) => [...document.querySelectorAll("a[href], button, select, summary, input:not([type=hidden])")]
    .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.matches(".skip"))
    .filter((element) => getComputedStyle(element).display !== "inline")
    .map((element) => {
        const boxes = [element, ...(element.labels ?? [])].map((each) => each.getBoundingClientRect());
        const height = Math.max(...boxes.map((box) => box.height)), width = Math.max(...boxes.map((box) => box.width));
        return { height, width, html: element.outerHTML.slice(0, 120) };
    })
    .filter(({ height, width }) => height < size - 0.5 || width < size - 0.5)
    .map(({ height, width, html }) => `${width.toFixed()}x${height.toFixed()} ${html}`)"""
_MOVING = """() => [...document.querySelectorAll("*")].filter((element) => {
    const style = getComputedStyle(element);
    const lasts = (list) => list.split(",").some((each) => parseFloat(each) > 0);
    return lasts(style.transitionDuration) || (style.animationName !== "none" && lasts(style.animationDuration));
}).map((element) => element.outerHTML.slice(0, 80))"""
# Text whose box ends before its letters do. Codes and hidden labels are cut on purpose, and lose nothing.
_CUT = """() => [...document.querySelectorAll("main *, header *, footer *")].filter((element) => {
    const style = getComputedStyle(element);
    const clips = style.overflowX !== "visible" || style.overflowY !== "visible";
    const more = element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1;
    const meant = element.matches(".visually-hidden, .scroll, svg, svg *, progress, input, select, textarea");
    return clips && more && !meant && element.checkVisibility();
}).map((element) => element.outerHTML.slice(0, 120))"""


def sideways(page: Page) -> list[str]:
    """Return how far a page reaches beyond the screen, and what does."""
    wide, screen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return [f"{wide} pixels wide at {screen}: {page.evaluate(_WIDE)}"] if wide > screen else []


def cut_off(page: Page) -> list[str]:
    """Return every text that ends before it is over."""
    return [f"cut off: {html}" for html in page.evaluate(_CUT)]


def small_targets(page: Page) -> list[str]:
    """Return everything to press that is smaller than a thumb."""
    return [f"small: {html}" for html in page.evaluate(_SMALL, THUMB)]


def moving(page: Page) -> list[str]:
    """Return everything that moves by itself or when it is touched."""
    return [f"moves: {html}" for html in page.evaluate(_MOVING)]
