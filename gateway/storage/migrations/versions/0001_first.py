"""The first schema: every table of version 0.1, and the triggers that keep the audit log append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQLITE_TRIGGERS = (
    (
        "CREATE TRIGGER IF NOT EXISTS audit_entries_no_update BEFORE UPDATE ON audit_entries BEGIN "
        "SELECT RAISE(ABORT, 'audit_entries is append-only'); END"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS audit_entries_no_delete BEFORE DELETE ON audit_entries BEGIN "
        "SELECT RAISE(ABORT, 'audit_entries is append-only'); END"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS audit_entries_no_replace BEFORE INSERT ON audit_entries WHEN "
        "EXISTS (SELECT 1 FROM audit_entries WHERE sequence = NEW.sequence) BEGIN SELECT "
        "RAISE(ABORT, 'audit_entries is append-only'); END"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS audit_checkpoints_no_update BEFORE UPDATE ON "
        "audit_checkpoints BEGIN SELECT RAISE(ABORT, 'audit_checkpoints is append-only'); END"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS audit_checkpoints_no_delete BEFORE DELETE ON "
        "audit_checkpoints BEGIN SELECT RAISE(ABORT, 'audit_checkpoints is append-only'); END"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS audit_checkpoints_no_replace BEFORE INSERT ON "
        "audit_checkpoints WHEN EXISTS (SELECT 1 FROM audit_checkpoints WHERE sequence = "
        "NEW.sequence) BEGIN SELECT RAISE(ABORT, 'audit_checkpoints is append-only'); END"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS audit_head_no_delete BEFORE DELETE ON audit_head BEGIN SELECT "
        "RAISE(ABORT, 'audit_head stays'); END"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS audit_head_forward BEFORE UPDATE ON audit_head WHEN "
        "NEW.sequence < OLD.sequence OR NEW.checkpoint_sequence < OLD.checkpoint_sequence BEGIN "
        "SELECT RAISE(ABORT, 'audit_head only moves forward'); END"
    ),
    (
        "CREATE TRIGGER IF NOT EXISTS audit_head_no_replace BEFORE INSERT ON audit_head WHEN EXISTS "
        "(SELECT 1 FROM audit_head WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'audit_head is "
        "append-only'); END"
    ),
)

POSTGRESQL_TRIGGERS = (
    (
        "CREATE OR REPLACE FUNCTION tessera_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    ),
    (
        "CREATE OR REPLACE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "
        "audit_entries FOR EACH STATEMENT EXECUTE FUNCTION tessera_audit_refuse()"
    ),
    (
        "CREATE OR REPLACE TRIGGER audit_checkpoints_append_only BEFORE UPDATE OR DELETE OR "
        "TRUNCATE ON audit_checkpoints FOR EACH STATEMENT EXECUTE FUNCTION tessera_audit_refuse()"
    ),
    (
        "CREATE OR REPLACE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON audit_head FOR "
        "EACH STATEMENT EXECUTE FUNCTION tessera_audit_refuse()"
    ),
    (
        "CREATE OR REPLACE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head FOR EACH ROW WHEN "
        "(NEW.sequence < OLD.sequence OR NEW.checkpoint_sequence < OLD.checkpoint_sequence) EXECUTE "
        "FUNCTION tessera_audit_refuse()"
    ),
)


def upgrade() -> None:
    """Create everything."""
    _create_activations()
    _create_audit_checkpoints()
    _create_audit_entries()
    _create_audit_head()
    _create_bindings()
    _create_events()
    _create_idempotency_keys()
    _create_page_tokens()
    _create_pins()
    _create_tenants()
    _create_webhook_deliveries()
    _create_webhook_endpoints()
    _create_api_keys()
    dialect = op.get_bind().dialect.name
    for statement in SQLITE_TRIGGERS if dialect == "sqlite" else POSTGRESQL_TRIGGERS:
        op.execute(sa.text(statement.replace(":", r"\:")))


def downgrade() -> None:
    """Drop everything."""
    for table in TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION tessera_audit_refuse()")


TABLES = (
    "api_keys",
    "webhook_endpoints",
    "webhook_deliveries",
    "tenants",
    "pins",
    "page_tokens",
    "idempotency_keys",
    "events",
    "bindings",
    "audit_head",
    "audit_entries",
    "audit_checkpoints",
    "activations",
)
"""In the order in which they can be dropped."""


def _create_activations() -> None:
    op.create_table(
        "activations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("user_ref", sa.String(length=128), nullable=False),
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("is_two_step", sa.Boolean(), nullable=False),
        sa.Column("is_rotating", sa.Boolean(), nullable=False),
        sa.Column("is_hybrid", sa.Boolean(), nullable=False),
        sa.Column("platforms", sa.String(length=64), nullable=False),
        sa.Column("gateway_label", sa.String(length=128), nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=True),
        sa.Column("locator", sa.String(length=5), nullable=True),
        sa.Column("typed_failures", sa.SmallInteger(), nullable=False),
        sa.Column("binding_id", sa.String(length=40), nullable=False),
        sa.Column("phone_static", sa.LargeBinary(length=65), nullable=True),
        sa.Column("phone_signing", sa.LargeBinary(length=65), nullable=True),
        sa.Column("phone_rotation", sa.Integer(), nullable=True),
        sa.Column("device", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("device_code", sa.LargeBinary(), nullable=True),
        sa.Column("code2", sa.LargeBinary(), nullable=True),
        sa.Column("tries_left", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("open_until_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_activations"),
        sa.UniqueConstraint("locator", name="uq_activations_locator"),
    )
    op.create_index("ix_activations_expires_at", "activations", ["expires_at"], unique=False)
    op.create_index("ix_activations_open_until_at", "activations", ["open_until_at"], unique=False)
    op.create_index(
        "ix_activations_tenant_id_user_ref_created_at",
        "activations",
        ["tenant_id", "user_ref", "created_at"],
        unique=False,
    )


def _create_audit_checkpoints() -> None:
    op.create_table(
        "audit_checkpoints",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("previous", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("key_label", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit_checkpoints"),
    )


def _create_audit_entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("word", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit_entries"),
    )
    op.create_index(
        "ix_audit_entries_subject", "audit_entries", ["tenant_id", "subject", "sequence"], unique=False
    )
    op.create_index("ix_audit_entries_tenant_id", "audit_entries", ["tenant_id", "sequence"], unique=False)


def _create_audit_head() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("checkpoint_sequence", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_audit_head_one_row"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )


def _create_bindings() -> None:
    op.create_table(
        "bindings",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("user_ref", sa.String(length=128), nullable=False),
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("os", sa.String(length=64), nullable=False),
        sa.Column("app", sa.String(length=64), nullable=False),
        sa.Column("lang", sa.String(length=8), nullable=False),
        sa.Column("place", sa.String(length=128), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("suspended_by", sa.String(length=16), nullable=True),
        sa.Column("is_hybrid", sa.Boolean(), nullable=False),
        sa.Column("gateway_label", sa.String(length=128), nullable=False),
        sa.Column("signing_key", sa.LargeBinary(length=65), nullable=False),
        sa.Column("static_key", sa.LargeBinary(length=65), nullable=False),
        sa.Column("ratchet_index", sa.BigInteger(), nullable=False),
        sa.Column("psk", sa.LargeBinary(), nullable=True),
        sa.Column("psk_next", sa.LargeBinary(), nullable=True),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("hybrid_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bindings"),
    )
    op.create_index(
        "ix_bindings_tenant_id_added_at_id", "bindings", ["tenant_id", "added_at", "id"], unique=False
    )
    op.create_index(
        "ix_bindings_tenant_id_user_ref_added_at",
        "bindings",
        ["tenant_id", "user_ref", "added_at"],
        unique=False,
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("topic", sa.String(length=256), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_topic_id", "events", ["topic", "id"], unique=False)


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False)


def _create_page_tokens() -> None:
    op.create_table(
        "page_tokens",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("activation_id", sa.String(length=40), nullable=True),
        sa.Column("user_ref", sa.String(length=128), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_page_tokens"),
    )
    op.create_index("ix_page_tokens_expires_at", "page_tokens", ["expires_at"], unique=False)


def _create_pins() -> None:
    op.create_table(
        "pins",
        sa.Column("binding_id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("digits", sa.SmallInteger(), nullable=False),
        sa.Column("tries_left", sa.SmallInteger(), nullable=False),
        sa.Column("blocks", sa.SmallInteger(), nullable=False),
        sa.Column("blocked_until_at", sa.BigInteger(), nullable=True),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("oprf_blob", sa.LargeBinary(), nullable=False),
        sa.Column("oprf_public", sa.LargeBinary(length=65), nullable=False),
        sa.Column("pin_key", sa.LargeBinary(length=65), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("binding_id", name="pk_pins"),
    )


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenants"),
    )


def _create_webhook_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("endpoint_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.String(length=256), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
    )
    op.create_index("ix_webhook_deliveries_endpoint_id", "webhook_deliveries", ["endpoint_id"], unique=False)
    op.create_index(
        "ix_webhook_deliveries_state_next_at", "webhook_deliveries", ["state", "next_at"], unique=False
    )
    op.create_index(
        "ix_webhook_deliveries_tenant_id_created_at_id",
        "webhook_deliveries",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )


def _create_webhook_endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_endpoints"),
    )
    op.create_index(
        "ix_webhook_endpoints_tenant_id_created_at",
        "webhook_endpoints",
        ["tenant_id", "created_at"],
        unique=False,
    )


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("scopes", sa.String(length=400), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_api_keys_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    op.create_index("ix_api_keys_tenant_id", "api_keys", ["tenant_id"], unique=False)
