"""What else happens to a database while the shop is at it: rivals that hold locks, connections that are ended.

Nothing of the shop is replaced: its engine only says which statement it is about to run, and what is done then is done
to the database itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from sqlalchemy import Connection, event, make_url

from models import db

PATIENCE = 20
Act = Callable[[Connection], None]


class Rival:
    """Somebody else who writes to the shop's PostgreSQL database, in a transaction that the test ends."""

    def __init__(self, database_url: str, stack: ExitStack) -> None:
        address = make_url(database_url).set(drivername="postgresql", query={})
        self._dsn = address.render_as_string(hide_password=False)
        self._onlooker = stack.enter_context(psycopg.connect(self._dsn, autocommit=True))
        self._connection = stack.enter_context(psycopg.connect(self._dsn))
        self._pid = self._connection.info.backend_pid
        # Of two that wait for each other, PostgreSQL ends the one that looks first: it shall not be this one.
        self.run("set deadlock_timeout = '1min'")
        self._connection.commit()

    def run(self, statement: str, *values: object) -> None:
        """Run a statement in the transaction under way."""
        self._connection.execute(statement.encode(), values)

    def run_until_blocked(self, statement: str, *values: object) -> None:
        """Run a statement that somebody else keeps waiting, and return as soon as it waits; it is undone at its end."""

        def wait() -> None:
            self.run(statement, *values)
            self._connection.rollback()

        threading.Thread(target=wait, daemon=True).start()
        self._wait_until("cardinality(pg_blocking_pids(%s)) > 0", self._pid)

    def commit_when_in_the_way(self) -> None:
        """Commit, in the background, as soon as somebody waits for this transaction."""

        def wait() -> None:
            blocked = "select count(*) from pg_stat_activity where %s = any(pg_blocking_pids(pid))"
            self._wait_until(f"({blocked}) > 0", self._pid)
            self._connection.commit()

        threading.Thread(target=wait, daemon=True).start()

    def give_way(self) -> None:
        """Undo the transaction."""
        self._connection.rollback()

    def end_all(self) -> None:
        """End every connection but those of this rival, as an administrator does."""
        self._onlooker.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid not in (pg_backend_pid(), %s)",
            [self._pid],
        )

    def set_database(self, clause: str) -> None:
        """Change how the database takes new connections, as in `set_database("allow_connections false")`."""
        # Not from inside: a database does not lock out whoever asks for it.
        with psycopg.connect(self._dsn, dbname="postgres", autocommit=True) as outside:
            outside.execute(f'alter database "{self._onlooker.info.dbname}" {clause}'.encode())

    def _wait_until(self, condition: str, *values: object) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            row = self._onlooker.execute(f"select {condition}".encode(), values).fetchone()
            if row is not None and row[0]:
                return
            assert time.monotonic() < deadline, f"waited in vain for {condition}"
            time.sleep(0.01)


def end_connection(connection: Connection) -> None:
    """End a connection of the shop from the server's side, as an administrator or a restart does; return when it is."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    info = raw.info
    with psycopg.connect(
        host=info.host,
        port=info.port,
        user=info.user,
        password=info.password or None,
        dbname="postgres",
        autocommit=True,
    ) as onlooker:
        onlooker.execute("select pg_terminate_backend(%s, 5000)", [info.backend_pid])


@contextmanager
def at_statement(words: str, act: Act) -> Iterator[list[str]]:
    """Do something the first time that the shop is about to run a statement with these words.

    Yields a list that holds the statement from then on.
    """
    done: list[str] = []

    def look(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if words in statement and not done:
            done.append(statement)
            act(connection)

    engine = db.engine
    event.listen(engine, "before_cursor_execute", look)
    try:
        yield done
    finally:
        event.remove(engine, "before_cursor_execute", look)


@contextmanager
def at_commit(words: str, act: Act) -> Iterator[list[str]]:
    """Do something the first time that the shop is about to commit a transaction with such a statement in it."""
    transactions: list[Connection] = []
    done: list[str] = []

    def look(connection: Connection) -> None:
        if connection in transactions and not done:
            done.append(words)
            act(connection)

    engine = db.engine
    with at_statement(words, transactions.append):
        event.listen(engine, "commit", look)
        try:
            yield done
        finally:
            event.remove(engine, "commit", look)
