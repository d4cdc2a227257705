"""The cells that a binding's ratchet keys are sealed for, and those columns as `SealedColumn`s."""

from gateway.core.encoding import b64url_encode
from gateway.core.subjects import BindingRef
from gateway.devices.models import Binding
from gateway.devices.store import bindings
from gateway.keys.sealed import Row, SealedColumn
from gateway.keys.sealer import cell_context
from gateway.protocol.keys import sha256


def psk_cell(
    ref: BindingRef, index: int, *, static_key: bytes, signing_key: bytes, gateway_label: str
) -> dict[str, str]:
    """Return the cell that the sealed ratchet key of an index is bound to, whichever column it lies in: that of this
    binding while it belongs to this customer, is for these keys (s_D and g_D, 65 bytes each), and runs under the
    gateway key S of that label."""
    parts = (ref.tenant_id.encode(), ref.user.encode(), static_key, signing_key, gateway_label.encode())
    owner = sha256(b"".join(len(part).to_bytes(2, "big") + part for part in parts))
    return {"table": "bindings", "column": "psk", "row": f"{ref.binding_id}#{index}#{b64url_encode(owner)}"}


def cell_of(binding: Binding, index: int, *, gateway_label: str | None = None) -> dict[str, str]:
    """Return the cell of a binding's sealed ratchet key of an index, under the gateway key that the binding names for
    it unless another one is given."""
    return psk_cell(
        binding.ref,
        index,
        static_key=binding.static_key,
        signing_key=binding.signing_key,
        gateway_label=gateway_label or binding.gateway_label_of(index),
    )


def _context(row: Row, *, index: int, gateway_label: str) -> bytes:
    cell = psk_cell(
        BindingRef(row["tenant_id"], row["id"], row["user_ref"]),
        index,
        static_key=bytes(row["static_key"]),
        signing_key=bytes(row["signing_key"]),
        gateway_label=gateway_label,
    )
    return cell_context(**cell)


def _context_now(row: Row) -> bytes:
    return _context(row, index=row["ratchet_index"], gateway_label=row["gateway_label"])


def _context_next(row: Row) -> bytes:
    label = row["next_gateway_label"] or row["gateway_label"]
    return _context(row, index=row["ratchet_index"] + 1, gateway_label=label)


_c = bindings.c
_NEEDS = (
    *(_c.tenant_id, _c.user_ref, _c.ratchet_index, _c.static_key, _c.signing_key),
    *(_c.gateway_label, _c.next_gateway_label),
)
SEALED = (SealedColumn(_c.psk, _context_now, _NEEDS), SealedColumn(_c.psk_next, _context_next, _NEEDS))
"""The key of the index in force, and that of the next one: the same cell once the ratchet has moved."""
