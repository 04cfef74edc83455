"""How Alembic runs the migrations: with the shop's own engine and models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from alembic.runtime.migration import MigrationContext
from flask import current_app
from sqlalchemy import Connection

from models import Moment, db


def migrate(connection: Connection) -> None:
    """Run what is asked for; on SQLite a table is rebuilt where it cannot be altered, and what refers to it stays.

    Each migration is a transaction of its own on SQLite, all of them together are one on PostgreSQL.
    """
    with _tables_may_be_rebuilt(connection):
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=True,
            compare_type=True,
            render_item=_render_item,
            on_version_apply=_check_references,
        )
        with context.begin_transaction():
            context.run_migrations()


@contextmanager
def _tables_may_be_rebuilt(connection: Connection) -> Iterator[None]:
    """Let SQLite drop a table without deleting, first, all rows of other tables that refer to its rows.

    The procedure is SQLite's own (sqlite.org/lang_altertable.html, section 7); the pragma does nothing inside a
    transaction, so it goes to the driver's connection, on which none has begun.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.execute("pragma foreign_keys=off")
    try:
        yield
    finally:
        connection.rollback()
        raw.execute("pragma foreign_keys=on")


def _check_references(ctx: MigrationContext, **_what: object) -> None:
    """Undo a migration on SQLite that would leave a row that refers to nothing."""
    assert ctx.connection is not None
    if ctx.connection.dialect.name == "sqlite":
        lost = ctx.connection.exec_driver_sql("pragma foreign_key_check").all()
        if lost:
            raise RuntimeError(f"rows that refer to nothing: {lost[:5]}")


def _render_item(kind: str, item: object, _context: object) -> str | bool:
    """Write our own column type as the plain one beneath it: a migration must not change when the models do."""
    if kind == "type" and isinstance(item, Moment):
        return "sa.DateTime(timezone=True)"
    return False


if context.is_offline_mode():
    context.configure(
        url=current_app.config["SQLALCHEMY_DATABASE_URI"], target_metadata=db.metadata, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    with db.engine.connect() as engine_connection:
        migrate(engine_connection)
