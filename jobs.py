"""Huey: each task is one call of a service. The database is the truth, a task only a knock on the door.

A knock that is lost is made up for by the sweep, which looks for due rows every minute; losing the whole queue loses
nothing. Tasks take row ids and never raise for what the outside world does. While the database is away the worker goes
on: each task says so in one line, and the first sweep that reaches the database finds what is left.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from flask import Flask
from huey import Huey, RedisHuey, SqliteHuey, crontab

from config import Settings
from models import db
from services import usage
from services.database_faults import DATABASE_ERRORS, Fault, describe, fault_of, run_again
from services.fulfilment import due_fulfilments, fulfil, seconds_until_next_look
from services.late_orders import give_up_held
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
# What a sweep does, and to which rows.
SWEEPS: dict[str, tuple[Callable[[Shop, int], object], Callable[[Shop], Iterable[int]]]] = {
    "fulfilments": (fulfil, due_fulfilments),
    "refunds": (send_refund, due_refunds),
    "mails": (outbox.send, outbox.due),
}
# What happens by the clock beside the sweep of every minute. Reconciling deeply takes long and nobody waits for it.
PERIODIC: dict[str, tuple[Callable[[datetime], bool], dict[str, Callable[[Shop], object]]]] = {
    "reconcile": (crontab(minute="*/5"), {"reconcile": reconcile}),
    "reconcile_deep": (crontab(minute="33", hour="3"), {"reconcile --deep": partial(reconcile, deep=True)}),
    "sync_usage": (crontab(minute="*/10"), {"sync_usage": usage.sync, "send_reminders": send_reminders}),
    "cancel_abandoned": (
        crontab(minute="7"),
        {"cancel_abandoned": cancel_abandoned, "give_up_held": give_up_held},
    ),
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

    under_way = {name: threading.Lock() for name in SWEEPS}

    @queue.periodic_task(crontab(minute="*"), name="sweep")
    def sweep() -> None:
        for name, lock in under_way.items():
            _sweep_unless(app, name, lock)

    for name, (when, calls) in PERIODIC.items():
        queue.periodic_task(when, name=name)(_calling(app, calls))

    def knock(task: str, row_id: int) -> None:
        if task in LATER:
            later, seconds = LATER[task]
            work.schedule((later, row_id), delay=seconds(shop(), row_id))
        else:
            work(task, row_id)

    return knock


def sweep_once(shop: Shop) -> None:
    """Do everything that is due and whose knock was lost; one row that fails does not stop the others.

    A database that is away does: it is asked again by the next sweep. Does not raise for that, so that a worker may be
    started before its database.
    """
    with _left_to_the_sweep("what is due"):
        for work, due in SWEEPS.values():
            _each(shop, work, due(shop))


def _calling(app: Flask, calls: dict[str, Callable[[Shop], object]]) -> Callable[[], None]:
    def task() -> None:
        for what, call in calls.items():
            _do(app, what, call)

    return task


def _sweep_unless(app: Flask, name: str, under_way: threading.Lock) -> None:
    """Do what is due of one kind of row, unless an earlier sweep of this worker is still at it.

    So a supplier that lets every fulfilment wait holds up neither refunds nor mails, and sweeps do not pile up. The
    lock is the process's own: a worker that is killed leaves none behind.
    """
    if not under_way.acquire(blocking=False):
        return
    work, due = SWEEPS[name]
    try:
        _do(app, f"the sweep of {name}", lambda shop: _each(shop, work, due(shop)))
    finally:
        under_way.release()


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
            # Whatever state the session was left in, the next row begins with a clean one.
            db.session.rollback()
            fault = fault_of(error)
            if fault is Fault.UNREACHABLE:
                raise
            if fault is not None:
                log.warning("%s %s is left to the next sweep: %s", work.__name__, row_id, describe(error))
            else:
                log.exception("%s %s failed; the next sweep tries again", work.__name__, row_id)
