"""Huey: each task is one call of a service. The database is the truth, a task only a knock on the door.

A knock that is lost is made up for by the sweep, which looks for due rows every minute; losing the whole queue loses
nothing. Tasks take row ids and never raise for what the outside world does. While the database is away the worker goes
on: each task says so in one line, and the first sweep that reaches the database finds what is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from flask import Flask
from huey import Huey, RedisHuey, SqliteHuey, crontab

from config import Settings
from models import db
from services import usage
from services.database_faults import DATABASE_ERRORS, Fault, describe, fault_of, run_again
from services.fulfilment import due_fulfilments, fulfil, seconds_until_next_look
from services.mail import outbox
from services.mail.reminders import send_reminders
from services.payments.abandoned import cancel_abandoned
from services.payments.refunds import due_refunds, send_refund
from services.reconcile import reconcile
from services.shop import Shop

log = logging.getLogger(__name__)

TASKS: dict[str, Callable[[Shop, int], object]] = {
    "fulfil": fulfil,
    "send_mail": outbox.send,
    "send_refund": send_refund,
    "read_usage": partial(usage.read, force=True),
}
# These wait for the moment that their row names.
LATER = {"fulfil_later": ("fulfil", seconds_until_next_look)}


def create_queue(settings: Settings) -> Huey:
    """Return the queue: Redis where REDIS_URL is set, a SQLite file in INSTANCE otherwise."""
    if settings.redis_url:
        return RedisHuey("shop", url=settings.redis_url, results=False)
    return SqliteHuey("shop", filename=str(settings.instance / "queue.sqlite3"), results=False)


def register_tasks(queue: Huey, app: Flask) -> Callable[[str, int], None]:
    """Tell the queue what each task does, and return the function that knocks for one row."""

    def shop() -> Shop:
        bundle: Shop = app.extensions["shop"]
        return bundle

    @queue.task(name="work")
    def work(task: str, row_id: int) -> None:
        _do(app, f"{task} {row_id}", lambda shop: TASKS[task](shop, row_id))

    @queue.periodic_task(crontab(minute="*"), name="sweep")
    def sweep() -> None:
        _do(app, "the sweep", sweep_once)

    @queue.periodic_task(crontab(minute="*/5"), name="reconcile")
    def reconcile_with_stripe() -> None:
        _do(app, "reconcile", reconcile)

    @queue.periodic_task(crontab(minute="*/10"), name="sync_usage")
    def sync_usage() -> None:
        _do(app, "sync_usage", usage.sync)
        _do(app, "send_reminders", send_reminders)

    @queue.periodic_task(crontab(minute="7"), name="cancel_abandoned")
    def cancel_unpaid_orders() -> None:
        _do(app, "cancel_abandoned", cancel_abandoned)

    def knock(task: str, row_id: int) -> None:
        if task in LATER:
            name, seconds = LATER[task]
            work.schedule((name, row_id), delay=seconds(shop(), row_id))
        else:
            work(task, row_id)

    return knock


def sweep_once(shop: Shop) -> None:
    """Do everything that is due and whose knock was lost; one row that fails does not stop the others.

    A database that is away does: it is asked again by the next sweep. Does not raise for that, so that a worker may be
    started before its database.
    """
    with _left_to_the_sweep("what is due"):
        _each(shop, fulfil, due_fulfilments(shop))
        _each(shop, send_refund, due_refunds(shop))
        _each(shop, outbox.send, outbox.due(shop))


def _do(app: Flask, what: str, call: Callable[[Shop], object]) -> None:
    """Call a service, beginning anew what the database has undone; any other fault of it is left to the sweep.

    What has claimed its row by then is not done twice: the claim stands until its lease ends.
    """

    def once() -> None:
        with app.app_context():
            call(app.extensions["shop"])

    with _left_to_the_sweep(what):
        run_again(once)


@contextmanager
def _left_to_the_sweep(what: str) -> Iterator[None]:
    """Say in one line that the database did not do its part; anything else is raised."""
    try:
        yield
    except DATABASE_ERRORS as error:
        if fault_of(error) is None:
            raise
        log.warning("%s is left to the next sweep: %s", what, describe(error))


def _each(shop: Shop, work: Callable[[Shop, int], object], row_ids: Iterable[int]) -> None:
    for row_id in row_ids:
        try:
            work(shop, row_id)
        except Exception as error:
            # Whatever state it was left in, the next row begins with a session of its own.
            db.session.remove()
            fault = fault_of(error)
            if fault is Fault.UNREACHABLE:
                raise
            if fault is not None:
                log.warning("%s %s is left to the next sweep: %s", work.__name__, row_id, describe(error))
            else:
                log.exception("%s %s failed; the next sweep tries again", work.__name__, row_id)
