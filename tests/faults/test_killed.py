"""`kill -9` of the web server or the worker at each step of an order: the shop comes to the same end by itself.

A process dies at a failpoint, is started again as in production, and time passes until the leases of the dead one end.
Then the order is delivered, or refunded where the supplier has nothing: one charge, one order at the supplier, every
mail once. Only a mail whose sender died after it was taken may come twice, recognisably the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from models import Esim, Order, OrderKind, StripeEvent
from services.failpoints import NAMES
from tests import both_databases
from tests.faults import trade
from tests.faults.buyer import Buyer
from tests.faults.deaths import LEFT
from tests.faults.running_shop import RunningShop
from tests.forms import SentForm

COMPLETED = "checkout.session.completed"


class Way(StrEnum):
    """How an order gets to where the process dies."""

    CHECKOUT = "checkout"
    PURCHASE = "purchase"
    RENEWAL = "renewal"
    # The webhook is late: the buyer comes back first.
    RETURN = "return"
    # The supplier has nothing left: the money goes back.
    REFUSED = "refused"


BOUGHT = (Way.PURCHASE, Way.RENEWAL)
# Which ways lead past each failpoint.
WAYS: Mapping[str, tuple[Way, ...]] = {
    "start.intended": (Way.CHECKOUT,),
    "start.opened": (Way.CHECKOUT,),
    "webhook.noted": BOUGHT,
    "webhook.acted": BOUGHT,
    "settle.asked": (*BOUGHT, Way.RETURN),
    "settle.recorded": (*BOUGHT, Way.RETURN),
    "transaction.committed": (*BOUGHT, Way.RETURN, Way.REFUSED),
    "fulfil.claimed": BOUGHT,
    "fulfil.intended": BOUGHT,
    "fulfil.answered": BOUGHT,
    "fulfil.collected": (Way.PURCHASE,),
    "fulfil.stored": (Way.PURCHASE,),
    "fulfil.read": BOUGHT,
    "fulfil.confirmed": BOUGHT,
    "refund.requested": (Way.REFUSED,),
    "refund.claimed": (Way.REFUSED,),
    "refund.answered": (Way.REFUSED,),
    "refund.recorded": (Way.REFUSED,),
    "mail.claimed": BOUGHT,
    "mail.accepted": BOUGHT,
}
# These differ in nothing that a database does.
ON_SQLITE_ALONE = ("mail.", "refund.", "start.", "transaction.", "webhook.")


def deaths() -> Iterator[Any]:
    """Yield each failpoint with each way past it, on SQLite, and on PostgreSQL where that may make a difference."""
    for name in NAMES:
        for way in WAYS.get(name, ()):
            yield pytest.param(name, way, "sqlite", id=f"{name}-{way}-sqlite")
            if not name.startswith(ON_SQLITE_ALONE):
                yield pytest.param(name, way, "postgresql", marks=pytest.mark.postgresql, id=f"{name}-{way}-postgresql")


def test_every_failpoint_kills_somebody() -> None:
    """A new failpoint says here which ways lead past it and what is left behind by who dies at it."""
    assert set(WAYS) == set(LEFT) == set(NAMES)
    assert all(WAYS.values())


@pytest.mark.parametrize(("name", "way", "database"), list(deaths()), indirect=["database"])
def test_killed(running_shop: RunningShop, name: str, way: Way) -> None:
    """Whoever is killed at a failpoint leaves behind what its name says, and the next one brings it to its end."""
    death = die(running_shop, way, name)
    LEFT[name](running_shop, death.order)
    come_to_the_end(running_shop, way, death, mails_twice=name == "mail.accepted")


@pytest.mark.parametrize(
    ("way", "at"),
    [*((Way.PURCHASE, at) for at in (2, 4, 6, 8, 10, 12, 14)), *((Way.REFUSED, at) for at in (5, 7, 9))],
)
def test_killed_after_some_commit(running_shop: RunningShop, way: Way, at: int) -> None:
    """Between any two commits nothing is lost: whatever was to be told to another process is found by the sweep."""
    death = die(running_shop, way, "transaction.committed", at=at)
    LEFT["transaction.committed"](running_shop, death.order)
    come_to_the_end(running_shop, way, death)


@pytest.mark.parametrize("name", ["webhook.noted", "settle.recorded"])
def test_killed_twice_by_the_same_event(running_shop: RunningShop, name: str) -> None:
    """Stripe sends the event again until somebody lives through it."""
    death = die(running_shop, Way.PURCHASE, name)
    with killing(running_shop, name):
        (answer,) = running_shop.stripe.resend(running_shop.event(COMPLETED, death.session_id))
        assert answer.status is None
    LEFT[name](running_shop, death.order)
    come_to_the_end(running_shop, Way.PURCHASE, death)


@both_databases
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("fulfil.intended", Way.RENEWAL),
        ("fulfil.answered", Way.PURCHASE),
        ("fulfil.stored", Way.PURCHASE),
        ("refund.answered", Way.REFUSED),
    ],
)
def test_killed_twice_at_the_same_place(running_shop: RunningShop, name: str, way: Way) -> None:
    """The one that takes over dies, too; the third one brings it to its end."""
    death = die(running_shop, way, name)
    running_shop.end_leases()
    with killing(running_shop, name):
        running_shop.ring("sweep", wait=False)
    come_to_the_end(running_shop, way, death)


@both_databases
def test_everything_is_killed_again_and_again_while_a_crowd_is_served(running_shop: RunningShop) -> None:
    """The power fails twice: web server, worker and all that they are at are gone at once, wherever they are."""
    baskets = [trade.fill_basket(running_shop) for _buyer in range(6)]
    for group in (baskets[:3], baskets[3:]):
        sold = running_shop.supplier.counters()["orders_executed"]
        running_shop.at_once(*(partial(each.buyer.pay, each.session_id) for each in group))
        wait_until_sold(running_shop, sold + 1)
        for name in ("web", "worker"):
            running_shop.house.kill(name)
        running_shop.revive()
    # By then Stripe may have given up sending its events.
    trade.pass_time(running_shop, minutes=6)
    running_shop.reconcile()
    orders = [running_shop.row(basket.order) for basket in baskets]
    trade.go_on(running_shop, lambda: all(map(running_shop.is_delivered, orders)), "delivered")
    for order in orders:
        running_shop.money.check(order)
        assert running_shop.money.supplier_orders(order) == 1
        # Somebody may have died between the mail server's yes and our note of it.
        assert len(trade.arrivals(running_shop, order)) == running_shop.money.mails(order, "") == 2
    assert len(running_shop.supplier.esims()) == len(orders)


def wait_until_sold(running: RunningShop, orders: int) -> None:
    """Wait until the supplier has carried out so many orders."""
    running.wait_until(lambda: running.supplier.counters()["orders_executed"] >= orders, "the supplier sells something")


# How a process dies.


@dataclass(frozen=True)
class Death:
    """What was under way when a process died; `form` is what the buyer had sent who got no answer."""

    order: Order
    buyer: Buyer
    session_id: str = ""
    form: SentForm | None = None


def die(running: RunningShop, way: Way, name: str, *, at: int = 1) -> Death:
    """Bring an order to where somebody dies at a failpoint; all processes run again afterwards."""
    if way is Way.CHECKOUT:
        buyer = running.buyer()
        form = buyer.fill_in_checkout()
        with killing(running, name, at=at):
            buyer.send_in_vain(form)
        return Death(running.order_of(buyer), buyer, form=form)
    if way is Way.REFUSED:
        running.supplier.set_stock(trade.PLAN_CODE, 0)
    basket = trade.fill_basket(running, OrderKind.RENEWAL if way is Way.RENEWAL else OrderKind.PURCHASE)
    running.hold_events()
    with killing(running, name, at=at):
        assert basket.buyer.pay(basket.session_id, wait=False).payment_status == "paid"
        if way is Way.RETURN:
            with pytest.raises(httpx.TransportError):
                basket.buyer.come_back(basket.session_id)
        else:
            running.stripe.resend(running.event(COMPLETED, basket.session_id))
    return Death(running.row(basket.order), basket.buyer, basket.session_id)


@contextmanager
def killing(running: RunningShop, name: str, *, at: int = 1) -> Iterator[None]:
    """Let somebody die at a failpoint of what the block does, and start whoever died again."""
    running.arm(name, at=at)
    if name.startswith("mail."):
        yield
        running.wait_until_tripped()
        return
    # No mail may be on its way just when somebody dies of something else.
    running.inbox.server.down()
    try:
        yield
        running.wait_until_tripped()
    finally:
        running.inbox.server.up()


# How it ends.


def come_to_the_end(running: RunningShop, way: Way, death: Death, *, mails_twice: bool = False) -> None:
    """Let the outside world repeat what it repeats, and time pass; check that the order ends well, and stays so."""
    order = death.order
    if death.form is not None:
        pay_at_the_second_try(running, death, death.form)
    else:
        hear_of_it_again(running)
        assert order.public_id in death.buyer.come_back(death.session_id).text
    if way is Way.REFUSED:
        trade.refund(running, order, cause="refused")
    elif not mails_twice:
        trade.deliver(running, order)
    else:
        deliver_with_mails_twice(running, order)
    running.reconcile()
    trade.pass_time(running, minutes=10)
    if way is Way.REFUSED:
        trade.check_refunded(running, order, cause="refused")
        trade.check_mails(running, order, "receipt", "refund-")
    elif not mails_twice:
        trade.check_delivered(running, order)
        trade.check_mails(running, order, "receipt", trade.delivery_mail(order))
    assert len(running.rows(select(Esim))) == len(running.supplier.esims()) == int(way is not Way.REFUSED)
    assert running.rows(select(StripeEvent.id).where(StripeEvent.processed_at.is_(None))) == []


def pay_at_the_second_try(running: RunningShop, death: Death, form: SentForm) -> None:
    """Send the form again, as a buyer does whose page did not come: it is the same order, with one way to pay it."""
    session_id = death.buyer.session_of(death.buyer.send(form))
    assert [each["id"] for each in running.stripe.objects("cs")] == [session_id]
    assert running.order_of(death.buyer).id == death.order.id
    assert death.buyer.pay(session_id).payment_status == "paid"


def hear_of_it_again(running: RunningShop) -> None:
    """Let Stripe send again what nobody has confirmed."""
    running.stripe.webhooks.release()
    assert running.stripe.wait_for_webhooks(30)
    for event in running.stripe.webhooks.deliveries():
        if event["state"] != "delivered":
            running.stripe.resend(event["id"])


def deliver_with_mails_twice(running: RunningShop, order: Order) -> None:
    """Let all mails arrive, at least one of them twice and recognisably the same."""
    trade.go_on(running, partial(running.is_delivered, order), "delivered")
    running.money.check(order)
    arrived = trade.arrivals(running, order)
    assert len(arrived) == running.money.mails(order, "") == 2
    assert set(arrived.values()) <= {1, 2}
    assert 2 in arrived.values()
