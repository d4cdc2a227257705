"""What goes to a PKCS#11 module and comes from it: the C structures of pkcs11t.h 2.40, in the Unix layout, and what the
adapter makes of them: templates, mechanisms, and each thread's place for answers."""

import ctypes
import secrets
from ctypes import Structure, addressof, byref, c_char_p, c_ubyte, c_ulong, c_void_p, memset
from dataclasses import dataclass
from typing import Any

from hsm_adapters.cryptoki.constants import CKM_AES_GCM

MAX_ANSWER = 66_560
"""Bytes of the longest answer of an operation."""


class Attribute(Structure):
    _fields_ = (("type", c_ulong), ("value", c_void_p), ("length", c_ulong))


class _Mechanism(Structure):
    _fields_ = (("mechanism", c_ulong), ("parameter", c_void_p), ("length", c_ulong))


class InitializeArguments(Structure):
    # In the standard structure `pReserved` follows `flags` and is NULL. NSS has its library parameters there, and
    # p11-kit passes what a module wants of text at the same place.
    _fields_ = (
        ("create_mutex", c_void_p),
        ("destroy_mutex", c_void_p),
        ("lock_mutex", c_void_p),
        ("unlock_mutex", c_void_p),
        ("flags", c_ulong),
        ("text", c_char_p),
        ("reserved", c_void_p),
    )


class CTokenInfo(Structure):
    _fields_ = (
        ("label", c_ubyte * 32),
        ("manufacturer", c_ubyte * 32),
        ("model", c_ubyte * 16),
        ("serial", c_ubyte * 16),
        ("flags", c_ulong),
        ("counts", c_ulong * 10),
        ("versions", c_ubyte * 4),
        ("utc_time", c_ubyte * 16),
    )


class _GcmParameters(Structure):
    _fields_ = (
        ("iv", c_void_p),
        ("iv_length", c_ulong),
        ("iv_bits", c_ulong),
        ("aad", c_char_p),
        ("aad_length", c_ulong),
        ("tag_bits", c_ulong),
    )


class _EcdhParameters(Structure):
    _fields_ = (
        ("kdf", c_ulong),
        ("shared_length", c_ulong),
        ("shared", c_char_p),
        ("public_length", c_ulong),
        ("public", c_char_p),
    )


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What a token says of itself (CK_TOKEN_INFO), and in which slot it is."""

    slot: int
    label: str
    manufacturer: str
    model: str
    serial: str
    flags: int


class Template:
    """Attributes of an object. Values: bool, int (CK_ULONG) or bytes. Nobody changes it once made, but for `wipe`."""

    __slots__ = ("_kept", "array", "length")

    def __init__(self, *pairs: tuple[int, bool | int | bytes]) -> None:
        self.length = len(pairs)
        self.array = (Attribute * self.length)()
        self._kept = []
        for place, (kind, value) in enumerate(pairs):
            buffer: Any
            if isinstance(value, bool):
                buffer = (c_ubyte * 1)(value)
            elif isinstance(value, int):
                buffer = c_ulong(value)
            else:
                buffer = (c_ubyte * len(value)).from_buffer_copy(value) if value else (c_ubyte * 1)()
            self._kept.append(buffer)
            size = len(value) if isinstance(value, bytes) else ctypes.sizeof(buffer)
            self.array[place] = Attribute(kind, addressof(buffer), size)

    def wipe(self) -> None:
        """Overwrite the values, after a key went in by them."""
        for buffer in self._kept:
            memset(addressof(buffer), 0, ctypes.sizeof(buffer))


class Mechanism:
    """A mechanism with its parameter: none, bytes, or a structure. Read-only once made."""

    __slots__ = ("_kept", "_struct", "reference")

    def __init__(self, mechanism: int, parameter: bytes | Structure | None = None) -> None:
        size = 0
        kept: Any = parameter
        if isinstance(parameter, bytes):
            kept = (c_ubyte * len(parameter)).from_buffer_copy(parameter)
        if kept is not None:
            size = ctypes.sizeof(kept)
        self._kept = kept
        self._struct = _Mechanism(mechanism, None if kept is None else addressof(kept), size)
        self.reference = byref(self._struct)


class Gcm(Mechanism):
    """AES-GCM with a nonce of 12 bytes and a tag of 16 (CK_GCM_PARAMS, current mechanisms section 2.12.3), set anew for
    each operation of its thread."""

    __slots__ = ("_nonce", "_parameters")

    def __init__(self) -> None:
        # A place of its own: some modules write the nonce that they chose there.
        nonce = (c_ubyte * 12)()
        self._nonce = memoryview(nonce).cast("B")
        self._parameters = _GcmParameters(addressof(nonce), 12, 96, None, 0, 128)
        super().__init__(CKM_AES_GCM, self._parameters)

    def set(self, nonce: bytes, associated: bytes) -> None:
        """Take these for the next operation; the structure keeps them alive."""
        parameters = self._parameters
        self._nonce[:] = nonce
        parameters.aad = associated
        parameters.aad_length = len(associated)


class Scratch:
    """What a thread's calls write their answers to: making an array of a new size each time takes longer
    than an HMAC."""

    __slots__ = ("_nonces", "_view", "address", "buffer", "gcm", "length", "length_reference")

    def __init__(self) -> None:
        self.buffer = (c_ubyte * MAX_ANSWER)()
        self.address = addressof(self.buffer)
        self.length = c_ulong()
        self.length_reference = byref(self.length)
        self._view = memoryview(self.buffer).cast("B")
        self.gcm = Gcm()
        self._nonces: list[bytes] = []

    def fresh_nonce(self) -> bytes:
        """Return 12 fresh bytes."""
        if not self._nonces:
            fetched = secrets.token_bytes(12 * 64)
            self._nonces = [fetched[place : place + 12] for place in range(0, len(fetched), 12)]
        return self._nonces.pop()

    def take(self, size: int) -> bytes:
        """Return the answer, and wipe it here."""
        answer = self._view[:size].tobytes()
        self._view[:size] = bytes(size)
        return answer


def ecdh(mechanism: int, *, kdf: int, public: bytes) -> Mechanism:
    """ECDH with the peer's point, raw (CK_ECDH1_DERIVE_PARAMS, current mechanisms section 2.3.9)."""
    return Mechanism(mechanism, _EcdhParameters(kdf, 0, None, len(public), public))
