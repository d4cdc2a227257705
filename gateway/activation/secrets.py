"""What the seed of an activation gives, and the cells that its secrets lie in. Services call it; the seed is opened
for one use and never kept. One seed, one purpose a derivation: HKDF with the activation id as salt."""

from gateway.activation.models import Activation
from gateway.activation.ports import Sealing
from gateway.activation.store import activations
from gateway.core.errors import Problem, ProblemCode
from gateway.core.ids import decode_id
from gateway.keys.sealed import SealedColumn
from gateway.keys.sealer import cell_context
from gateway.protocol.code import CODE_2_NONCE_BYTES, TypedCode
from gateway.protocol.keys import TYPED_ROTATION, hkdf, one_time_key

SEED_BYTES = 32


def raw_id(activation: Activation) -> bytes:
    """Return the 16 bytes of the activation's id."""
    return decode_id("act", activation.id)


def raw_binding_id(activation: Activation) -> bytes:
    """Return the 16 bytes of the binding's id to be."""
    return decode_id("bnd", activation.binding_id)


def derive_typed_code(seed: bytes, activation_id: bytes) -> TypedCode:
    """Return the typed code of an activation."""
    return TypedCode.generate(lambda size: _derive(seed, activation_id, b"tessera typed code", size))


def derive_nonce(seed: bytes, activation_id: bytes) -> bytes:
    """Return the nonce of m6 and code 2 (10 bytes): the same on every channel, and after a restart."""
    return _derive(seed, activation_id, b"tessera commit nonce", CODE_2_NONCE_BYTES)


def derive_psk(seed: bytes, activation_id: bytes, rotation: int) -> bytes:
    """Return the handshake's psk (32 bytes) for the n of a hello, 0xFFFF being the typed code."""
    if rotation == TYPED_ROTATION:
        return derive_typed_code(seed, activation_id).psk(activation_id)
    return one_time_key(seed, activation_id=activation_id, rotation=rotation)


async def open_seed(sealer: Sealing, activation: Activation) -> bytes:
    """Return the seed. Raises Problem(ACTIVATION_ENDED) once it is gone, `HsmError`."""
    if activation.seed is None:
        raise Problem(ProblemCode.ACTIVATION_ENDED)
    return await sealer.open(activation.seed, **seed_cell(activation.id))


def seed_cell(activation_id: str) -> dict[str, str]:
    """Return the cell of the sealed seed."""
    return {"table": "activations", "column": "seed", "row": activation_id}


def device_code_cell(activation_id: str) -> dict[str, str]:
    """Return the cell of the sealed export("device-code")."""
    return {"table": "activations", "column": "device_code", "row": activation_id}


_c = activations.c
SEALED = (
    SealedColumn(_c.seed, lambda row: cell_context(**seed_cell(row["id"])), version=_c.version),
    SealedColumn(_c.device_code, lambda row: cell_context(**device_code_cell(row["id"])), version=_c.version),
)
"""The version counts up: services write remembered activations back, sealed values and all."""


def _derive(seed: bytes, activation_id: bytes, info: bytes, length: int) -> bytes:
    return hkdf(seed, salt=activation_id, info=info, length=length)
