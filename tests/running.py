"""Running what the shop runs as processes: its worker's queue and its web server, inside the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from flask import Flask
from sqlalchemy import event
from werkzeug.serving import WSGIRequestHandler, make_server

from models import db
from sandbox.server import Sandbox

MOST_TASKS = 500


def run_jobs(app: Flask, now: datetime) -> int:
    """Do every task that waits in the queue and is due at `now`, also those that they add; return how many.

    What a task raises reaches the test.
    """
    queue = app.extensions["queue"]
    # Huey reckons in UTC without a zone; a second more, because the test's clock stands while Huey's goes on.
    moment = (now + timedelta(seconds=1)).replace(tzinfo=None)
    done = 0
    while True:
        for task in queue.read_schedule(moment):
            queue.enqueue(task)
        task = queue.dequeue()
        if task is None:
            db.session.rollback()
            db.session.expire_all()
            return done
        task.execute()
        done += 1
        assert done < MOST_TASKS, "the queue never empties"


@contextmanager
def serve(app: Flask, port: int) -> Iterator[None]:
    """Answer on 127.0.0.1 while the block runs."""
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep the test's output quiet."""


def empty_sandbox(sandbox: Sandbox) -> None:
    """Forget everything in all stand-ins and let them behave."""
    sandbox.stripe.webhook_url = ""
    sandbox.stripe.reset()
    sandbox.esim_access.reset()
    sandbox.esim_access.set_allocation(seconds=0, polls=0, held=False)
    sandbox.inbox.server.behave()
    sandbox.inbox.clear()


@contextmanager
def count_statements() -> Iterator[list[str]]:
    """Yield a list that grows by every SQL statement of the shop's engine while the block runs.

    Without what depends on the time and not on the page: the page cache reads its version once a second.
    """
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("begin") and "FROM catalogue_version" not in statement:
            statements.append(statement)

    engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)
