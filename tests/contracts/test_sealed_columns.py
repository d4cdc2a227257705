"""The list of sealed columns against the tables: whoever adds a column of bytes says whether it holds secrets."""

from sqlalchemy import LargeBinary

from gateway.key_life import SEALED
from gateway.tables import metadata

OPEN = {
    "activations.phone_static": "public key",
    "activations.phone_signing": "public key",
    "activations.code2": "sealed for the phone by the channel, worth nothing without it",
    "approvals.statement": "what was asked",
    "approvals.proof": "signatures and public keys",
    "audit_checkpoints.hash": "digest",
    "audit_checkpoints.signature": "signature",
    "audit_entries.hash": "digest",
    "audit_head.hash": "digest",
    "audit_vouchers.point": "public key",
    "audit_vouchers.signature": "signature",
    "api_keys.digest": "digest of a random key",
    "bindings.signing_key": "public key",
    "bindings.static_key": "public key",
    "biometrics.credential": "public identifier",
    "biometrics.public_key": "public key",
    "biometrics.aaguid": "model of an authenticator",
    "idempotency_keys.digest": "digest",
    "idempotency_keys.request_digest": "digest",
    "idempotency_keys.answer": "sealed by the caller's key, which is not kept",
    "page_tokens.digest": "digest of a random token",
    "pins.oprf_public": "public key",
    "pins.pin_key": "public key",
    "push_subscriptions.p256dh": "public key",
}
"""Columns of bytes that no wrapping key seals, and why."""


def test_every_column_of_bytes_is_sealed_or_named_as_open() -> None:
    columns = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    sealed = [each.name for each in SEALED]
    assert len(sealed) == len(set(sealed))
    assert not OPEN.keys() & set(sealed)
    assert columns == OPEN.keys() | set(sealed)


def test_a_remembered_row_cannot_bring_a_sealed_value_back() -> None:
    """A table whose rows are written back whole, by version, counts the version up with a re-wrap."""
    for each in SEALED:
        assert (each.version is not None) is (each.column.table.name == "activations"), each.name
