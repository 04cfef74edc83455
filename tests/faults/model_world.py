"""The world of the model test: one shop, its outside world, and what may go wrong with either.

The shop is the real one, with its real clients over HTTP and SMTP. Only time is the test's own: everybody goes by one
clock, which stands still between the steps. Every step runs in a process of its own, which may die at a failpoint.
"""

from __future__ import annotations

import contextvars
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe
from flask import Flask
from flask.testing import FlaskClient
from huey import Huey
from sqlalchemy import delete
from werkzeug.test import TestResponse

from blueprints._web import limiter
from models import AuditEvent, CatalogueVersion, Plan, PlanCountry, PlanPrice, PlanText, Staff, db
from sandbox.server import Sandbox
from sandbox.store import Document
from sandbox.stripe.delivery import signature_header
from sandbox.stripe.errors import ApiError
from services import failpoints
from services.catalogue_sync import sync_catalogue
from services.reconcile import Report, reconcile
from services.shop import Shop
from services.supplier_webhooks import webhook_url
from services.suppliers import esim_access
from tests import running
from tests.clock import FakeClock
from tests.factories import Factories

START = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
# What stays when an example is over: what is for sale, and who sells it.
KEPT_TABLES = {
    model.__tablename__ for model in (AuditEvent, CatalogueVersion, Plan, PlanCountry, PlanPrice, PlanText, Staff)
}
# What the shop wants to hear of from Stripe.
HEARD = ("checkout.session.", "refund.", "charge.dispute.")
BROWSER = {"User-Agent": "Mozilla/5.0 (test)"}
# A page of the shop, and what it may answer while something outside is down.
ANSWERS = (200, 204, 303, 404, 409, 410, 422, 503)
MOST_TASKS = 500


class Died(BaseException):
    """The process is gone: no `except Exception` of the shop hears of it."""


class LoggedErrors(logging.Handler):
    """Collects what the shop logs with a traceback: an exception that somebody has swallowed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record when it carries an exception."""
        if record.exc_info is not None and record.exc_info[0] is not None:
            self.found.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


class ModelWorld:
    """The shop and everybody around it; each method is one thing that happens to them."""

    def __init__(self, app: Flask, sandbox: Sandbox, clock: FakeClock) -> None:
        self.app = app
        self.stripe = sandbox.stripe
        self.supplier = sandbox.esim_access
        self.mail_server = sandbox.inbox.server
        self.inbox = sandbox.inbox
        self.sandbox = sandbox
        self.clock = clock
        self.shop: Shop = app.extensions["shop"]
        self.queue: Huey = app.extensions["queue"]
        self.errors = LoggedErrors()
        # What has happened in all examples together, to see that the model does not walk past what it is for.
        self.happened: Counter[str] = Counter()
        # Failpoints at which the next process dies, and those at which somebody else does something meanwhile.
        self.deadly: set[str] = set()
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.refused_for_good = 0
        self.staff_id = 0

    def begin(self) -> None:
        """Begin anew: empty books, stand-ins without a memory, nothing wrong, the clock at START."""
        self.deadly.clear()
        self.meanwhile.clear()
        self.refused_for_good = 0
        self.errors.found.clear()
        self.clock.set(START)
        running.empty_sandbox(self.sandbox)
        self.stripe.webhooks.hold()
        self.supplier.webhooks.set_url(self.supplier_address)
        self.supplier.webhooks.hold()
        with self.app.app_context(), db.engine.begin() as connection:
            for table in reversed(db.metadata.sorted_tables):
                if table.name not in KEPT_TABLES:
                    connection.execute(delete(table))
        self.queue.flush()

    @property
    def supplier_address(self) -> str:
        """Return the address that the supplier calls."""
        return webhook_url(self.shop.settings, self.shop.supplier.code)

    # Processes of the shop.

    @contextmanager
    def process(self) -> Iterator[None]:
        """Run the block as one process of the shop; when it dies, what it has committed stays and nothing else."""
        try:
            with self.app.app_context():
                yield
        except Died as death:
            self.happened[f"a process died at {death}"] += 1

    def reached(self, name: str) -> None:
        """Do what is to be done at a failpoint: nothing, something by somebody else, or die; called by the shop."""
        action = self.meanwhile.pop(name, None)
        if action is not None:
            self.happened[f"somebody else came in between at {name}"] += 1
            action()
        if name in self.deadly:
            self.deadly.discard(name)
            raise Died(name)

    def ask(self, client: FlaskClient, method: str, url: str, **options: Any) -> TestResponse | None:
        """Return the shop's answer to a request; None when its process died over it."""
        path = url.removeprefix(self.shop.settings.shop_url)
        headers = {**BROWSER, **options.pop("headers", {})}
        try:
            # In a context of its own, as a server would.
            answer: TestResponse = contextvars.Context().run(
                lambda: client.open(path, method=method, headers=headers, **options)
            )
        except Died as death:
            self.happened[f"a process died at {death}"] += 1
            return None
        assert answer.status_code in ANSWERS, f"{method} {path} answered {answer.status}"
        return answer

    def hear_from_stripe(self, event: Document) -> None:
        """Deliver an event, signed as Stripe signs."""
        payload = json.dumps(event, indent=2).encode()
        header = signature_header(payload, [self.shop.settings.stripe.webhook_secret], int(time.time()))
        headers = {"Stripe-Signature": header, "Content-Type": "application/json"}
        self.ask(self.app.test_client(), "POST", "/webhooks/stripe", data=payload, headers=headers)

    def hear_from_supplier(self, notice: Document) -> None:
        """Deliver a notification of the supplier, who does not sign."""
        self.ask(self.app.test_client(), "POST", urlsplit(self.supplier_address).path, json=notice)

    def take_knock(self) -> bool:
        """Let the worker take the oldest knock that is due; return whether there was one."""
        for task in self.queue.read_schedule((self.clock.now()).replace(tzinfo=None)):
            self.queue.enqueue(task)
        task = self.queue.dequeue()
        if task is not None:
            with self.process():
                task.execute()
        return task is not None

    def take_all_knocks(self) -> None:
        """Let the worker take every knock that is due, and those that come of it."""
        taken = 0
        while self.take_knock():
            taken += 1
            assert taken < MOST_TASKS, "the queue never empties"

    def do_round(self, name: str) -> None:
        """Let the worker do one of its periodic tasks (jobs.PERIODIC and the sweep)."""
        (task,) = [task for task in self.queue._registry.periodic_tasks if task.name == name]
        with self.process():
            task.execute()

    def reconcile(self, *, deep: bool = False) -> Report:
        """Return what reconciling comes to; nothing may die here."""
        with self.app.app_context():
            return reconcile(self.shop, deep=deep)

    def lose_queue(self) -> None:
        """Lose every knock."""
        self.queue.flush()

    # Time, and what is wrong outside.

    def pass_time(self, delta: timedelta) -> None:
        """Let time go by for everybody, with nobody at work; what ends by itself in that time ends."""
        # Under the lock, so that the stand-in's own clockwork does not do it a moment later.
        with self.stripe.account.lock:
            self.clock.advance(seconds=delta.total_seconds())
            self.stripe.advance(timedelta())
        self.supplier.esims()

    def events(self) -> list[Document]:
        """Return the events of Stripe's that the shop wants to hear of, oldest first."""
        return [event for event in self.stripe.objects("evt") if event["type"].startswith(HEARD)]

    def refuse_mails(self, count: int, kind: str, stage: str) -> None:
        """Refuse the next mails for now ("temporary") or for good."""
        self.mail_server.refuse(count, kind=kind, stage=stage)
        self.refused_for_good += count if kind == "permanent" else 0

    def let_refunds_take_days(self) -> None:
        """Let refunds be pending at first from now on."""
        self.stripe.account.refund_status = "pending"

    def mend(self) -> None:
        """End everything that is wrong; what the supplier will never hand out stays that way."""
        self.deadly.clear()
        self.meanwhile.clear()
        self.stripe.faults.clear()
        self.stripe.account.refund_status = "succeeded"
        self.supplier.faults.clear()
        self.supplier.set_allocation(seconds=0, polls=0, held=False)
        self.mail_server.behave()
        self.mail_server.up()

    def let_banks_decide(self) -> None:
        """Let every debit and every refund that is under way arrive."""
        account = self.stripe.account
        for session in account.of("cs").all():
            if session["status"] == "complete" and session["payment_status"] == "unpaid":
                with suppress(ApiError):
                    self.stripe.settle_async_payment(session["id"], succeeded=True)
        for refund in account.of("re").all():
            if refund["status"] in ("pending", "requires_action"):
                self.stripe.settle_refund(refund["id"], "succeeded")


@contextmanager
def one_time_for_all(world: ModelWorld) -> Iterator[None]:
    """Let everybody go by the test's clock while the block runs."""

    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return world.clock.now().astimezone(tz)

    clocks = (world.stripe.account.clock, world.supplier.clock)
    patch = pytest.MonkeyPatch()
    # The supplier's adapter asks for the orders of the last days.
    patch.setattr(esim_access, "datetime", Now)
    for clock in clocks:
        clock.follow(world.clock.now)
    try:
        yield
    finally:
        patch.undo()
        for clock in clocks:
            clock.follow(None)


@contextmanager
def model_world(app: Flask, sandbox: Sandbox, clock: FakeClock) -> Iterator[ModelWorld]:
    """Give a world for all examples, without what only slows it down: pauses, limits, form tokens."""
    world = ModelWorld(app, sandbox, clock)
    patch = pytest.MonkeyPatch()
    patch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    patch.setattr(limiter, "enabled", False)
    patch.setitem(app.config, "WTF_CSRF_ENABLED", False)
    failpoints.listen(world.reached)
    logging.getLogger().addHandler(world.errors)
    try:
        with one_time_for_all(world):
            with app.app_context():
                sync_catalogue(world.shop)
                world.staff_id = Factories(world.shop).make_staff(password_hash=None).id
            yield world
    finally:
        logging.getLogger().removeHandler(world.errors)
        failpoints.listen(None)
        patch.undo()
        world.mail_server.up()
