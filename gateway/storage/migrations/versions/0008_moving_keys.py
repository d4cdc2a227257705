"""Bound phones move to a later agreement key of their bank: which one the next ratchet index runs under, and how many
still come under an old one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and an index for each label."""
    op.add_column("bindings", sa.Column("next_gateway_label", sa.String(length=128), nullable=True))
    op.create_index("ix_bindings_gateway_label", "bindings", ["gateway_label"])
    op.create_index("ix_bindings_next_gateway_label", "bindings", ["next_gateway_label"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_bindings_next_gateway_label", "bindings")
    op.drop_index("ix_bindings_gateway_label", "bindings")
    op.drop_column("bindings", "next_gateway_label")
