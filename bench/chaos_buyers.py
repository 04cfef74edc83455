"""Who buys: guests who want one eSIM each, in a hurry, undecided, absent-minded, or with a card that is declined."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

import httpx

from bench.chaos_browser import Browser, Form, Lost, Page, Seen, Steps
from bench.chaos_crowd import Crowd, Intent, Ledger
from bench.chaos_mail import Mailroom
from sandbox.server import Sandbox

GOOD_CARD, DECLINED, ASKS_BANK = "4242424242424242", "4000000000000002", "4000002760003184"
LANGUAGES = ("en", "fr", "zh-hans", "ar")
CURRENCIES = ("EUR", "USD", "CHF", "JPY")
# Plans that can be renewed; one by the day; and the one that runs out (SCARCE_PLAN).
RENEWABLE = ("monaco-1gb-7-days", "monaco-3gb-30-days", "monaco-5gb-30-days", "riviera-5gb-15-days")
PLANS = (*RENEWABLE, "monaco-1gb-a-day", "europe-5gb-30-days", "france-1gb-7-days", "italy-1gb-7-days")

# How many of all people do what, as shares of 1.
CLICK_TWICE = 0.15
CHANGE_THEIR_MIND = 0.05
LEAVE_FIRST = 0.10
DECLINED_FIRST = 0.10
ASKED_BY_BANK = 0.08
NEVER_RETURN = 0.15
PAY_IN_OTHER_TABS = 0.5
SEND_AGAIN = 0.25
MOST_WAYS_TO_PAY = 30
MOST_LOOKS = 3


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where everything happens."""

    shop_url: str
    sandbox: Sandbox
    transport: httpx.BaseTransport
    seen: Seen
    ledger: Ledger
    mailroom: Mailroom
    crowd: Crowd


class Buyer:
    """One person with one browser; what they do is drawn from their own chance."""

    def __init__(self, scene: Scene, email: str, chance: Random) -> None:
        self.scene = scene
        self.email = email
        self.chance = chance
        self.language = chance.choice(LANGUAGES)
        self.browser = Browser(scene.shop_url, scene.transport, scene.seen, chance)
        # Payment pages of the same purchase that this person has open beside the one in use.
        self._tabs: list[Page] = []

    def buy(self, slug: str) -> Steps[None]:
        """Buy one eSIM and look whether it comes."""
        intent = self.scene.ledger.add(self.email, "purchase")
        page, form = yield from self._check_out(slug)
        yield from self.pay(intent, page, form)

    def look_around(self, slug: str) -> Steps[None]:
        """Go as far as the payment page, and never come back."""
        yield from self._check_out(slug)

    def pay(self, intent: Intent, page: Page, form: Form) -> Steps[None]:
        """Pay for an order from wherever its form has led, whatever gets in between, and come back or not."""
        back = yield from self._pay_somehow(intent, page)
        if intent.paid and self._happens(PAY_IN_OTHER_TABS):
            yield from self._pay_in_other_tabs(intent)
        self._tabs.clear()
        if intent.paid and self._happens(NEVER_RETURN):
            return
        page = yield from self.browser.open(back)
        self._note_order(intent, page)
        for _ in range(self.chance.randint(0, MOST_LOOKS)):
            yield self.chance.uniform(0.5, 2)
            page = yield from self.browser.open(page.url)
        if self._happens(SEND_AGAIN):
            yield from self._send_again(intent, form)

    def place(self, form: Form) -> Steps[Page]:
        """Send the form of an order, some with two clicks at once."""
        if not self._happens(CLICK_TWICE):
            return (yield from self.browser.send(form))
        *others, page = yield from self.browser.send_twice(form)
        self._tabs += [other for other in others if self._at_payment(other)]
        return page

    def _check_out(self, slug: str) -> Steps[tuple[Page, Form]]:
        """Fill in the form; return where it led and the form as it was sent, to be sent again by going back."""
        currency = self.chance.choice(CURRENCIES)
        page, form = yield from self._fill_in(slug, currency)
        if self._at_payment(page) and self._happens(CHANGE_THEIR_MIND):
            pages = [page]
            page, form = yield from self._fill_in(slug, "GBP" if currency == "EUR" else "EUR")
            pages.append(page)
            # Some go on in the tab that was open first.
            page = pages.pop(self.chance.randrange(2))
            self._tabs += pages
        return page, form

    def _fill_in(self, slug: str, currency: str) -> Steps[tuple[Page, Form]]:
        page = yield from self.browser.open(
            f"/{self.language}/checkout/{slug}?currency={currency}&days={self.chance.randint(1, 7)}&new=1"
        )
        form = page.form(f"/checkout/{slug}")
        sent = Form(form.action, form.filled({"email": self.email}), frozenset())
        yield self.chance.uniform(0, 1)
        page = yield from self.place(sent)
        if page.status == 422:
            raise Lost(f"the checkout form was refused: {page.heading}")
        return page, sent

    def _pay_somehow(self, intent: Intent, page: Page) -> Steps[str]:
        """Go from page to page until it is paid, by this person or earlier; return where to look at it."""
        hesitates = self._happens(LEAVE_FIRST)
        for _ in range(MOST_WAYS_TO_PAY):
            if self._at_payment(page):
                if hesitates and page.forms():
                    hesitates = False
                    page = yield from self.browser.send(page.forms()[0], {"action": "back"})
                    continue
                back = yield from self._pay_here(intent, page)
                if back:
                    return back
                page = yield from self._back_to_shop(page)
                continue
            self._note_order(intent, page)
            form = page.find_form("/payment")
            if form is None and "timeline" in page.text:
                return page.url
            yield self.chance.uniform(0.5, 2)
            page = yield from (self.browser.send(form) if form else self.browser.open(page.url))
        raise Lost(f"no way to pay: {page.path} ({page.status}) {page.heading}")

    def _pay_here(self, intent: Intent, page: Page) -> Steps[str]:
        """Pay on Stripe's page; return where it leads back to, "" when nobody can pay there any more."""
        if not page.forms():
            return _link_of(page) if page.status == 200 else ""
        if self._happens(DECLINED_FIRST):
            page = yield from self.browser.send(page.forms()[0], {"card": DECLINED}, follow=False)
            yield self.chance.uniform(0.5, 2)
        card = ASKS_BANK if self._happens(ASKED_BY_BANK) else GOOD_CARD
        return (yield from self._use_card(intent, page, card))

    def _use_card(self, intent: Intent, page: Page, card: str) -> Steps[str]:
        if not page.forms():
            return ""
        answer = yield from self.browser.send(page.forms()[0], {"card": card}, follow=False)
        if "/c/authenticate/" in answer.leads_to:
            step = yield from self.browser.open(answer.leads_to)
            answer = yield from self.browser.send(step.forms()[0], {"outcome": "complete"}, follow=False)
        if answer.leads_to.startswith(self.scene.shop_url):
            intent.paid = True
            return answer.leads_to
        # The page has expired meanwhile, or was paid in the other tab.
        return _link_of(answer) if answer.status == 200 else ""

    def _back_to_shop(self, page: Page) -> Steps[Page]:
        """Go back from a payment page on which nobody can pay any more."""
        fresh = yield from self.browser.open(page.url)
        return (yield from self.browser.open(_link_of(fresh)))

    def _pay_in_other_tabs(self, intent: Intent) -> Steps[None]:
        """Pay again on every payment page of this purchase that is open elsewhere, where Stripe accepts it."""
        for page in self._tabs:
            fresh = yield from self.browser.open(page.url)
            if self._at_payment(fresh) and fresh.forms():
                intent.asked_again += 1
                yield from self._use_card(intent, fresh, GOOD_CARD)

    def _send_again(self, intent: Intent, form: Form) -> Steps[None]:
        """Go back and send the form once more, as somebody who is not sure does; pay again where that is possible."""
        page = yield from self.browser.send(form)
        if self._at_payment(page):
            self._tabs.append(page)
            yield from self._pay_in_other_tabs(intent)
            self._tabs.clear()

    def _note_order(self, intent: Intent, page: Page) -> None:
        number = re.search(r"/orders/([0-9A-Z]+)", page.path)
        if number is not None:
            intent.order = number[1]

    def _at_payment(self, page: Page) -> bool:
        return page.url.startswith(f"{self.scene.sandbox.url}/c/pay/")

    def _happens(self, share: float) -> bool:
        return self.chance.random() < share


def _link_of(page: Page) -> str:
    link = re.search(r'<a href="([^"]+)">Back to the shop', page.text)
    if link is None:
        raise Lost(f"no way back from {page.path}: {page.heading}")
    return link[1].replace("&amp;", "&")
