"""How often the address of an order was corrected."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("corrections", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """Take the tables back to the revision before."""
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_column("corrections")
