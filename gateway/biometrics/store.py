"""The SQL of biometric credentials: one row a binding. Called by the service inside a unit of work."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, LargeBinary, Table, bindparam, select

from gateway.biometrics.models import Credential
from gateway.core.transaction import Transaction
from gateway.storage.schema import IdText, Millis, metadata

biometrics = Table(
    "biometrics",
    metadata,
    Column("binding_id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("credential", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("aaguid", LargeBinary(16), nullable=False),
    Column("added_at", Millis, nullable=False),
)

_OURS = (biometrics.c.binding_id == bindparam("b_id"), biometrics.c.tenant_id == bindparam("b_tenant"))
_insert = biometrics.insert()
_by_binding = select(biometrics).where(*_OURS)
_enrolled = select(biometrics.c.binding_id).where(
    biometrics.c.binding_id.in_(bindparam("b_ids", expanding=True)),
    biometrics.c.tenant_id == bindparam("b_tenant"),
)
_is_enrolled = select(biometrics.c.binding_id).where(*_OURS)
_count = (
    biometrics.update()
    .where(
        *_OURS,
        biometrics.c.credential == bindparam("b_credential"),
        biometrics.c.sign_count == bindparam("b_old"),
    )
    .values(sign_count=bindparam("b_new"))
)
_delete = biometrics.delete().where(*_OURS)


def find(tx: Transaction, *, tenant_id: str, binding_id: str) -> Credential | None:
    """Return a binding's credential."""
    row = tx.execute(_by_binding, {"b_id": binding_id, "b_tenant": tenant_id}).one_or_none()
    if row is None:
        return None
    return Credential(
        binding_id=row.binding_id,
        tenant_id=row.tenant_id,
        credential=bytes(row.credential),
        key=bytes(row.public_key),
        sign_count=row.sign_count,
        aaguid=bytes(row.aaguid),
        added_at=row.added_at,
    )


def find_enrolled(tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str]) -> frozenset[str]:
    """Return which of some bindings have a credential."""
    if len(binding_ids) == 1:  # as most customers have it; a list takes the database's driver the long way
        found = tx.execute(_is_enrolled, {"b_id": binding_ids[0], "b_tenant": tenant_id})
    else:
        found = tx.execute(_enrolled, {"b_ids": list(binding_ids), "b_tenant": tenant_id})
    return frozenset(found.scalars())


def put(tx: Transaction, credential: Credential) -> bool:
    """Store a credential in the place of the binding's older one; say whether there was one."""
    was_there = delete(tx, tenant_id=credential.tenant_id, binding_id=credential.binding_id)
    tx.execute(
        _insert,
        {
            "binding_id": credential.binding_id,
            "tenant_id": credential.tenant_id,
            "credential": credential.credential,
            "public_key": credential.key,
            "sign_count": credential.sign_count,
            "aaguid": credential.aaguid,
            "added_at": credential.added_at,
        },
    )
    return was_there


def set_sign_count(tx: Transaction, old: Credential, sign_count: int) -> bool:
    """Store the new sign count where the row is still the one read; say whether it was."""
    values = {
        "b_id": old.binding_id,
        "b_tenant": old.tenant_id,
        "b_credential": old.credential,
        "b_old": old.sign_count,
        "b_new": sign_count,
    }
    return tx.execute(_count, values).rowcount == 1


def delete(tx: Transaction, *, tenant_id: str, binding_id: str) -> bool:
    """Erase a binding's credential; say whether there was one."""
    return tx.execute(_delete, {"b_id": binding_id, "b_tenant": tenant_id}).rowcount == 1
