"""What the rotation of keys needs: a count of a binding's contacts that is the same however its ratchet keys are
sealed, the key that a push subscription was made for (there was one alone so far), and vouchers for retired audit
keys."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("bindings", sa.Column("turns", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(
        "push_subscriptions",
        sa.Column("key_label", sa.String(length=64), nullable=False, server_default="tessera-push-1"),
    )
    op.create_table(
        "audit_vouchers",
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("point", sa.LargeBinary(length=65), nullable=False),
        sa.Column("signer", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("label", name=op.f("pk_audit_vouchers")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("audit_vouchers")
    op.drop_column("push_subscriptions", "key_label")
    op.drop_column("bindings", "turns")
