"""A person at a browser without JavaScript: fills in forms, follows redirects, and tries again when something breaks.

Everything that takes a person time is a generator that yields the seconds: whoever runs it lets somebody else go on
meanwhile (`chaos_crowd`).
"""

from __future__ import annotations

import html
import re
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import httpx

Answer = TypeVar("Answer")
Steps = Generator[float, None, Answer]

TIMEOUT = httpx.Timeout(30, connect=5)
# Whoever sees nothing but errors goes away sooner.
MOST_TRIES, MOST_ERRORS = 40, 6
MOST_REDIRECTS = 8
TRY_AGAIN = (429, 500, 502, 503, 504)
# Few wait for as long as a page asks them to.
PATIENT_SHARE = 0.2
USER_AGENT = "Mozilla/5.0 (bench chaos)"

_FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.DOTALL)
_INPUT = re.compile(r"<input\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([\w-]+)(?:="([^"]*)")?')


class GaveUp(Exception):
    """A person has tried often enough and goes away."""


class Lost(Exception):
    """A page is not what it should be; the message says which one and what is missing."""


@dataclass(frozen=True)
class Form:
    """A form as it stands on a page: where it is sent to, its hidden and filled fields, its empty checkboxes."""

    action: str
    values: dict[str, str]
    checkboxes: frozenset[str]

    def filled(self, values: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return what a browser sends: every checkbox ticked, and `values` in their fields."""
        return {**self.values, **dict.fromkeys(self.checkboxes, "y"), **(values or {})}


@dataclass(frozen=True)
class Page:
    """What came back in the end, after redirects."""

    url: str
    status: int
    text: str
    location: str = ""

    @property
    def leads_to(self) -> str:
        """Return where a redirect leads to, the page's own address where it is none."""
        return urljoin(self.url, self.location)

    @property
    def path(self) -> str:
        """Return the path of the address."""
        return urlsplit(self.url).path

    def forms(self) -> list[Form]:
        """Return the forms that are sent with POST, in their order."""
        found = ((_attributes(attributes), inside) for attributes, inside in _FORM.findall(self.text))
        return [
            _form(self.url, attributes, inside) for attributes, inside in found if attributes.get("method") == "post"
        ]

    def find_form(self, part: str) -> Form | None:
        """Return the form whose address ends with `part`, None when there is none."""
        return next((form for form in self.forms() if urlsplit(form.action).path.endswith(part)), None)

    def form(self, part: str) -> Form:
        """Return the form whose address ends with `part`; raises Lost."""
        found = self.find_form(part)
        if found is None:
            raise Lost(f"no form {part} on {self.path} ({self.status}): {self.heading}")
        return found

    @property
    def heading(self) -> str:
        """Return the heading and what stands in notes, for a person who wonders."""
        words = re.findall(r"<h1[^>]*>(.*?)</h1>|class=\"(?:note|error)[^>]*>(.*?)<", self.text, re.DOTALL)
        return " | ".join(" ".join(html.unescape(each).split()) for pair in words for each in pair if each)[:200]


@dataclass
class Seen:
    """What all browsers together have seen of the shop: answers by status, and connections that broke."""

    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, detail: str = "") -> None:
        """Count one answer; `detail` is kept where it is a failure of the shop."""
        with self.lock:
            self.statuses[what] += 1
            if detail and len(self.failures) < 200:
                self.failures.append(f"{what} {detail}")


@dataclass(frozen=True)
class _Answer:
    """What the last request was and which page it led to; None when its connection broke."""

    method: str
    url: str
    data: dict[str, str] | None
    page: Page | None


class Browser:
    """One browser: its cookies, and the address that a proxy in front of the shop would see."""

    def __init__(self, shop_url: str, transport: httpx.BaseTransport, seen: Seen, chance: Random) -> None:
        self.shop_url = shop_url
        self.chance = chance
        self._seen = seen
        address = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
        headers = {"User-Agent": USER_AGENT, "X-Forwarded-For": address, "Accept-Language": "en"}
        # Never closed: the connections are those of all browsers.
        self._client = httpx.Client(transport=transport, headers=headers, timeout=TIMEOUT, trust_env=False)

    def open(self, url: str) -> Steps[Page]:
        """Open an address, again and again while the shop cannot answer; raises GaveUp."""
        return (yield from self._until_answered("GET", urljoin(self.shop_url, url), None))

    def send(self, form: Form, values: Mapping[str, str] | None = None, *, follow: bool = True) -> Steps[Page]:
        """Fill in a form and send it, the same one again while nobody can answer; raises GaveUp.

        Without `follow` the page is the redirect, which the person has not followed yet: `leads_to` says where.
        """
        return (yield from self._until_answered("POST", form.action, form.filled(values), follow=follow))

    def send_twice(self, form: Form, values: Mapping[str, str] | None = None) -> Steps[list[Page]]:
        """Send a form twice at the same moment, as an impatient finger does; return where it led, once or twice."""
        answers: list[Page | None] = [None, None]

        def click(number: int) -> None:
            answers[number] = self._ask("POST", form.action, form.filled(values)).page

        fingers = [threading.Thread(target=click, args=(number,), daemon=True) for number in range(2)]
        for finger in fingers:
            finger.start()
        for finger in fingers:
            finger.join()
        answered = [page for page in answers if page is not None and page.status not in TRY_AGAIN]
        return answered or [(yield from self.send(form, values))]

    def _until_answered(
        self, method: str, url: str, data: dict[str, str] | None, *, follow: bool = True
    ) -> Steps[Page]:
        errors = 0
        for tries in range(MOST_TRIES):
            answer = self._ask(method, url, data, follow=follow)
            page = answer.page
            if page is not None and page.status not in TRY_AGAIN:
                return page
            # A reload asks once more for the step that failed, which may be behind a redirect.
            method, url, data = answer.method, answer.url, answer.data
            errors += page is not None and page.status == 500
            if errors >= MOST_ERRORS:
                break
            again = page.find_form("/payment") if page is not None else None
            if again is not None and self.chance.random() < 0.5:
                # The button on the page that says that Stripe does not answer.
                method, url, data = "POST", again.action, again.filled()
            patient = page is not None and page.status != 500 and self.chance.random() < PATIENT_SHARE
            yield 30.0 if patient else self.chance.uniform(0.5, min(1.5 + tries, 10))
        raise GaveUp(f"{method} {urlsplit(url).path} after {tries + 1} tries, {errors} of them answered with 500")

    def _ask(self, method: str, url: str, data: dict[str, str] | None, *, follow: bool = True) -> _Answer:
        """Ask once and follow where it leads."""
        for _ in range(MOST_REDIRECTS):
            try:
                response = self._client.request(method, url, data=data)
            except httpx.TransportError as error:
                self._note(url, f"connection broke ({type(error).__name__})")
                return _Answer(method, url, data, None)
            self._note(url, str(response.status_code), response)
            page = Page(str(response.url), response.status_code, response.text, response.headers.get("Location", ""))
            if not response.is_redirect or not follow:
                return _Answer(method, url, data, page)
            method, url, data = "GET", page.leads_to, None
        raise Lost(f"redirects without end at {urlsplit(url).path}")

    def _note(self, url: str, what: str, response: httpx.Response | None = None) -> None:
        if not url.startswith(self.shop_url):
            return
        unexpected = response is not None and (response.status_code in (400, 403, 404, 405, 410, 413, 429, 500))
        path = urlsplit(url).path
        # Links in mails are secrets, also in a report.
        path = re.sub(r"/(claim|password-reset)/.*", r"/\1/…", path)
        self._seen.note(what, path if unexpected else "")


def _attributes(text: str) -> dict[str, str]:
    return {name.lower(): html.unescape(value) for name, value in _ATTRIBUTE.findall(text)}


def _form(url: str, attributes: Mapping[str, str], inside: str) -> Form:
    values: dict[str, str] = {}
    checkboxes = set()
    for control in map(_attributes, _INPUT.findall(inside)):
        name, kind = control.get("name", ""), control.get("type", "text")
        if not name or kind == "submit":
            continue
        if kind == "checkbox":
            checkboxes.add(name)
        elif kind != "radio" or "checked" in control:
            values[name] = control.get("value", "")
    return Form(urljoin(url, attributes.get("action", "")), values, frozenset(checkboxes))
