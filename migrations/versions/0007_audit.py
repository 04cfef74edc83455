"""What staff does is written down, in a table to which rows are only added."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

APPEND_ONLY = {
    "sqlite": (
        "create trigger audit_events_keep_update before update on audit_events"
        " begin select raise(abort, 'audit_events is append-only'); end",
        "create trigger audit_events_keep_delete before delete on audit_events"
        " begin select raise(abort, 'audit_events is append-only'); end",
        # INSERT OR REPLACE deletes without asking the trigger above (sqlite.org/lang_conflict.html).
        "create trigger audit_events_keep_replace before insert on audit_events"
        " when exists (select 1 from audit_events where id = new.id)"
        " begin select raise(abort, 'audit_events is append-only'); end",
    ),
    "postgresql": (
        "create function audit_events_keep() returns trigger language plpgsql as $$ begin"
        " raise exception 'audit_events is append-only' using errcode = 'restrict_violation'; end $$",
        "create trigger audit_events_keep_rows before update or delete on audit_events"
        " for each row execute function audit_events_keep()",
        "create trigger audit_events_keep_all before truncate on audit_events"
        " for each statement execute function audit_events_keep()",
    ),
}


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("staff_name", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=24), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject_kind", sa.String(length=24), nullable=False),
        sa.Column("subject_key", sa.String(length=300), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("from_address", sa.String(length=45), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index("audit_by_time", "audit_events", ["at", "id"])
    op.create_index("audit_by_staff", "audit_events", ["staff_id", "at", "id"])
    by_nobody = sa.text("staff_id is null")
    op.create_index("audit_by_nobody", "audit_events", ["at", "id"], sqlite_where=by_nobody, postgresql_where=by_nobody)
    op.create_index("audit_by_action", "audit_events", ["action", "at", "id"])
    op.create_index("audit_by_subject", "audit_events", ["subject_key", "at", "id"])
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Take the tables back to the revision before; what staff did is forgotten, and the triggers go with the table."""
    op.drop_table("audit_events")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("drop function audit_events_keep()")
