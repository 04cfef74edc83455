"""Who renews: travellers who buy an eSIM, choose a password by the link in the mail, use data, and renew repeatedly."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from random import Random

from bench.chaos_browser import Browser, Lost, Page, Steps
from bench.chaos_buyers import CURRENCIES, RENEWABLE, Buyer, Scene
from bench.chaos_crowd import Intent

PASSWORD = "four words are enough"
AT_ONCE = 0.2
USES_DATA = 0.4
ENDS = 0.02
MOST_LOOKS_AT_OFFERS = 40


class Tickets:
    """How many renewals there still are to be bought, by whoever comes first."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Return whether there was one left, and take it."""
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def give_back(self) -> None:
        """Leave one to somebody else."""
        with self._lock:
            self._left += 1

    @property
    def gone(self) -> bool:
        """Return whether none is left."""
        return self._left <= 0


@dataclass
class Card:
    """The eSIM of one traveller: its number in the shop and at the supplier, and whether no more goes on it."""

    shop_id: str = ""
    number: str = ""
    over: bool = False


class Traveller(Buyer):
    """One person with an account; `tickets` are shared by all travellers, the card by the devices of one."""

    def __init__(self, scene: Scene, email: str, chance: Random, tickets: Tickets, card: Card | None = None) -> None:
        super().__init__(scene, email, chance)
        self._tickets = tickets
        self._card = card or Card()

    def travel(self) -> Steps[None]:
        """Buy an eSIM, make it an account, and renew for as long as there is something to renew."""
        yield from self.buy(self.chance.choice(RENEWABLE))
        while (link := self.scene.mailroom.claim_link(self.email)) is None:
            if self._tickets.gone:
                return
            yield 1.0
        page = yield from self._choose_password(link)
        found = re.search(r"/account/esims/([0-9A-Za-z]+)", page.text)
        if found is None:
            raise Lost(f"no eSIM on {page.path}: {page.heading}")
        self._card.shop_id = found[1]
        while not self._card.over and self._tickets.take():
            if self._happens(USES_DATA) and self._knows_card():
                # Switch the phone on; one that has used up everything uses nothing.
                self.scene.sandbox.esim_access.burn(self._card.number, percent=self.chance.uniform(1, 30))
            if self._happens(AT_ONCE) and self._tickets.take():
                chance = Random(self.chance.random())  # noqa: S311 - chaos that can be repeated, not a secret
                self.scene.crowd.join(f"{self.email} on the tablet", self._renew_elsewhere(chance))
            yield from self._renew()

    def _choose_password(self, link: str) -> Steps[Page]:
        page = yield from self.browser.open(link)
        if page.status != 410:
            page = yield from self.browser.send(page.forms()[0], {"password": PASSWORD})
        # A link that was used up by a request of which nobody saw the answer.
        return (yield from self._sign_in(self.browser)) if page.status == 410 else page

    def _sign_in(self, browser: Browser) -> Steps[Page]:
        page = yield from browser.open(f"/{self.language}/sign-in")
        if "/account" in page.path:
            return page
        page = yield from browser.send(page.form("/sign-in"), {"email": self.email, "password": PASSWORD})
        if "/account" not in page.path:
            raise Lost(f"not signed in: {page.path} ({page.status}) {page.heading}")
        return page

    def _renew_elsewhere(self, chance: Random) -> Steps[None]:
        """Renew the same eSIM from a second device, while the first one is at it."""
        other = Traveller(self.scene, self.email, chance, self._tickets, self._card)
        yield from other._sign_in(other.browser)
        yield from other._renew()

    def _renew(self) -> Steps[None]:
        intent = self.scene.ledger.add(self.email, "renewal")
        while not intent.paid and not self._card.over:
            # Led to an earlier renewal that was paid, of which the shop had not heard yet: then once more.
            yield from self._try_to_renew(intent)
            yield self.chance.uniform(0.5, 4)
        if not intent.paid:
            self._tickets.give_back()

    def _try_to_renew(self, intent: Intent) -> Steps[None]:
        address = f"/{self.language}/account/esims/{self._card.shop_id}/renewal"
        wanted = f"?again=1&plan={self.chance.choice(RENEWABLE)}&currency={self.chance.choice(CURRENCIES)}"
        page = yield from self.browser.open(address + wanted)
        for _ in range(MOST_LOOKS_AT_OFFERS):
            form = page.find_form("/renewal")
            if form is None and self._card.over:
                return
            if form is None:
                # The supplier did not say what this eSIM can be renewed with.
                yield self.chance.uniform(1, 4)
                page = yield from self.browser.open(address + wanted)
                continue
            yield self.chance.uniform(0, 1)
            page = yield from self.place(form)
            # 422: the eSIM has changed since the page was opened, and the new page says how.
            if page.status != 422:
                if self._happens(ENDS) and self._knows_card():
                    # From now on the supplier refuses: what is being paid for has to be paid back.
                    self.scene.sandbox.esim_access.make_non_rechargeable(self._card.number)
                    self._card.over = True
                yield from self.pay(intent, page, form)
                return
        raise Lost(f"cannot be renewed: {page.path} ({page.status}) {page.heading}")

    def _knows_card(self) -> bool:
        """Return whether it is known which eSIM of the supplier's this is: by an order that this person has seen."""
        if not self._card.number:
            orders = {intent.order for intent in self.scene.ledger.intents if intent.email == self.email}
            esims = self.scene.sandbox.esim_access.esims()
            mine = [esim for esim in esims if esim.transaction_id.partition("-")[0] in orders]
            self._card.number = mine[0].esim_tran_no if mine else ""
        return bool(self._card.number)
