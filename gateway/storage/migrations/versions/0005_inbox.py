"""What banks write to their customers."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "inbox_messages",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("user_ref", sa.String(length=128), nullable=False),
        sa.Column("texts", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("read_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_inbox_messages"),
    )
    op.create_index(
        "ix_inbox_messages_tenant_id_user_ref_created_at_id",
        "inbox_messages",
        ["tenant_id", "user_ref", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_inbox_messages_tenant_id_created_at_id",
        "inbox_messages",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index("ix_inbox_messages_expires_at", "inbox_messages", ["expires_at"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_table("inbox_messages")
