"""Disputes, findings, and what makes an order late."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "findings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "wrong_amount",
                "refund_failed",
                "session_unknown",
                "payment_unknown",
                "supplier_order_unknown",
                "supplier_order_missing",
                "esim_refunded",
                "topup_unknown",
                name="findingkind",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("details", sa.String(length=200), nullable=False),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_findings_order_id")),
        sa.ForeignKeyConstraint(["settled_by"], ["staff.id"], name=op.f("fk_findings_settled_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_findings")),
        sa.UniqueConstraint("kind", "reference", name=op.f("uq_findings_kind_reference")),
    )
    with op.batch_alter_table("findings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_findings_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_findings_settled_at"), ["settled_at"], unique=False)

    op.create_table(
        "disputes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("payment_id", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=60), nullable=False),
        sa.Column("amount_minor", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_disputes_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
        sa.UniqueConstraint("reference", name=op.f("uq_disputes_reference")),
    )
    with op.batch_alter_table("disputes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_disputes_closed_at"), ["closed_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_disputes_payment_id"), ["payment_id"], unique=False)

    with op.batch_alter_table("fulfilments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("late_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index(
            "stuck_fulfilments",
            ["order_id"],
            unique=False,
            sqlite_where=sa.text(
                "status = 'held' or (late_at is not null and status in ('waiting', 'ordered', 'applied'))"
            ),
            postgresql_where=sa.text(
                "status = 'held' or (late_at is not null and status in ('waiting', 'ordered', 'applied'))"
            ),
        )

    with op.batch_alter_table("mails", schema=None) as batch_op:
        batch_op.create_index(
            "failed_mails",
            ["id"],
            unique=False,
            sqlite_where=sa.text("status = 'failed'"),
            postgresql_where=sa.text("status = 'failed'"),
        )

    with op.batch_alter_table("refunds", schema=None) as batch_op:
        batch_op.add_column(sa.Column("staff_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("note", sa.String(length=200), server_default="", nullable=False))
        batch_op.create_foreign_key(batch_op.f("fk_refunds_staff_id"), "staff", ["staff_id"], ["id"])

    with op.batch_alter_table("supplier_attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unknown_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take the tables back to the revision before."""
    with op.batch_alter_table("supplier_attempts", schema=None) as batch_op:
        batch_op.drop_column("unknown_at")

    with op.batch_alter_table("refunds", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_refunds_staff_id"), type_="foreignkey")
        batch_op.drop_column("note")
        batch_op.drop_column("staff_id")

    with op.batch_alter_table("mails", schema=None) as batch_op:
        batch_op.drop_index(
            "failed_mails", sqlite_where=sa.text("status = 'failed'"), postgresql_where=sa.text("status = 'failed'")
        )

    with op.batch_alter_table("fulfilments", schema=None) as batch_op:
        batch_op.drop_index(
            "stuck_fulfilments",
            sqlite_where=sa.text(
                "status = 'held' or (late_at is not null and status in ('waiting', 'ordered', 'applied'))"
            ),
            postgresql_where=sa.text(
                "status = 'held' or (late_at is not null and status in ('waiting', 'ordered', 'applied'))"
            ),
        )
        batch_op.drop_column("late_at")

    with op.batch_alter_table("disputes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_disputes_payment_id"))
        batch_op.drop_index(batch_op.f("ix_disputes_closed_at"))

    op.drop_table("disputes")
    with op.batch_alter_table("findings", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_findings_settled_at"))
        batch_op.drop_index(batch_op.f("ix_findings_order_id"))

    op.drop_table("findings")
