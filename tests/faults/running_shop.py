"""The running shop: its processes, its sandbox, its database, and what a test does with all of it.

    def test_something(running_shop: RunningShop) -> None:
        buyer = running_shop.buyer()
        order = buyer.buy()
        running_shop.wait_until(lambda: running_shop.is_verified(order), "the eSIM is there")

After each test the books of all orders are looked over (`books.look_over`); before each test everything is emptied.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

from flask import Flask
from huey import Huey
from sqlalchemy import Table, delete, insert, select, update

from models import (
    AuditEvent,
    CatalogueVersion,
    Esim,
    FulfilmentStatus,
    Mail,
    MailStatus,
    Order,
    OrderStatus,
    PlanPrice,
    db,
)
from sandbox.server import Sandbox
from services import fulfilment
from services.catalogue import move_catalogue_version
from services.mail import outbox
from services.payments import refunds
from services.shop import Shop
from services.supplier_webhooks import webhook_url
from tests import running
from tests.faults.buyer import Buyer
from tests.faults.house import House, is_alive, wait_until
from tests.faults.levers import Levers, MovedClock
from tests.money_world import MoneyWorld

Result = TypeVar("Result")

# What a shop sells, and its staff, stay; whatever else is a row belongs to one test.
KEPT = ("plans", "plan_countries", "plan_prices", "plan_texts")
RETRIES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
CALM_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a test expects to find in the books of one order beside what is always so.

    `kept` is what the shop keeps of the money, in minor units; None for the price or nothing.
    """

    charges: int | None = None
    kept: int | None = None


class RunningShop:
    """One shop as it runs in production; `app` is a further process of it, inside the test.

    `house` starts and kills processes, `money` reads rows and knows Stripe's and the supplier's side, `sandbox` makes
    things go wrong.
    """

    def __init__(self, app: Flask, sandbox: Sandbox, house: House, levers: Levers) -> None:
        self.app = app
        self.sandbox = sandbox
        self.stripe = sandbox.stripe
        self.supplier = sandbox.esim_access
        self.inbox = sandbox.inbox
        self.house = house
        self.clock = MovedClock(levers)
        self.shop: Shop = app.extensions["shop"]
        self.url = self.shop.settings.shop_url
        self.expected: dict[str, Expectation] = {}
        self.may_fail: list[str] = []
        self._levers = levers
        self._numbers = count(1)
        self._queue: Huey = app.extensions["queue"]
        self._shelf = self._read_shelf()
        # Both are asked for with every test, and are more than a page long.
        self.money = MoneyWorld(app, sandbox, self.clock)
        self.factories = self.money.factories

    # People.

    def buyer(self, **options: Any) -> Buyer:
        """Return somebody with a browser, an address and an IP address of their own."""
        number = next(self._numbers)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        return Buyer(self.url, self.sandbox, f"buyer{number}@example.com", address, **options)

    def owner(self) -> tuple[Buyer, Esim]:
        """Return a buyer who is signed in, and the eSIM of a first order that went well."""
        buyer = self.buyer()
        buyer.buy()
        order = self.order_of(buyer)
        self.wait_until_delivered(order)
        buyer.claim_account()
        return buyer, self.money.esim_of(order)

    def order_of(self, buyer: Buyer) -> Order:
        """Return the only order that was placed with a buyer's address."""
        (order,) = self.orders_of(buyer)
        return order

    def orders_of(self, buyer: Buyer) -> Sequence[Order]:
        """Return the orders that were placed with a buyer's address, oldest first."""
        return self.rows(select(Order).where(Order.email == buyer.email).order_by(Order.id))

    # What happens by itself, later.

    def advance(self, **delta: float) -> None:
        """Move the clock of all processes on, as in `advance(minutes=3)`; Stripe and the supplier go by the same."""
        self.clock.advance(**delta)

    def sweep(self) -> None:
        """Let the worker do what it does every minute, to the end."""
        self.ring("sweep")

    def reconcile(self) -> None:
        """Let the worker put our books beside Stripe's, as every five minutes, to the end."""
        self.ring("reconcile")

    def ring(self, name: str, *, wait: bool = True) -> str:
        """Let the worker do a periodic task now and, if so wished, wait for its end; returns the task's id."""
        (task,) = [task for task in self._queue._registry.periodic_tasks if type(task).__name__ == name]
        rung = type(task)()
        self._queue.enqueue(rung)
        if wait:
            self.wait_for_task(rung.id)
        return str(rung.id)

    def wait_for_task(self, task_id: str) -> None:
        """Wait for the end of a task that was rung for."""
        self.money.fresh()
        wait_until(lambda: self._levers.is_done(task_id), "the worker does its task")

    def calm(self) -> None:
        """Wait until no event is on its way, nothing is in the queue and the worker is at nothing.

        What waits for its time stays: mails and refunds between two tries, orders that the supplier lets wait.
        """
        # Whoever only waits holds no transaction open.
        self.money.fresh()
        wait_until(self._is_calm, "the shop comes to rest", CALM_SECONDS)

    def wait_until(self, condition: Callable[[], object], what: str, patience: float = 30) -> None:
        """Look at fresh rows until the condition holds."""

        def look() -> object:
            self.money.fresh()
            return condition()

        wait_until(look, what, patience)

    def set_price(self, amount_minor: int) -> None:
        """Let every plan cost this much in every currency, until the test is over; in minor units."""
        with self.shop.transaction() as session:
            session.execute(update(PlanPrice).values(amount_minor=amount_minor))
            move_catalogue_version(session)

    # Processes that die.

    def arm(self, name: str, *, at: int = 1, raising: bool = False) -> None:
        """Let the process that is the `at`-th to reach a failpoint be killed there, once; or raise instead."""
        self._levers.arm(name, at=at, raising=raising)

    def wait_until_tripped(self) -> None:
        """Wait until every armed failpoint was reached; whatever died of it is gone then, and runs again."""
        self.money.fresh()
        wait_until(lambda: not self._levers.is_armed(), "the armed failpoint is reached")
        self.revive()

    def revive(self) -> None:
        """Start again whatever has ended; the web server starts its own processes again by itself."""
        self.money.fresh()
        for process_id in self._levers.dead():
            wait_until(lambda gone=process_id: self._is_gone(gone), "the killed process is gone")  # type: ignore[misc]
        self.house.revive()

    def end_leases(self) -> None:
        """Let so much time pass that whatever a dead process was at may be taken up by another one."""
        self.clock.set(self.clock.now() + max(fulfilment.LEASE, outbox.LEASE, refunds.WAIT) + timedelta(seconds=1))

    # What has come of it.

    def rows(self, statement: Any) -> Sequence[Any]:
        """Return rows as the database holds them now."""
        self.money.fresh()
        return db.session.scalars(statement).all()

    def row(self, order: Order) -> Order:
        """Return an order as it is now."""
        return self.money.row(Order, order.id)

    def is_paid(self, order: Order) -> bool:
        """Return whether an order is paid and nothing went back."""
        return self.row(order).status is OrderStatus.PAID

    def is_delivered(self, order: Order) -> bool:
        """Return whether an order is verified and all mails about it have left."""
        if not self.is_paid(order) or self.money.fulfilment(order).status is not FulfilmentStatus.VERIFIED:
            return False
        return self.mails_have_left()

    def mails_have_left(self) -> bool:
        """Return whether no mail waits."""
        return not self.rows(select(Mail.id).where(Mail.status != MailStatus.SENT))

    def wait_until_delivered(self, *orders: Order) -> None:
        """Wait until these orders are verified and all mails have left."""
        for order in orders:
            self.wait_until(lambda wanted=order: self.is_delivered(wanted), "the order is delivered")  # type: ignore[misc]

    def event(self, kind: str, about: str) -> str:
        """Return the identity of the event of a type about an object at Stripe, as its id names it."""
        events = [each for each in self.stripe.objects("evt") if each["type"] == kind]
        (event,) = [each["id"] for each in events if each["data"]["object"]["id"] == about]
        return str(event)

    def hold_events(self) -> None:
        """Keep all events of Stripe's back, until the test sends those that it wants to be heard of."""
        self.stripe.webhooks.hold()

    def expect(self, order: Order, **values: Any) -> None:
        """Say what the books of an order will hold at the end beside what is always so (see `Expectation`)."""
        self.expected[order.public_id] = Expectation(**values)

    # At once.

    def at_once(self, *calls: Callable[[], Result]) -> list[Result]:
        """Make all calls at the same moment, each in a thread of its own; return their results in their order."""
        ready = threading.Barrier(len(calls))
        results: dict[int, Result] = {}
        errors: list[BaseException] = []

        def run(number: int, call: Callable[[], Result]) -> None:
            with self.app.app_context():
                ready.wait(10)
                try:
                    results[number] = call()
                except BaseException as error:  # noqa: BLE001 - raised in the test's own thread below
                    errors.append(error)

        threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        assert not any(thread.is_alive() for thread in threads), "a call hangs"
        if errors:
            raise errors[0]
        return [results[number] for number in range(len(calls))]

    # Before and after.

    def empty(self) -> None:
        """Forget all orders and all that belongs to them, here and in the sandbox; everything behaves again."""
        self.money.fresh()
        self._levers.reset()
        self._queue.flush()
        self._empty_tables()
        self.expected.clear()
        self.may_fail.clear()
        running.empty_sandbox(self.sandbox)
        for stand_in in (self.stripe.account, self.supplier):
            stand_in.clock.follow(self.clock.now)
        self.stripe.account.refund_status = "succeeded"
        self.stripe.webhooks.retry_delays = RETRIES
        self.stripe.webhooks.secrets = [self.sandbox.settings.stripe_webhook_secret]
        self.stripe.webhook_url = f"{self.url}/webhooks/stripe"
        self.supplier.webhooks.set_url(webhook_url(self.shop.settings, self.shop.supplier.code))
        for name in ("web", "worker"):
            self.house.news(name)

    def _empty_tables(self) -> None:
        with self.shop.transaction() as session:
            for table in reversed(db.metadata.sorted_tables):
                if table.name not in (*KEPT, CatalogueVersion.__tablename__, AuditEvent.__tablename__):
                    session.execute(delete(table))
        if self._read_shelf() != self._shelf:
            with self.shop.transaction() as session:
                for table in reversed(self._shelf_tables()):
                    session.execute(delete(table))
                for table in self._shelf_tables():
                    session.execute(insert(table), self._shelf[table.name])
                move_catalogue_version(session)

    def _shelf_tables(self) -> list[Table]:
        return [table for table in db.metadata.sorted_tables if table.name in KEPT]

    def _read_shelf(self) -> dict[str, list[dict[str, Any]]]:
        """Return everything that is for sale, to notice and undo what a test changes about it."""
        shelf = {
            table.name: [dict(row) for row in db.session.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in self._shelf_tables()
        }
        db.session.rollback()
        return shelf

    def _is_calm(self) -> bool:
        def at_rest() -> bool:
            worker = self.house.process_id("worker")
            return self._queue.pending_count() == 0 and not self._levers.is_busy(worker)

        if not (self.stripe.wait_for_webhooks(0) and self.supplier.webhooks.wait_idle(0.01)):
            return False
        # Twice, because between the queue and the worker a task is in neither for a moment.
        return at_rest() and not wait_a_moment() and at_rest()

    def _is_gone(self, process_id: int) -> bool:
        # One that has ended is a process until its parent has asked how.
        return not is_alive(process_id) or not self.house.runs("worker")


def wait_a_moment() -> bool:
    """Let other threads and processes get on for 20 ms."""
    return threading.Event().wait(timedelta(milliseconds=20).total_seconds())
