"""How many SQL statements a page costs, seen from inside an instance of the shop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from bench.client import Answer, Page
from bench.world import World
from models import db

# A transaction's frame is no question to the database.
_FRAME = ("begin", "commit", "rollback")


@dataclass(frozen=True)
class Statements:
    """The statements of the first request for a page in a fresh process, and of the next one."""

    cold: int
    warm: int


def count_statements(world: World, page: Page) -> Statements:
    """Return what `page` asks the database; raises WrongAnswer when it is not the right page."""
    app = world.app()
    client = app.test_client(use_cookies=False)
    with _collected(app) as statements:
        _get(client, page)
        cold = len(statements)
        _get(client, page)
    return Statements(cold, len(statements) - cold)


def _get(client: FlaskClient, page: Page) -> None:
    response = client.get(page.path, headers=page.all_headers())
    headers = {name.lower(): value for name, value in response.headers}
    Answer(response.status_code, headers, response.data).check(page)


@contextmanager
def _collected(app: Flask) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.lower().startswith(_FRAME):
            statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)
        engine.dispose()
