"""A browser without JavaScript: every page that it is shown has to pass `page_rules`."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag
from flask import Flask, session
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from blueprints._access import start_session
from blueprints.staff.access import sign_in as sign_in_staff
from models import Account, Staff, db
from tests import page_rules
from tests.forms import Values, fill, fill_form

BROWSER = {"User-Agent": "Mozilla/5.0 (test)"}


@dataclass(frozen=True)
class Page:
    """What came back: the answer, and its HTML as a tree."""

    response: TestResponse
    url: str
    soup: BeautifulSoup

    @property
    def status(self) -> int:
        """Return the status code."""
        return self.response.status_code

    @property
    def location(self) -> str:
        """Return where a redirect leads, as path and query when it stays in the shop."""
        return self.response.headers["Location"]

    @property
    def text(self) -> str:
        """Return all words of the page with single spaces between them."""
        return " ".join(self.soup.get_text(" ").split())

    def select(self, selector: str) -> list[Tag]:
        """Return every element that a CSS selector finds."""
        return list(self.soup.select(selector))

    def one(self, selector: str) -> Tag:
        """Return the one element that a CSS selector finds; fails for none and for several."""
        found = self.select(selector)
        assert len(found) == 1, f"{len(found)} elements for {selector} on {self.url}"
        return found[0]

    def link(self, text: str) -> str:
        """Return where the link or button-like link with this text leads."""
        found = {str(tag["href"]) for tag in self.select("a[href]") if page_rules.words(tag) == text}
        assert len(found) == 1, f"{len(found)} links say {text!r} on {self.url}"
        return found.pop()


class PageClient:
    """Asks the shop for pages, keeps its cookies, fills in its forms. `page` is the page that is open."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._client: FlaskClient = app.test_client()
        self.page: Page | None = None

    def look(self, path: str) -> Page:
        """Open an address whatever it answers, and check the page."""
        return self._open("GET", path, None)

    def send(self, selector: str, values: Values) -> Page:
        """Fill in and send the first form that a CSS selector finds on the open page, with its last button.

        The answer may be anything but a redirect.
        """
        assert self.page is not None, "no page is open"
        sent = fill_form(self.page.select(selector)[0], self.page.soup, values)
        return self._open("POST", sent.action or self.page.url, None, data=sent.values)

    def get(self, path: str, status: int = 200, **options: Any) -> Page:
        """Open an address and check the page."""
        return self._open("GET", path, status, **options)

    def post(self, path: str, data: Mapping[str, Any] | None = None, status: int = 303, **options: Any) -> Page:
        """Send a form as it is, without a CSRF token of its own; `submit` is what a browser does."""
        return self._open("POST", path, status, data=data or {}, **options)

    def hx_get(self, path: str, status: int = 200, target: str = "", **options: Any) -> Page:
        """Ask for a fragment as htmx does."""
        return self._open("GET", path, status, htmx=True, target=target, **options)

    def hx_post(self, path: str, data: Mapping[str, Any] | None = None, status: int = 200, **options: Any) -> Page:
        """Send a form as htmx does."""
        return self._open("POST", path, status, data=data or {}, htmx=True, **options)

    def submit(self, name: str, values: Values | None = None, status: int = 303, htmx: bool = False) -> Page:
        """Fill in and send a form of the open page, found by its id or by the words on its button.

        Sends everything that a browser would, hidden fields too; refuses what a visitor could not enter.
        """
        assert self.page is not None, "no page is open"
        sent = fill(self.page.soup, name, values or {})
        path = sent.action or self.page.url
        if sent.method == "get":
            return self._open("GET", path, status, query_string=sent.values, htmx=htmx)
        return self._open("POST", path, status, data=sent.values, htmx=htmx)

    def follow(self, status: int = 200) -> Page:
        """Open the page that the last answer leads to."""
        assert self.page is not None, "nothing to follow"
        headers = self.page.response.headers
        return self.get(headers.get("HX-Redirect") or headers["Location"], status)

    def sign_in(self, account: Account) -> None:
        """Sign a traveller in, without the form."""
        self._keep_session(lambda: start_session(account))

    def sign_in_staff(self, member: Staff) -> None:
        """Sign a member of staff in, without the form."""
        self._keep_session(lambda: sign_in_staff(member))

    def session_values(self) -> dict[str, Any]:
        """Return what the session cookie holds."""
        with self._client.session_transaction() as values:
            return dict(values)

    def _ask(self, path: str, options: dict[str, Any]) -> TestResponse:
        response = self._client.open(path, **options)
        # What is sent as it is read needs the context of its request until the last of it.
        response.get_data()
        return response

    def _keep_session(self, start: Any) -> None:
        with self._client.session_transaction() as kept:
            before = dict(kept)
        with self._app.test_request_context(headers=BROWSER, environ_base={"REMOTE_ADDR": "127.0.0.1"}):
            session.update(before)
            start()
            after = dict(session)
        with self._client.session_transaction() as kept:
            kept.update(after)

    def _open(
        self, method: str, path: str, status: int | None, *, htmx: bool = False, target: str = "", **options: Any
    ) -> Page:
        parts = urlsplit(path)
        if not parts.path:
            path = urlsplit(self.page.url if self.page else "/").path + path
        headers = {**BROWSER, **options.pop("headers", {})}
        if htmx:
            headers |= {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": target}
            headers["HX-Current-URL"] = f"http://127.0.0.1{self.page.url if self.page else '/'}"
        # In a context of its own: an application context of the test must not become that of the request.
        response: TestResponse = contextvars.Context().run(
            self._ask, path, {"method": method, "headers": headers, **options}
        )
        db.session.rollback()
        db.session.expire_all()
        text = "" if (response.mimetype or "").startswith("image/") else response.text
        page = Page(response, response.request.full_path.rstrip("?"), page_rules.parse(text))
        status = status or response.status_code
        assert response.status_code == status, _unexpected(page, status)
        if response.mimetype == "text/html" and not 300 <= status < 400:
            whole = response.text.lstrip()[:9].lower() == "<!doctype"
            page_rules.check(page.soup, response, fragment=not whole)
        if not htmx:
            self.page = page
        return page


def _unexpected(page: Page, status: int) -> str:
    errors = " | ".join(page_rules.words(tag) for tag in page.select(".error, h1"))
    location = page.response.headers.get("Location", "")
    return f"{page.url} answered {page.status} instead of {status} {location}: {errors}"
