"""A real Chromium, as wide as a phone, on a shop that is served with its worker beside it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, sync_playwright

from scripts.chromium import chromium
from services.clock import SystemClock
from tests.running import run_jobs
from tests.servers import unavailable

PHONE: ViewportSize = {"width": 390, "height": 844}
OpenPage = Callable[..., Page]
# A refused form is a 422, which Chromium notes on its console; it is what the shop means to say.
EXPECTED = ("status of 422", "status of 404", "status of 402")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give one Chromium that reaches nothing but this machine; skips, or fails in CI, where there is none."""
    path = chromium()
    if path is None:
        unavailable("no Chromium on this machine, so no page was tried in a browser")
    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    if os.getuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def clock() -> SystemClock:
    """Return the machine's clock: a person watches these pages."""
    return SystemClock()


@pytest.fixture
def served_shop(app: Flask, clock: SystemClock, live_shop: str) -> Iterator[str]:
    """Give the address of a shop whose queue is worked on in the background."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.2):
            with app.app_context():
                run_jobs(app, clock.now())

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    yield live_shop
    done.set()
    worker.join(10)


@pytest.fixture
def open_page(browser: Browser, served_shop: str) -> Iterator[OpenPage]:
    """Return the function that opens a fresh visitor's window on the shop; paths begin with "/".

    `javascript=False` switches scripts off, `locale` and `color_scheme` are the visitor's. Whatever a page complains
    about on its console, a breach of the Content-Security-Policy above all, fails the test at its end.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in EXPECTED):
            complaints.append(f"{message.location.get('url')}: {message.text}")

    def open_window(javascript: bool = True, locale: str = "en-GB", color_scheme: str = "light") -> Page:
        context = browser.new_context(
            base_url=served_shop,
            viewport=PHONE,
            java_script_enabled=javascript,
            locale=locale,
            color_scheme=color_scheme,  # type: ignore[arg-type]
            has_touch=True,
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert complaints == []
