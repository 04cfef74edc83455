"""What a process of the shop is started with in place of `wsgi` and `app`: the same shop, and levers for the tests.

Never imported by a test. The shop is made by wsgi.py itself; what differs is only this:

* its clock is the machine's plus what the test has moved it on by;
* somebody listens to the failpoints and kills the process at the one that is armed;
* it waits for an answer of Stripe's not as long as in production, so that a test can have Stripe say nothing;
* the web server starts a process again however often it dies, where granian gives up when one dies twice in seconds;
* the worker looks into its queue more often, and does the periodic work when a test rings for it, not by the minute;
* templates are compiled by the process that is started first, and not again by each that follows.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import stripe
from flask import Flask
from granian.server.common import AbstractServer
from huey import Huey, signals
from huey.api import Task
from jinja2 import FileSystemBytecodeCache

from services import clock, failpoints
from services.payments import stripe_gateway
from tests.faults.levers import Levers, MovedClock

STRIPE_TIMEOUT = (3.05, 3)
LOOK_EVERY_SECONDS = 0.05

levers = Levers(Path(os.environ["INSTANCE"]))
clock.SystemClock = partial(MovedClock, levers)  # type: ignore[assignment, misc]
stripe_gateway.TIMEOUT = STRIPE_TIMEOUT
stripe.HTTPClient.INITIAL_DELAY = 0.05
failpoints.listen(levers.reached)
templates = Path(os.environ["INSTANCE"]) / "templates"
templates.mkdir(exist_ok=True)
Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache(str(templates))}
# When it started whom again is what granian tells a crash loop by.
AbstractServer.respawned_wrks = property(lambda _server: {}, lambda _server, _times: None)  # type: ignore[assignment]

from wsgi import application  # noqa: E402 - after everything that it is to be made with


def note_tasks(queue: Huey) -> None:
    """Tell the test what the worker is at."""

    @queue.signal(signals.SIGNAL_EXECUTING)
    def begin(_signal: str, task: Task) -> None:
        levers.begin(task.id)

    @queue.signal(signals.SIGNAL_COMPLETE, signals.SIGNAL_ERROR, signals.SIGNAL_INTERRUPTED)
    def end(_signal: str, task: Task, *_error: object) -> None:
        levers.end(task.id)

    queue.on_startup()(levers.say_ready)


queue: Huey = application.extensions["queue"]
note_tasks(queue)
queue.create_consumer = partial(
    lambda create, **options: create(**{**options, "periodic": False, "max_delay": LOOK_EVERY_SECONDS}),
    queue.create_consumer,
)
