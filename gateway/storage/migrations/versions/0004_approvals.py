"""What the bank asks its customers to approve, the counts of wrong answers, and policies."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    _create_approvals()
    _create_codes()
    _create_counters()
    op.create_table(
        "approval_customers",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("user_ref", sa.String(length=128), nullable=False),
        sa.Column("unwanted", sa.Integer(), nullable=False),
        sa.Column("unwanted_at", sa.BigInteger(), nullable=False),
        sa.Column("is_reported", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "user_ref", name="pk_approval_customers"),
    )
    op.create_table(
        "approval_policies",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "type", name="pk_approval_policies"),
    )


def _create_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("user_ref", sa.String(length=128), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("factors", sa.String(length=16), nullable=False),
        sa.Column("is_online", sa.Boolean(), nullable=False),
        sa.Column("is_offline", sa.Boolean(), nullable=False),
        sa.Column("number_match", sa.String(length=8), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=True),
        sa.Column("numbers", sa.String(length=8), nullable=False),
        sa.Column("binding_id", sa.String(length=40), nullable=True),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("tries_left", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("open_until_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_by", sa.String(length=40), nullable=True),
        sa.Column("factor", sa.String(length=16), nullable=True),
        sa.Column("via", sa.String(length=8), nullable=True),
        sa.Column("proof", sa.LargeBinary(), nullable=True),
        sa.Column("served", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
    )
    op.create_index("ix_approvals_open_until_at", "approvals", ["open_until_at"], unique=False)
    op.create_index(
        "ix_approvals_tenant_id_user_ref_created_at_id",
        "approvals",
        ["tenant_id", "user_ref", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_approvals_tenant_id_created_at_id", "approvals", ["tenant_id", "created_at", "id"], unique=False
    )
    op.create_index("ix_approvals_answered_by_state", "approvals", ["answered_by", "state"], unique=False)
    op.create_index("ix_approvals_created_at", "approvals", ["created_at"], unique=False)


def _create_codes() -> None:
    op.create_table(
        "approval_codes",
        sa.Column("approval_id", sa.String(length=40), nullable=False),
        sa.Column("binding_id", sa.String(length=40), nullable=False),
        sa.Column("keys", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("approval_id", name="pk_approval_codes"),
    )
    op.create_index("ix_approval_codes_expires_at", "approval_codes", ["expires_at"], unique=False)


def _create_counters() -> None:
    op.create_table(
        "approval_counters",
        sa.Column("binding_id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("wrong", sa.SmallInteger(), nullable=False),
        sa.Column("blocks", sa.SmallInteger(), nullable=False),
        sa.Column("is_blocked", sa.Boolean(), nullable=False),
        sa.Column("blocked_until_at", sa.BigInteger(), nullable=True),
        sa.Column("offline_next", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("binding_id", name="pk_approval_counters"),
    )


def downgrade() -> None:
    """Drop them."""
    for name in (
        "approval_policies",
        "approval_customers",
        "approval_counters",
        "approval_codes",
        "approvals",
    ):
        op.drop_table(name)
