"""A buyer with a browser without JavaScript, over real HTTP: reads pages, fills in forms, pays, comes back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from bs4 import BeautifulSoup

from sandbox.server import Sandbox
from sandbox.stripe import Payment
from tests.forms import SentForm, fill
from tests.money_world import MONACO_1GB
from tests.page_rules import words

CONSENTS = {"phone_supports_esim": True, "terms": True, "immediate_delivery": True}
RENEWAL_CONSENTS = {"terms": True, "immediate_delivery": True}
PASSWORD = "four words are enough"
BROWSER = "Mozilla/5.0 (test)"
TIMEOUT = 60


@dataclass(frozen=True)
class Page:
    """What came back: the answer, and its HTML as a tree."""

    response: httpx.Response

    @cached_property
    def soup(self) -> BeautifulSoup:
        """Return the HTML as a tree; the tests of pages hold it to the rules, here a quick look is enough."""
        return BeautifulSoup(self.response.text, "html.parser")

    @property
    def status(self) -> int:
        """Return the status code."""
        return self.response.status_code

    @property
    def location(self) -> str:
        """Return where a redirect leads."""
        return self.response.headers["Location"]

    @property
    def path(self) -> str:
        """Return the address that was asked, without the host."""
        return self.response.request.url.raw_path.decode()

    @property
    def text(self) -> str:
        """Return all words of the page with single spaces between them."""
        return " ".join(self.soup.get_text(" ").split())

    @property
    def button(self) -> str:
        """Return what the button says that leads to paying."""
        (found,) = self.soup.select("button.button--primary")
        return words(found)


class Buyer:
    """One person at one browser; `page` is the page that is open."""

    def __init__(self, url: str, sandbox: Sandbox, email: str, address: str, *, language: str = "en") -> None:
        self.email = email
        self.sandbox = sandbox
        self.stripe = sandbox.stripe
        self.page: Page | None = None
        self._language = language
        # The shop trusts one proxy in front of it, so that every buyer has limits of their own.
        self._browser = httpx.Client(
            base_url=url,
            timeout=TIMEOUT,
            headers={"User-Agent": BROWSER, "X-Forwarded-For": address, "Accept-Language": language},
        )

    # What a browser does.

    def get(self, path: str, status: int | None = 200) -> Page:
        """Open an address; `status` None is any answer."""
        return self._keep(self._browser.get(path), status)

    def send(self, form: SentForm, status: int | None = 303) -> Page:
        """Send a form as it is filled in, however often."""
        assert form.method == "post"
        assert self.page is not None
        return self._keep(self._browser.post(form.action or self.page.path, data=form.values), status)

    def send_in_vain(self, form: SentForm) -> None:
        """Send a form to a web server that dies of it."""
        with pytest.raises(httpx.TransportError):
            self.send(form, None)

    def submit(self, name: str, values: Any = None, status: int | None = 303) -> Page:
        """Fill in and send a form of the open page, found by its id or by the words on its button."""
        assert self.page is not None, "no page is open"
        return self.send(fill(self.page.soup, name, values or {}), status)

    def poll(self, path: str) -> Page:
        """Ask for the state of an order as the open page does every two seconds; the page itself stays."""
        headers = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "order-state"}
        response = self._browser.get(path, headers=headers)
        assert response.status_code == 200, response.text
        return Page(response)

    # What a buyer does.

    def fill_in_checkout(self, plan: str = MONACO_1GB, *, query: str = "", **values: Any) -> SentForm:
        """Open a checkout and fill it in rightly but for `values`; `query` chooses days and currency."""
        # Also when this browser has just bought it.
        page = self.get(f"/{self._language}/checkout/{plan}{query}{'&' if query else '?'}new=1")
        return fill(page.soup, page.button, {"email": self.email, **CONSENTS, **values})

    def check_out(self, plan: str = MONACO_1GB, *, query: str = "", **values: Any) -> str:
        """Go through the checkout and return the session of the payment page that it leads to."""
        return self.session_of(self.send(self.fill_in_checkout(plan, query=query, **values)))

    def session_of(self, page: Page) -> str:
        """Return the session of the payment page that an answer of the shop leads to."""
        assert page.location.startswith(f"{self.sandbox.url}/c/pay/"), page.location
        return urlsplit(page.location).path.rpartition("/")[2]

    def pay(self, session_id: str, card: str = "4242424242424242", **options: Any) -> Payment:
        """Pay on the payment page; waits, as Stripe does, for the shop to hear of it."""
        return self.stripe.pay(session_id, card=card, **options)

    def come_back(self, session_id: str, status: int = 200) -> Page:
        """Follow the way from the payment page back to the order."""
        address = self.stripe.account.find("cs", session_id)["success_url"]
        page = self.get(address, 303)
        return self.get(page.location, status)

    def buy(self, plan: str = MONACO_1GB, **options: Any) -> str:
        """Check out, pay and come back; return the session."""
        session_id = self.check_out(plan, **options)
        assert self.pay(session_id).payment_status == "paid"
        self.come_back(session_id)
        return session_id

    def claim_account(self) -> None:
        """Choose a password by the link in the mail with the eSIM, which also signs in."""
        mail = self.sandbox.inbox.wait_for(self.email, "eSIM")
        (link,) = set(re.findall(r"http\S+/claim/\S+", mail.text))
        self.submit(self.get(link).button, {"password": PASSWORD})

    def fill_in_renewal(self, esim_public_id: str, plan: str = MONACO_1GB, **values: Any) -> SentForm:
        """Open the page that renews an eSIM and fill it in; the buyer is signed in."""
        page = self.get(f"/{self._language}/account/esims/{esim_public_id}/renewal?plan={plan}&again=1")
        return fill(page.soup, page.button, {**RENEWAL_CONSENTS, **values})

    def _keep(self, response: httpx.Response, status: int | None) -> Page:
        page = Page(response)
        if status is not None and response.status_code != status:
            said = " | ".join(words(tag) for tag in page.soup.select(".error, h1"))
            raise AssertionError(
                f"{response.url} answered {response.status_code} {response.headers.get('Location', '')} {said}"
            )
        # Several clicks at once are several threads: each goes on with its own answer.
        self.page = page
        return page
