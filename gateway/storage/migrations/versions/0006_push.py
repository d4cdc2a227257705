"""Push subscriptions of phones, and wake-ups on their way."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "push_subscriptions",
        sa.Column("binding_id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("endpoint", sa.LargeBinary(), nullable=False),
        sa.Column("p256dh", sa.LargeBinary(length=65), nullable=False),
        sa.Column("auth", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("binding_id", name="pk_push_subscriptions"),
    )
    op.create_table(
        "push_wakes",
        sa.Column("cause", sa.String(length=40), nullable=False),
        sa.Column("binding_id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cause", "binding_id", name="pk_push_wakes"),
    )
    op.create_index("ix_push_wakes_state_next_at", "push_wakes", ["state", "next_at"], unique=False)
    op.create_index(
        "ix_push_wakes_binding_id_created_at", "push_wakes", ["binding_id", "created_at"], unique=False
    )
    op.create_index("ix_push_wakes_expires_at", "push_wakes", ["expires_at"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_table("push_wakes")
    op.drop_table("push_subscriptions")
