"""Indexes for the staff's first page: when eSIMs end, when Stripe's events came, and which were not dealt with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FAILED = sa.text("processed_at is null")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_index(op.f("ix_esims_expires_at"), "esims", ["expires_at"])
    op.create_index(op.f("ix_stripe_events_received_at"), "stripe_events", ["received_at"])
    op.create_index("failed_events", "stripe_events", ["received_at"], sqlite_where=FAILED, postgresql_where=FAILED)


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_index("failed_events", table_name="stripe_events", sqlite_where=FAILED, postgresql_where=FAILED)
    op.drop_index(op.f("ix_stripe_events_received_at"), table_name="stripe_events")
    op.drop_index(op.f("ix_esims_expires_at"), table_name="esims")
