"""How much each eSIM had used at the end of a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "usage_days",
        sa.Column("esim_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("used_bytes >= 0", name=op.f("ck_usage_days_used")),
        sa.ForeignKeyConstraint(["esim_id"], ["esims.id"], name=op.f("fk_usage_days_esim_id"), ondelete="cascade"),
        sa.PrimaryKeyConstraint("esim_id", "day", name=op.f("pk_usage_days")),
    )


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_table("usage_days")
