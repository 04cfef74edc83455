"""How Alembic runs the migrations: with the shop's own engine and models."""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import Connection

from models import Moment, db


def migrate(connection: Connection) -> None:
    """Run what is asked for in one transaction; on SQLite a table is rebuilt where it cannot be altered."""
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=_render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


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
