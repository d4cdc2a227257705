"""What approvals build on: page tokens for one request, the check of offline answers beside the PIN, and activations
that a bound phone has approved, with the binding that the new one replaces. A phone bound before has no check until its
PIN is changed, and so no offline answers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("page_tokens", sa.Column("approval_id", sa.String(length=40), nullable=True))
    op.add_column("activations", sa.Column("approval_id", sa.String(length=40), nullable=True))
    op.add_column("activations", sa.Column("replaces", sa.String(length=40), nullable=True))
    op.add_column("pins", sa.Column("verifier", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("pins", "verifier")
    op.drop_column("activations", "replaces")
    op.drop_column("activations", "approval_id")
    op.drop_column("page_tokens", "approval_id")
