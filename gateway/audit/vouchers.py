"""Audit keys that the key store holds no more: `tessera keys retire` destroys a key's private half, and what it signed
has to verify for ever. Before that, the audit key in force signs a voucher for the public half, and the database keeps
it. Verification begins with the keys of the key store and adds, one after another, those that a key it trusts already
vouches for: the database alone makes no key trusted.

    signed = "tessera retired audit key 1\\0" | u32 length | label | point 65

A key is vouched for by a later generation alone, so that a retired key which turns up in an old backup brings in no
newer one."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.audit import store
from gateway.core.transaction import Transaction
from gateway.keys.labels import KeyPurpose, parse_label
from gateway.protocol.errors import InvalidPoint, SignatureInvalid
from gateway.protocol.keys import verify
from gateway.storage.engine import Storage
from hsm_adapters.api import HsmAdapter, KeyInfo
from hsm_adapters.errors import WrongKeyKind

_TAG = b"tessera retired audit key 1\x00"
_ODD = (struct.error, ValueError, TypeError, AttributeError, OverflowError, SignatureInvalid, InvalidPoint)


@dataclass(frozen=True, slots=True)
class Voucher:
    """The word of audit key `signer` that `point` (65 bytes) is the public half of audit key `label`. `signature` is
    ES256, r | s, 64 bytes."""

    label: str
    point: bytes
    signer: str
    signature: bytes

    def signed_bytes(self) -> bytes:
        """Return what is signed."""
        label = self.label.encode()
        return _TAG + struct.pack(">I", len(label)) + label + self.point


async def audit_public_keys(adapter: HsmAdapter, storage: Storage) -> dict[str, bytes]:
    """Return the points (65 bytes) by label of the audit keys in the key store, and of the retired ones that they vouch
    for. Raises `HsmError`, `Problem`."""
    keys = {}
    for info in await adapter.list():
        if _generation(info.label) and info.public_key is not None:
            keys[info.label] = info.public_key
    return with_vouched(keys, await storage.read(store.raw_vouchers))


def with_vouched(keys: Mapping[str, bytes], vouchers: Iterable[tuple[Any, ...]]) -> dict[str, bytes]:
    """Return these keys and those that they vouch for. `vouchers` are rows as the database holds them, whatever is in
    them; what does not verify, and what is about a key that is trusted already, adds nothing."""
    trusted, waiting = dict(keys), [Voucher(*row) for row in vouchers]
    while True:
        good = [each for each in waiting if each.label not in trusted and _is_good(each, trusted)]
        if not good:
            return trusted
        trusted |= {each.label: each.point for each in good}


async def make_voucher(adapter: HsmAdapter, retired: KeyInfo, *, signer: str) -> Voucher:
    """Have the audit key `signer` vouch for one that is to be destroyed. Raises `HsmError`."""
    if retired.public_key is None:
        raise WrongKeyKind(f"'{retired.label}' has no public key.")
    unsigned = Voucher(retired.label, retired.public_key, signer, b"")
    return Voucher(
        retired.label, retired.public_key, signer, await adapter.sign(signer, unsigned.signed_bytes())
    )


def keep_voucher(tx: Transaction, voucher: Voucher) -> None:
    """Store a voucher, in the place of an older one for that key."""
    store.put_voucher(
        tx,
        label=voucher.label,
        point=voucher.point,
        signer=voucher.signer,
        signature=voucher.signature,
    )


def _is_good(voucher: Voucher, trusted: Mapping[str, bytes]) -> bool:
    try:
        if not 0 < _generation(voucher.label) < _generation(voucher.signer):
            return False
        verify(trusted[voucher.signer], voucher.signature, voucher.signed_bytes())
    except (KeyError, *_ODD):
        return False
    return True


def _generation(label: str) -> int:
    name = parse_label(label)
    return name.generation if name is not None and name.purpose is KeyPurpose.AUDIT else 0
