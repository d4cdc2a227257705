"""Keys in any PKCS#11 module (`pkcs11:token=…?module-path=…&pin-source=…`): a network HSM, a smart card, a TPM,
SoftHSM. The registry opens it. Private and wrapping keys are generated inside, sensitive and not extractable.

Operations run in a bounded pool of worker threads with a session each (`cryptoki.workers`), so the event loop never
waits for the module. Faults of the module are mended there; what is not mended is a named error, and the next call
tries anew."""

import asyncio
import builtins
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_adapters.api import (
    MAX_CONTEXT,
    MAX_MESSAGE,
    MAX_PLAINTEXT,
    Examinable,
    HashName,
    HsmAdapter,
    KeyInfo,
    KeyKind,
    OperationReport,
    WrappedAgreementKeys,
    WrappedKey,
    WrappedKeyImport,
    WrappedMacKeys,
)
from hsm_adapters.cryptoki.module import Module
from hsm_adapters.cryptoki.objects import KeyObjects
from hsm_adapters.cryptoki.operations import Operations, check_point
from hsm_adapters.cryptoki.probe import Abilities, describe, missing_for, probe
from hsm_adapters.cryptoki.threads import in_thread
from hsm_adapters.cryptoki.token import Pin, Token, TokenChoice
from hsm_adapters.cryptoki.workers import SLOW_PATIENCE_S, WorkerPool
from hsm_adapters.errors import HsmUnavailable, InvalidKeyUri, InvalidRequest, OperationUnsupported
from hsm_adapters.examination import examine
from hsm_adapters.limits import (
    check_blob,
    check_label,
    check_length,
    check_mac_key,
    check_macs,
    check_peers,
    check_random,
    check_scalar,
)
from hsm_adapters.uri import KeyUri

WORKERS = 4
MAX_WORKERS = 64


@dataclass(frozen=True, slots=True)
class _Location:
    """What the URI says: the module, the token, where the PIN comes from, how many sessions."""

    module_path: str
    text: str | None
    choice: TokenChoice
    pin_source: str | None
    workers: int

    @classmethod
    def parse(cls, uri: str) -> "_Location":
        parsed = KeyUri.parse(uri)
        path = parsed.query.get("module-path")
        if parsed.scheme != "pkcs11" or not path:
            raise InvalidKeyUri(
                "Write pkcs11:token=LABEL?module-path=/path/to/module.so&pin-source=file:/path/to/pin."
            )
        if "object" in parsed.path or "type" in parsed.path or parsed.key_id is not None:
            raise InvalidKeyUri(
                "This URI names a key; a key store's names a token, without object, type or id."
            )
        known = {"token", "serial", "model", "manufacturer", "slot-id"}
        if unknown := set(parsed.path) - known:
            raise InvalidKeyUri(f"A token is chosen by {', '.join(sorted(known))}; not by '{min(unknown)}'.")
        workers = parsed.query.get("x-sessions", str(WORKERS))
        if not workers.isdecimal() or not 1 <= int(workers) <= MAX_WORKERS:
            raise InvalidKeyUri(f"x-sessions is a number from 1 to {MAX_WORKERS}.")
        return cls(
            path,
            parsed.query.get("x-init-args"),
            TokenChoice(dict(parsed.path)),
            parsed.query.get("pin-source"),
            int(workers),
        )


class Pkcs11Adapter(HsmAdapter, WrappedAgreementKeys, WrappedKeyImport, WrappedMacKeys, Examinable):
    """A key store in a token behind a PKCS#11 module. Open it by `open`."""

    def __init__(self, location: _Location, module: Module, pin: Pin) -> None:
        self._token = Token(module, location.choice, pin)
        self._keys = KeyObjects(module.cryptoki, needs_login=pin.is_given)
        self._operations = Operations(module.cryptoki, self._keys)
        self._abilities: Abilities
        self._pool = WorkerPool(self._token, size=location.workers, at_end=self._let_go)
        self._making = asyncio.Lock()
        self._is_closed = False

    @classmethod
    async def open(cls, uri: str) -> Self:
        """Load the module, find the token, log in, and find out what it can do. Raises `InvalidKeyUri`,
        `HsmConfigurationError` and its kinds, `HsmUnavailable` and its kinds."""
        location = _Location.parse(uri)
        pin = Pin(location.pin_source)
        await in_thread(pin.ask)  # takes as long as a person does
        module = await in_thread(
            lambda: Module.acquire(location.module_path, location.text),
            patience_s=SLOW_PATIENCE_S,
            if_late=Module.release,
        )
        adapter = cls(location, module, pin)
        try:
            adapter._abilities = await adapter._pool.submit(
                lambda _: probe(adapter._token, adapter._operations, adapter._keys),
                patience_s=SLOW_PATIENCE_S,
            )
        except BaseException:
            await adapter.close()
            raise
        return adapter

    async def close(self) -> None:
        """Close the sessions; the last adapter on a module finalises it. A call that the module does not answer holds
        nobody: its thread lets go of the module when it ends."""
        self._is_closed = True
        await self._pool.close()

    def _let_go(self) -> None:
        self._token.close()
        self._token.module.release()

    async def generate(self, label: str, kind: KeyKind) -> KeyInfo:
        """Generate a key inside the token, sensitive and not extractable. Raises `OperationUnsupported`."""
        check_label(label)
        self._check_open()
        self._need(kind)
        async with self._making:
            return await self._pool.submit(
                lambda session: self._keys.add(session, label, kind),
                is_repeatable=False,
                patience_s=SLOW_PATIENCE_S,
            )

    async def find(self, label: str) -> KeyInfo:
        """Return what the token tells of one key now."""
        check_label(label)
        return (await self._pool.submit(lambda session: self._keys.find(session, label))).info

    async def list(self) -> Sequence[KeyInfo]:
        """Return all keys that have a kind, in order of their labels."""
        return await self._pool.submit(self._keys.all_keys)

    async def destroy(self, label: str) -> None:
        """Destroy the key in the token. Its backups are the token's business."""
        check_label(label)
        self._check_open()
        async with self._making:
            await self._pool.submit(lambda session: self._keys.remove(session, label), is_repeatable=False)

    async def sign(self, label: str, message: bytes) -> bytes:
        """ECDSA (CKM_ECDSA over SHA-256, which is computed here): r | s, 64 bytes."""
        check_length("message", message, MAX_MESSAGE)
        digest = hashlib.sha256(message).digest()
        return await self._pool.submit(lambda session: self._operations.sign(session, label, digest))

    async def ecdh(self, label: str, peer: bytes) -> bytes:
        """ECDH (CKM_ECDH1_DERIVE): the x coordinate, 32 bytes."""
        check_point(peer)
        return await self._pool.submit(lambda session: self._operations.ecdh(session, label, peer))

    async def mac(self, label: str, message: bytes) -> bytes:
        """HMAC (CKM_SHA256_HMAC), 32 bytes."""
        check_length("message", message, MAX_MESSAGE)
        return await self._pool.submit(lambda session: self._operations.mac(session, label, message))

    async def wrap(self, label: str, plaintext: bytes, context: bytes) -> bytes:
        """Seal by CKM_AES_GCM in the token, or under a data key that the token derives for this value alone
        (`cryptoki.operations`)."""
        check_length("plaintext", plaintext, MAX_PLAINTEXT)
        check_length("context", context, MAX_CONTEXT)
        return await self._pool.submit(
            lambda session: self._operations.wrap(session, label, plaintext, context)
        )

    async def unwrap(self, label: str, blob: bytes, context: bytes) -> bytes:
        """Open what `wrap` made."""
        check_blob(blob, context)
        return await self._pool.submit(lambda session: self._operations.unwrap(session, label, blob, context))

    async def random(self, size: int) -> bytes:
        """Return bytes of the token's generator, mixed with the operating system's: a poor token weakens nothing."""
        check_random(size)
        cryptoki = self._token.module.cryptoki
        theirs = await self._pool.submit(lambda session: cryptoki.random(session.handle, size))
        return bytes(a ^ b for a, b in zip(theirs, secrets.token_bytes(size), strict=True))

    async def generate_wrapped(self, wrapping_label: str, context: bytes) -> WrappedKey:
        """Generate an agreement key inside, wrap it by the companion of the wrapping key, and seal the result."""
        check_length("context", context, MAX_CONTEXT)
        return await self._pool.submit(
            lambda session: self._operations.generate_wrapped(session, wrapping_label, context)
        )

    async def ecdh_wrapped(
        self, wrapping_label: str, blob: bytes, context: bytes, peers: Sequence[bytes]
    ) -> builtins.list[bytes]:
        """Unwrap an agreement key inside the token, agree with each peer, destroy it."""
        check_peers(peers)
        for peer in peers:
            check_point(peer)
        check_blob(blob, context)
        return await self._pool.submit(
            lambda session: self._operations.ecdh_wrapped(session, wrapping_label, blob, context, peers)
        )

    async def rewrap(
        self, wrapping_label: str, blob: bytes, context: bytes, *, new_label: str, new_context: bytes
    ) -> bytes:
        """The same agreement key under another wrapping key, without leaving the token in clear."""
        check_blob(blob, context)
        check_length("context", new_context, MAX_CONTEXT)
        return await self._pool.submit(
            lambda session: self._operations.rewrap(
                session, wrapping_label, blob, context, new_label, new_context
            )
        )

    async def import_wrapped(self, wrapping_label: str, scalar: bytes, context: bytes) -> WrappedKey:
        """Wrap a P-256 private key from elsewhere."""
        check_length("context", context, MAX_CONTEXT)
        check_scalar(scalar)
        try:
            public = ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1()).public_key()
        except ValueError:
            raise InvalidRequest("This is not a private key of P-256.") from None
        point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return await self._pool.submit(
            lambda session: self._operations.import_wrapped(session, wrapping_label, scalar, point, context)
        )

    async def macs_inside(self) -> bool:
        """Whether the token can wrap HMAC keys; it was tried when the store was opened."""
        return self._abilities.ways.wraps_mac is not None

    async def wrap_mac_key(self, wrapping_label: str, key: bytes, context: bytes) -> bytes:
        """Put an HMAC key into the token, wrap it by the companion of the wrapping key, and seal the result."""
        check_mac_key(key)
        check_length("context", context, MAX_CONTEXT)
        return await self._pool.submit(
            lambda session: self._operations.wrap_mac_key(session, wrapping_label, key, context)
        )

    async def mac_wrapped(
        self,
        wrapping_label: str,
        blob: bytes,
        context: bytes,
        messages: Sequence[bytes],
        *,
        hash_name: HashName,
    ) -> builtins.list[bytes]:
        """HMAC of each message inside the token."""
        check_macs(messages)
        check_blob(blob, context)
        return await self._pool.submit(
            lambda session: self._operations.mac_wrapped(
                session, wrapping_label, blob, context, messages, hash_name
            )
        )

    async def rewrap_mac_key(
        self, wrapping_label: str, blob: bytes, context: bytes, *, new_label: str, new_context: bytes
    ) -> bytes:
        """The same HMAC key under another wrapping key, without leaving the token in clear."""
        check_blob(blob, context)
        check_length("context", new_context, MAX_CONTEXT)
        return await self._pool.submit(
            lambda session: self._operations.rewrap_mac_key(
                session, wrapping_label, blob, context, new_label, new_context
            )
        )

    async def examine(self, *, measure: bool) -> Sequence[OperationReport]:
        """Try every operation with keys that are gone afterwards."""
        self._check_open()
        return await examine(self, describe(self._abilities), measure=measure)

    def _check_open(self) -> None:
        if self._is_closed:
            raise HsmUnavailable("The key store was closed.")

    def _need(self, kind: KeyKind) -> None:
        if kind not in self._abilities.kinds:
            raise OperationUnsupported(
                f"The token has no keys of kind {kind.value}: it lacks {missing_for(kind)}. "
                "Run: tessera keys doctor"
            )
