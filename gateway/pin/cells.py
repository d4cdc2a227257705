"""What the secrets of a PIN are sealed for, and those columns as `SealedColumn`s."""

from gateway.core.encoding import b64url_encode
from gateway.keys.sealed import SealedColumn, SealedKind
from gateway.keys.sealer import cell_context
from gateway.pin.store import pins
from gateway.protocol.keys import sha256


def key_context(binding_id: str) -> bytes:
    """Return what a binding's OPRF key is bound to."""
    return b"tessera oprf|" + binding_id.encode()


def verifier_cell(binding_id: str, pin_key: bytes) -> dict[str, str]:
    """Return the cell of the check of offline answers, for the PIN of that key (65 bytes)."""
    row = f"{binding_id}#{b64url_encode(sha256(pin_key))}"
    return {"table": "pins", "column": "verifier", "row": row}


_c = pins.c
SEALED = (
    SealedColumn(_c.oprf_blob, lambda row: key_context(row["binding_id"]), kind=SealedKind.AGREEMENT_KEY),
    SealedColumn(
        _c.verifier,
        lambda row: cell_context(**verifier_cell(row["binding_id"], bytes(row["pin_key"]))),
        (_c.pin_key,),
    ),
)
