"""A phone with one bar of signal: slow, and every kind of request is lost twice before it gets through."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Request, Route

LATENCY_MS = 400
BYTES_PER_SECOND = 400_000 / 8
# How often somebody tries before giving up; more than requests are lost on one step.
MOST_TRIES = 12
STEP_SECONDS = 40
TICK_MS = 100
NOTE = "[role=alert] button:visible"


class Line:
    """The connection of a crowded airport, 400 ms there and back and 400 kbit/s, which can be cut."""

    def __init__(self, page: Page) -> None:
        self._devtools = page.context.new_cdp_session(page)
        self.mend()

    def mend(self) -> None:
        """Let the phone be as well connected as it was."""
        self._set(offline=False)

    def cut(self) -> None:
        """Let nothing through."""
        self._set(offline=True)

    def _set(self, *, offline: bool) -> None:
        conditions = {"offline": offline, "latency": LATENCY_MS}
        speeds = {"downloadThroughput": BYTES_PER_SECOND, "uploadThroughput": BYTES_PER_SECOND}
        self._devtools.send("Network.emulateNetworkConditions", {**conditions, **speeds})


class Losses:
    """Loses each kind of request twice: first on its way to the server, then the answer on its way back.

    Files that never change are left alone: a page without its scripts is a case of its own.
    """

    def __init__(self, page: Page) -> None:
        self.asked: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        page.route("**/*", self._handle)

    def _handle(self, route: Route) -> None:
        request = route.request
        if request.resource_type not in ("document", "fetch", "xhr"):
            route.continue_()
            return
        kind = kind_of(request)
        self.asked[kind] += 1
        if self.asked[kind] == 1:
            self.lost[f"{kind} before"] += 1
            route.abort("internetdisconnected")
        elif self.asked[kind] == 2:
            _deliver(request)
            self.lost[f"{kind} after"] += 1
            route.abort("connectionreset")
        else:
            route.continue_()


def kind_of(request: Request) -> str:
    """Return what a request is for: its method, its address without numbers and query, page or fragment."""
    path = re.sub(r"/(?=[^/]*\d)[A-Za-z0-9_~-]{8,}", "/…", urlsplit(request.url).path)
    return f"{request.method} {path} {request.resource_type}"


def _deliver(request: Request) -> None:
    """Let the server have the request, and forget its answer, cookies and all."""
    headers = {name: value for name, value in request.all_headers().items() if not name.startswith(":")}
    headers.pop("content-length", None)
    httpx.request(request.method, request.url, headers=headers, content=request.post_data_buffer or b"", timeout=30)


class Stubborn:
    """Somebody who tries again in the way the page or the browser offers, until what they wanted is there."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.retries = 0

    def reach(self, act: Callable[[], object], reached: Callable[[], bool], again: Callable[[], object]) -> None:
        """Do `act` once; then press Try again on the page, or reload the browser's error page, until `reached`.

        After a form whose page is gone, `again` leads back to it.
        """
        with suppress(PlaywrightError):
            act()
        for _try in range(MOST_TRIES):
            state = self._wait(reached)
            if state == "reached":
                return
            self.retries += 1
            with suppress(PlaywrightError):
                if state == "note":
                    self.page.locator(NOTE).first.click()
                else:
                    again()
        raise AssertionError(f"given up after {MOST_TRIES} tries at {self.page.url}")

    def open(self, url: str, selector: str) -> None:
        """Open an address until an element is there."""
        self.reach(lambda: self.page.goto(url), lambda: self._has(selector), lambda: self.page.goto(url))

    def follow(self, link: str, selector: str) -> None:
        """Press a link until its page, with an element that only it has, is there."""
        self.reach(lambda: self.page.locator(link).first.click(), lambda: self._has(selector), self.page.reload)

    def send(self, button: str, reached: Callable[[], bool]) -> None:
        """Press the button of a form that is sent in place."""
        self.reach(lambda: self.page.locator(button).click(), reached, self.page.reload)

    def _has(self, selector: str) -> bool:
        return self.page.locator(selector).count() > 0

    def _wait(self, reached: Callable[[], bool]) -> str:
        """Return "reached", "note" when the page offers to try again, or "broken" for the browser's own error page."""
        for _tick in range(STEP_SECONDS * 1000 // TICK_MS):
            with suppress(PlaywrightError):
                if reached():
                    return "reached"
                if self.page.locator(NOTE).count():
                    return "note"
                if self.page.url.startswith("chrome-error:"):
                    return "broken"
            self.page.wait_for_timeout(TICK_MS)
        raise AssertionError(f"nothing happens at {self.page.url}")
