"""How the shop speaks to SQLite and PostgreSQL: pragmas, and transactions that announce that they will write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.orm import DeclarativeBase, Session

_writing: ContextVar[bool] = ContextVar("writing", default=False)

# A writer waits this long for another one before SQLite says "database is locked".
BUSY_TIMEOUT_MS = 10_000


def prepare_engine(engine: Engine) -> None:
    """Set the pragmas of SQLite and let a writing transaction take its lock at its start.

    A transaction that starts as a reader and turns writer cannot wait for the lock on SQLite, it fails; so those that
    will write begin with BEGIN IMMEDIATE (sqlite.org/lang_transaction.html, section 2.2). `synchronous=FULL` because
    a paid order must survive a power cut (sqlite.org/pragma.html#pragma_synchronous).
    """
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN below replaces the driver's own
        for pragma in (
            "journal_mode=wal",
            "synchronous=full",
            "foreign_keys=on",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
        ):
            connection.execute(f"pragma {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("begin immediate" if _writing.get() else "begin")


@contextmanager
def writing(session: Session) -> Iterator[Session]:
    """Run the block in one transaction of its own that may write, and commit it; roll back when the block raises.

    A reading transaction that is under way is ended first. Raises RuntimeError when it holds unsaved changes, because
    they would silently become part of nothing.
    """
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("unsaved changes outside a writing transaction")
    session.commit()
    token = _writing.set(True)
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        _writing.reset(token)


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
    """Return SQLAlchemy's engine options for `database_url`."""
    if database_url.startswith("sqlite"):
        return {"connect_args": {"timeout": BUSY_TIMEOUT_MS / 1000}}
    return {"pool_pre_ping": True, "pool_size": 5, "max_overflow": 5}
