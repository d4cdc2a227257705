"""The SQL of the policies that banks have set. Called by the services inside a unit of work."""

import msgspec
from sqlalchemy import Column, String, Table, Text, bindparam, delete, select

from gateway.approvals.policy import Policy
from gateway.core.transaction import Transaction
from gateway.storage.schema import IdText, metadata

policies = Table(
    "approval_policies",
    metadata,
    Column("tenant_id", IdText, primary_key=True),
    Column("type", String(16), primary_key=True),
    Column("policy", Text, nullable=False),
)

_p = policies.c
_policies = select(_p.type, _p.policy).where(_p.tenant_id == bindparam("b_tenant"))
_drop_policy = delete(policies).where(_p.tenant_id == bindparam("b_tenant"), _p.type == bindparam("b_type"))
_insert_policy = policies.insert()


def find_policies(tx: Transaction, tenant_id: str) -> dict[str, Policy]:
    """Return the policies that a bank has set, by type."""
    rows = tx.execute(_policies, {"b_tenant": tenant_id}).mappings()
    return {row["type"]: msgspec.json.decode(row["policy"], type=Policy) for row in rows}


def put_policy(tx: Transaction, *, tenant_id: str, kind: str, policy: Policy) -> None:
    """Store the policy of one type, in the place of the one before."""
    tx.execute(_drop_policy, {"b_tenant": tenant_id, "b_type": kind})
    row = {"tenant_id": tenant_id, "type": kind, "policy": msgspec.json.encode(policy).decode()}
    tx.execute(_insert_policy, row)
