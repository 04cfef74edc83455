"""What must be true after the restore, each as a check with the problems that were found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

from scripts.restore import books
from scripts.restore.books import OrderFacts, Outside
from scripts.restore.people import Customer, open_order
from scripts.restore.shop import Shop
from scripts.restore.story import Story


@dataclass(frozen=True)
class Check:
    """Something that must be so; `problems` is empty when it is."""

    what: str
    problems: list[str]


@dataclass(frozen=True)
class Moment:
    """Everything that is known at one moment."""

    orders: Mapping[str, OrderFacts]
    outside: Outside
    mails: Counter[tuple[str, str]]

    @classmethod
    def of(cls, shop: Shop) -> Moment:
        """Return what is known now."""
        return cls(books.orders(shop), books.outside(shop.sandbox), books.mails(shop))


def differences(was: OrderFacts, now: OrderFacts) -> list[str]:
    """Return in which facts an order that is back differs from what it was.

    Of one whose money is back in full, the eSIM is for a person (docs/operating.md).
    """
    if was.status == now.status == "refunded":
        was = replace(was, supplier_esim_id="", iccid="", fulfilment="refused")
    pairs = ((field.name, getattr(was, field.name), getattr(now, field.name)) for field in fields(was))
    return [f"{name} was {before!r}, is {after!r}" for name, before, after in pairs if before != after]


def orders_are_back(story: Story, backup: Moment, was: Moment, now: Moment) -> Iterable[Check]:
    """Return whether every order that was paid is back as it was, and none that was not."""
    paid = {number: facts for number, facts in was.orders.items() if facts.counts}
    lost = [number for number in paid if number not in backup.orders or not backup.orders[number].counts]
    missing = [f"{number} ({story.told[number]})" for number in paid if number not in now.orders]
    yield Check(f"{len(paid)} paid orders are there under their numbers, {len(lost)} of them of the lost hour", missing)
    changed = [
        f"{number} ({story.told[number]}): {difference}"
        for number, facts in paid.items()
        if number in now.orders and number not in story.later
        for difference in differences(facts, now.orders[number])
    ]
    yield Check("buyer, plan, price, consents, eSIM, delivery and refunds are as they were", changed)
    unfinished = [
        f"{number} ({story.told[number]}): {now.orders[number].state if number in now.orders else 'missing'}"
        for number in story.later
        if number not in now.orders or now.orders[number].state != "paid, verified"
    ]
    yield Check(f"{len(story.later)} that were paid meanwhile or later are delivered", unfinished)
    paid_by_nobody = [number for number in story.unpaid if number in now.orders and now.orders[number].counts]
    yield Check("what nobody paid is not delivered", paid_by_nobody)


def nothing_twice(story: Story, was: Moment, now: Moment) -> Iterable[Check]:
    """Return whether the outside world was asked for everything once."""
    charged = [
        f"{number}: {before} became {now.outside.money[number]}"
        for number, before in was.outside.money.items()
        if number not in story.later and now.outside.money[number] != before
    ]
    charged += [f"{number}: {each}" for number, each in now.outside.money.items() if each["charges"] > 1]
    yield Check("nothing was charged or refunded twice", charged)
    bought = [f"{reference}: {count} times" for reference, count in now.outside.bought.items() if count != 1]
    late = {f"{number}-1" for number in story.later}
    bought += [f"{each}: anew" for each in now.outside.bought.keys() - was.outside.bought.keys() - late]
    yield Check("nothing was ordered from the supplier twice", bought)
    grown = [
        f"{esim}: {before} became {now.outside.esims[esim]} (bytes, days, packages)"
        for esim, before in was.outside.esims.items()
        if now.outside.esims[esim] != before
    ]
    yield Check("every eSIM holds what it held: no top-up was added again", grown)
    unequal = [
        f"{number}: {kept(facts)} here, {at_stripe(now.outside, number)} at Stripe"
        for number, facts in now.orders.items()
        if kept(facts) != at_stripe(now.outside, number)
    ]
    yield Check("captured less refunded is the same here and at Stripe", unequal)


def kept(facts: OrderFacts) -> int:
    """Return what the shop has of an order by its own books, in minor units."""
    return facts.amount_minor - facts.refunded_minor if facts.payments else 0


def at_stripe(world: Outside, number: str) -> int:
    """Return what the shop has of an order by Stripe's books, in minor units."""
    money = world.money.get(number, {"captured": 0, "refunded": 0})
    return money["captured"] - money["refunded"]


def people_get_in(story: Story, old_links: Mapping[str, str], now: Moment) -> Iterable[Check]:
    """Return whether links of before open, codes are shown, and accounts can be entered."""
    closed, without_codes = [], []
    for number, link in old_links.items():
        facts = now.orders.get(number)
        page = open_order(story.shop, link) if facts is not None else None
        if page is None:
            closed.append(f"{number} ({story.told[number]})")
        elif facts is not None and shows_codes(facts) and not page.select(".qr svg"):
            without_codes.append(f"{number} ({story.told[number]})")
    yield Check(f"{len(old_links)} links in old mails open their orders", closed)
    yield Check("the pages of purchases show the QR codes", without_codes)
    yield Check("Ana is still signed in", [] if story.ana.is_signed_in() else ["she is not"])
    story.cleo.claim_account()
    cleo = Customer(story.shop, "Cleo")
    claimed = story.cleo.is_signed_in() and cleo.newest_claim_link() != ""
    yield Check(
        "Cleo's account, lost with its password, is hers by the link in the new mail", [] if claimed else ["no"]
    )


def shows_codes(facts: OrderFacts) -> bool:
    """Return whether the page of an order has to show how to install its eSIM."""
    return facts.kind == "purchase" and facts.status in ("paid", "part_refunded") and bool(facts.iccid)


def links_by_order(story: Story) -> dict[str, str]:
    """Return the link to each order as the first mail about it has it."""
    texts = [message.text for message in story.shop.sandbox.inbox.messages()]
    found: dict[str, str] = {}
    for text in texts:
        for link, number in re.findall(r"(http\S+/orders/([0-9A-Z]+)\?\S*key=\S+)", text):
            found.setdefault(number, link)
    return {number: link for number, link in found.items() if number in story.told}


def sent_again(backup: Moment, was: Moment, now: Moment) -> Counter[str]:
    """Return how many mails of each kind left a second time: the books do not know that they had left before."""
    since = now.mails - backup.mails
    return Counter(kind for number, kind in (since & (was.mails - backup.mails)).elements())
