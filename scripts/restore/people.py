"""The customers: people at browsers without JavaScript, who fill in the shop's own forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from urllib.parse import urljoin, urlsplit

import httpx
from bs4 import BeautifulSoup, Tag

from scripts.restore.shop import Shop, until

PASSWORD = "four words are enough"
TIMEOUT = httpx.Timeout(60)
_ADDRESSES = count(1)


class Lost(Exception):
    """A page is not what a customer expects; the message says which."""


class Customer:
    """One person with one browser and one mailbox; buys in `language` and pays in `currency`."""

    def __init__(self, shop: Shop, name: str, language: str = "en", currency: str = "EUR") -> None:
        self.shop = shop
        self.name = name
        self.email = f"{name.lower()}@example.com"
        self.language = language
        self.currency = currency
        self._browser = fresh_browser(shop, language)

    # At the shop.

    def check_out(self, plan: str, *, days: int | None = None, email: str = "") -> str:
        """Fill in the checkout of a plan and return the session of the payment page that it leads to."""
        query = f"?new=1&currency={self.currency}" + (f"&days={days}" if days else "")
        page = self._get(f"/{self.language}/checkout/{plan}{query}")
        return self._go_to_payment(page, f"/checkout/{plan}", {"email": email or self.email})

    def buy(self, plan: str, *, days: int | None = None, email: str = "") -> str:
        """Check out and pay by card; return the number of the order."""
        return self.pay(self.check_out(plan, days=days, email=email))

    def check_out_renewal(self, esim_public_id: str, plan: str) -> str:
        """Fill in the page that renews an eSIM of one's own and return the session of the payment page."""
        address = f"/{self.language}/account/esims/{esim_public_id}/renewal"
        page = self._get(f"{address}?plan={plan}&currency={self.currency}&again=1")
        return self._go_to_payment(page, address, {})

    def renew(self, esim_public_id: str, plan: str) -> str:
        """Renew an eSIM of one's own and pay by card; return the number of the order."""
        return self.pay(self.check_out_renewal(esim_public_id, plan))

    def pay(self, session_id: str) -> str:
        """Pay by card at Stripe, which waits for the shop to hear of it; return the number of the order."""
        paid = self.shop.sandbox.stripe.pay(session_id)
        if paid.payment_status != "paid":
            raise Lost(f"{self.name} could not pay: {paid}")
        return self.order_of(session_id)

    def order_of(self, session_id: str) -> str:
        """Return the number of the order that a payment page is for."""
        return str(self.shop.sandbox.stripe.account.find("cs", session_id)["metadata"]["order"])

    def claim_account(self) -> None:
        """Choose a password by the newest link in the mailbox, which also signs in."""
        link = until(self.newest_claim_link, f"{self.name} gets a link to the account")
        page = self._get(link)
        answer = self._send(page, "/claim/", {"password": PASSWORD})
        if "/account" not in answer.headers.get("Location", ""):
            raise Lost(f"{self.name} could not choose a password: {answer.status_code}")

    def is_signed_in(self) -> bool:
        """Return whether the browser shows the account."""
        return self._browser.get(f"{self.shop.url}/{self.language}/account").status_code == httpx.codes.OK

    # At the mailbox.

    def links(self, pattern: str) -> list[str]:
        """Return the addresses in this person's mails that match, oldest first."""
        mails = self.shop.sandbox.inbox.messages(to=self.email)
        return [link for mail in mails for link in re.findall(rf"http\S+{pattern}\S*", mail.text)]

    def newest_claim_link(self) -> str:
        """Return the newest link that opens the account, "" for none."""
        return next(reversed(self.links("/claim/")), "")

    # What a browser does.

    def _get(self, address: str) -> BeautifulSoup:
        response = self._browser.get(urljoin(self.shop.url, address))
        if response.status_code != httpx.codes.OK:
            raise Lost(f"{self.name}: {response.url.path} answered {response.status_code}")
        return _parse(response)

    def _go_to_payment(self, page: BeautifulSoup, action: str, values: Mapping[str, str]) -> str:
        response = self._send(page, action, values)
        location = response.headers.get("Location", "")
        if not location.startswith(f"{self.shop.sandbox.url}/c/pay/"):
            words = " ".join(tag.get_text(" ", strip=True) for tag in _parse(response).select("h1, .error"))
            raise Lost(f"{self.name}: {action} answered {response.status_code} {location} {words}")
        return urlsplit(location).path.rpartition("/")[2]

    def _send(self, page: BeautifulSoup, action: str, values: Mapping[str, str]) -> httpx.Response:
        """Send the form that leads to an address with `action` in it, every box ticked and `values` filled in."""
        for form in page.select('form[method="post"]'):
            address = urljoin(str(page.attrs["url"]), str(form.get("action") or ""))
            if action in address:
                fields = dict(field for control in form.select("input[name]") for field in _field(control))
                return self._browser.post(address, data={**fields, **values}, follow_redirects=False)
        raise Lost(f"{self.name}: no form leads to {action}")


def fresh_browser(shop: Shop, language: str = "en") -> httpx.Client:
    """Return a browser without cookies, at an address of its own."""
    number = next(_ADDRESSES)
    headers = {
        "User-Agent": "Mozilla/5.0 (exercise)",
        "Accept-Language": language,
        "X-Forwarded-For": f"10.0.{number >> 8}.{number & 255}",
    }
    return httpx.Client(timeout=TIMEOUT, headers=headers, follow_redirects=True, base_url=shop.url)


def open_order(shop: Shop, link: str) -> BeautifulSoup | None:
    """Open an order by its link in a browser that was never here; None when it does not open."""
    with fresh_browser(shop) as browser:
        response = browser.get(link)
        return _parse(response) if response.status_code == httpx.codes.OK else None


def _parse(response: httpx.Response) -> BeautifulSoup:
    page = BeautifulSoup(response.text, "html.parser")
    page.attrs["url"] = str(response.url)
    return page


def _field(control: Tag) -> list[tuple[str, str]]:
    kind, name = control.get("type", "text"), str(control["name"])
    if kind in ("submit", "button") or (kind == "radio" and not control.has_attr("checked")):
        return []
    return [(name, str(control.get("value", "y" if kind == "checkbox" else "")))]
