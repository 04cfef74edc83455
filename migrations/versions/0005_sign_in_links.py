"""Mailed links may sign in without a password."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BEFORE = ("claim", "password_reset", "email_change")


def upgrade() -> None:
    """Bring the tables to this revision."""
    _allow(*_BEFORE, "sign_in")


def downgrade() -> None:
    """Take the tables back to the revision before; links of the new kind are forgotten."""
    op.execute("delete from account_tokens where purpose = 'sign_in'")
    _allow(*_BEFORE)


def _allow(*purposes: str) -> None:
    listed = ", ".join(f"'{purpose}'" for purpose in purposes)
    with op.batch_alter_table("account_tokens") as batch:
        batch.drop_constraint(op.f("ck_account_tokens_tokenpurpose"), type_="check")
        batch.create_check_constraint(op.f("ck_account_tokens_tokenpurpose"), f"purpose in ({listed})")
