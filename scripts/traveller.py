"""A traveller at a browser who buys an eSIM and renews it without reading a word: in any language, with JavaScript or
without. For the browser tests, and for the screenshots.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import Page

PLAN = "monaco-1gb-7-days"
BIGGER_PLAN = "monaco-3gb-30-days"
PASSWORD = "four words are enough"
GOOD_CARD = "4242424242424242"
GIGABYTE = 1024**3
STEPS = 4


def until(question: Callable[[], Any], seconds: float = 30) -> Any:
    """Ask again until the answer is true, and return it; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {answer!r} after {seconds} seconds")
        threading.Event().wait(0.1)
    return answer


def read_sandbox(sandbox_url: str, path: str, **query: str) -> Any:
    """Return what the sandbox's controls say at a path, such as `stripe/summary`."""
    answer = httpx.get(f"{sandbox_url}/_control/{path}", params=query, timeout=10)
    answer.raise_for_status()
    return answer.json()


class Traveller:
    """One person at one browser window; `seen` is called with the name of each page that is reached.

    Every step begins where the one before it ended.
    """

    def __init__(
        self,
        page: Page,
        shop_url: str,
        sandbox_url: str,
        language: str,
        *,
        email: str,
        javascript: bool = True,
        seen: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self.page = page
        self.shop_url = shop_url
        self.sandbox_url = sandbox_url
        self.language = language
        self.email = email
        self.javascript = javascript
        self._seen = seen

    def open(self, path: str, name: str) -> None:
        """Open an address of the shop; `path` begins after the language."""
        self.page.goto(f"{self.shop_url}/{self.language}/{path}")
        self._seen(name)

    def choose_plan(self) -> None:
        """Go from the start page to the checkout of PLAN."""
        self.open("", "home")
        self._follow(".bar a.button--primary", "plans")
        self._follow(f'article a.button[href*="/plans/{PLAN}"]', "plan")
        self._follow(".bar a.button--primary", "checkout")

    def fill_in(self) -> None:
        """Enter the address and agree to everything."""
        self.page.fill("#email", self.email)
        for name in ("phone_supports_esim", "terms", "immediate_delivery"):
            self.page.check(f"#{name}")

    def go_to_payment(self) -> None:
        """Press the button that leads to Stripe."""
        self.page.locator('button.button--primary[type="submit"]').last.click()
        self.page.wait_for_url(f"{self.sandbox_url}/c/pay/**")

    def use_card(self, number: str = GOOD_CARD) -> None:
        """Press one of the test cards on Stripe's page."""
        self.page.click(f'button[name="card"][value="{number}"]')

    def come_back(self) -> str:
        """Wait for the order page after paying; return the order's number."""
        self.page.wait_for_url(f"{self.shop_url}/*/orders/*")
        return self.page.url.rsplit("/", 1)[1]

    def wait_until_verified(self, name: str) -> None:
        """Watch the order page until its last step is done."""
        done = self.page.locator(".timeline .done")
        if self.javascript:
            done.nth(STEPS - 1).wait_for(timeout=30_000)
        else:
            until(lambda: self._reload() and done.count() == STEPS)
        self._seen(name)

    def pay(self, name: str) -> str:
        """Go from a filled-in form over Stripe to a finished order; return its number."""
        self.go_to_payment()
        self.use_card()
        number = self.come_back()
        self.wait_until_verified(name)
        return number

    def mails(self) -> list[dict[str, Any]]:
        """Return the traveller's mails, oldest first."""
        found: list[dict[str, Any]] = read_sandbox(self.sandbox_url, "inbox/messages", to=self.email)
        return found

    def claim_account(self) -> None:
        """Open the link in the mail with the eSIM and choose a password."""
        link = until(lambda: [url for mail in self.mails() for url in re.findall(r"http\S+/claim/\S+", mail["text"])])
        self.page.goto(link[0])
        self._seen("claim")
        self.page.fill('input[type="password"]', PASSWORD)
        self.page.click('main form button[type="submit"]')
        self.page.wait_for_url(f"{self.shop_url}/*/account*")

    def open_panel(self) -> None:
        """Go from the account to the panel of its newest eSIM."""
        self.open("account", "account")
        self._follow("#esims a.button", "panel-new")

    def use_half(self) -> None:
        """Use half of the data at the supplier and wait until the panel shows it."""
        panel, left = self.page.url, self.page.locator("#usage data")
        before = int(left.get_attribute("value") or 0)
        digits = (self.page.locator("main bdi").first.inner_text()).split()[-1]
        self.page.goto(f"{self.sandbox_url}/esims/")
        self.page.click(f'section[aria-label$="{digits}"] button[value="burn_half"]')
        self.page.goto(panel)
        until(lambda: self._reload() and int(left.get_attribute("value") or 0) < before)
        self._seen("panel")

    def choose_renewal(self) -> None:
        """Go from the panel to the preview of a renewal with BIGGER_PLAN, and agree."""
        self._follow("#usage a.button--primary", "renewal-first")
        self.page.check(f'input[name="plan"][value="{BIGGER_PLAN}"]')
        if not self.javascript:
            self.page.click('form[method="get"] button')
        chosen = self.page.locator(f'#preview input[name="plan"][value="{BIGGER_PLAN}"]')
        chosen.wait_for(state="attached")
        for name in ("terms", "immediate_delivery"):
            self.page.check(f"#{name}")
        self._seen("renewal")

    def _follow(self, selector: str, name: str) -> None:
        self.page.locator(selector).first.click()
        self.page.wait_for_load_state()
        self._seen(name)

    def _reload(self) -> bool:
        self.page.reload()
        return True
