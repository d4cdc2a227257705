"""An index for `GET /api/v1/audit?word=`, which read a bank's whole log for a word that is rare in it."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_audit_entries_word", "audit_entries", ["tenant_id", "word", "sequence"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_audit_entries_word", table_name="audit_entries")
