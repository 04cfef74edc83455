"""How the shop speaks to SQLite and PostgreSQL: pragmas, and transactions that announce that they will write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.orm import DeclarativeBase, Session

_writing: ContextVar[bool] = ContextVar("writing", default=False)

# A writer waits this many seconds for another one before SQLite says "database is locked", and then tries again
# (database_faults.py); `?timeout=` in DATABASE_URL says otherwise.
BUSY_TIMEOUT = 5.0

# What psycopg is told beside DATABASE_URL, whose own words count for more (postgresql.org/docs/current/
# libpq-connect.html): a server that does not answer is given up after seconds, not after the system's minutes.
_CONNECTION: dict[str, Any] = {
    # Who is who in pg_stat_activity.
    "application_name": "travel-shop",
    # For each address of the host; below two seconds libpq does not go.
    "connect_timeout": 5,
    # A server that vanished without a word, as in a failover: noticed while waiting for its answer, and while sending.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # No transaction of the shop waits for anybody but the database, so all are short. Who waits for a lock for three
    # seconds waits for one that hangs, and one that is idle for a minute has lost its process (runtime-config-client).
    # A deadlock is noticed before, after one second (deadlock_timeout). No statement_timeout: migrations take their
    # time. A migration that waits for a lock makes everybody wait behind it, so it, too, gives up and is run again.
    "options": "-c lock_timeout=3s -c idle_in_transaction_session_timeout=60s",
}


def prepare_engine(engine: Engine) -> None:
    """Set the pragmas of SQLite and let a writing transaction take its lock at its start; keep rows out of errors.

    A transaction that starts as a reader and turns writer cannot wait for the lock on SQLite, it fails; so those that
    will write begin with BEGIN IMMEDIATE (sqlite.org/lang_transaction.html, section 2.2). `synchronous=FULL` because
    a paid order must survive a power cut (sqlite.org/pragma.html#pragma_synchronous).
    """
    if engine.dialect.name != "sqlite":
        event.listen(engine, "handle_error", _shorten)
        return

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN below replaces the driver's own
        for pragma in ("journal_mode=wal", "synchronous=full", "foreign_keys=on"):
            connection.execute(f"pragma {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("begin immediate" if _writing.get() else "begin")


def _shorten(context: ExceptionContext) -> None:
    """Cut PostgreSQL's details off an error: "Failing row contains (...)" would take activation codes into the log."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None and error.args:
            error.args = (str(error.args[0]).partition("\nDETAIL:")[0], *error.args[1:])


@contextmanager
def writing(session: Session) -> Iterator[Session]:
    """Run the block in one transaction of its own that may write, and commit it; roll back when the block raises.

    A reading transaction that is under way is ended first. Raises RuntimeError when it holds unsaved changes, because
    they would silently become part of nothing.
    """
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("unsaved changes outside a writing transaction")
    _end_reading(session)
    token = _writing.set(True)
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        _writing.reset(token)


def _end_reading(session: Session) -> None:
    """End a reading transaction; one whose connection is gone is no loss, and the next one gets another connection."""
    try:
        session.commit()
    except (DBAPIError, PendingRollbackError):
        session.rollback()


def inserting(session: Session, model: type[DeclarativeBase]) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT in the dialect of the session's database, because ON CONFLICT is no part of the common one."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    return dialect.insert(model)


def insert_once(session: Session, model: type[DeclarativeBase], key: str, values: dict[str, Any]) -> bool:
    """Insert a row unless one with this `key` column exists; return whether it was inserted.

    When two processes try at the same time, the database decides, and the loser sees the winner's row afterwards.
    """
    statement = inserting(session, model).values(**values).on_conflict_do_nothing(index_elements=[key])
    # RETURNING tells on both databases; psycopg gives no row count for an INSERT of this kind.
    return session.execute(statement.returning(getattr(model, key))).first() is not None


def engine_options(database_url: str) -> dict[str, Any]:
    """Return SQLAlchemy's engine options for `database_url`, whose own parameters count for more.

    Values stay out of error messages, and so out of the log: they may be activation codes or one-time links.
    """
    said = make_url(database_url).query
    if database_url.startswith("sqlite"):
        return {"hide_parameters": True, "connect_args": {} if "timeout" in said else {"timeout": BUSY_TIMEOUT}}
    return {
        "hide_parameters": True,
        "connect_args": {name: value for name, value in _CONNECTION.items() if name not in said},
        # A connection that the server has dropped meanwhile is noticed before it is used.
        "pool_pre_ping": True,
        # More than the eight threads of the worker need; one that gets none is told so before its visitor gives up.
        "pool_size": 10,
        "max_overflow": 5,
        "pool_timeout": 5,
    }
