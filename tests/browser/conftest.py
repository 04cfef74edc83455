"""A real Chromium, as wide as a phone, on a shop that is served with its worker beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, ViewportSize

from services.clock import SystemClock
from tests.house.test_run import Demo, running_demo
from tests.running import run_jobs

PHONE: ViewportSize = {"width": 390, "height": 844}
OpenPage = Callable[..., Page]
# A refused form is a 422, which Chromium notes on its console; it is what the shop means to say.
EXPECTED = ("status of 422", "status of 404", "status of 402")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


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


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Give the shop as `make run` starts it: web server, worker and sandbox as processes of their own."""
    with running_demo(tmp_path_factory.mktemp("demo") / "instance") as demo:
        yield demo


@pytest.fixture
def open_page(browser: Browser, served_shop: str) -> Iterator[OpenPage]:
    """Return the function that opens a fresh visitor's window on the shop of this test."""
    with windows(browser, served_shop) as open_window:
        yield open_window


@pytest.fixture
def open_demo_page(browser: Browser, demo: Demo) -> Iterator[OpenPage]:
    """Return the function that opens a fresh visitor's window on the shop as `make run` starts it."""
    with windows(browser, f"http://127.0.0.1:{demo.port}") as open_window:
        yield open_window


@contextmanager
def windows(browser: Browser, shop_url: str, *expected: str) -> Iterator[OpenPage]:
    """Yield the function that opens a fresh visitor's window on a shop; paths begin with "/".

    `javascript=False` switches scripts off, `locale` and `color_scheme` are the visitor's. Whatever a page complains
    about on its console, a breach of the Content-Security-Policy above all, and every request that leaves this machine
    fails the test at its end, but for messages that hold something of EXPECTED or `expected`.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in (*EXPECTED, *expected)):
            complaints.append(f"{message.location.get('url')}: {message.text}")

    def note_host(request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            complaints.append(f"a request to {request.url}")

    def open_window(javascript: bool = True, locale: str = "en", color_scheme: str = "light") -> Page:
        context = browser.new_context(
            base_url=shop_url,
            viewport=PHONE,
            java_script_enabled=javascript,
            locale=locale,
            color_scheme=color_scheme,  # type: ignore[arg-type]
            has_touch=True,
        )
        context.set_default_timeout(15_000)
        context.on("console", note)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("request", note_host)
        contexts.append(context)
        return context.new_page()

    yield open_window
    for context in contexts:
        context.close()
    assert complaints == []
