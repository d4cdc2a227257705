"""Tries every operation of a key store with keys that are gone afterwards, and measures each for a moment. Adapters
call it for `Examinable.examine`; `tessera keys doctor` prints what it finds."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_adapters.api import (
    HashName,
    HsmAdapter,
    KeyKind,
    OperationReport,
    WrappedAgreementKeys,
    WrappedKeyImport,
    WrappedMacKeys,
)
from hsm_adapters.errors import HsmError, HsmUnavailable

MEASURE_S = 0.3
_CONTEXT = b"tessera doctor"
_LACKING = "the store does not offer it"

Call = Callable[[], Awaitable[object]]


async def examine(adapter: HsmAdapter, how: Mapping[str, str], *, measure: bool) -> list[OperationReport]:
    """Return a report an operation. `how` says by operation how this store does it. Raises `HsmUnavailable` when it
    does not answer at all."""
    bench = _Bench(adapter, measure=measure)
    try:
        return [await bench.report(name, how.get(name, "")) for name in bench.trials]
    finally:
        await bench.clean()


class _Bench:
    """The trials, by the operations' names, and the keys that they use."""

    def __init__(self, adapter: HsmAdapter, *, measure: bool) -> None:
        self._adapter = adapter
        self._measure = measure
        self._prefix = f"doctor-{secrets.token_hex(4)}"
        self._made: set[str] = set()
        peer = ec.generate_private_key(ec.SECP256R1()).public_key()
        self._peer = peer.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.trials: dict[str, Callable[[], Awaitable[Call | None]]] = {
            "sign": self._sign,
            "ecdh": self._ecdh,
            "mac": self._mac,
            "wrap": self._wrap,
            "unwrap": self._unwrap,
            "generate wrapped agreement key": self._generate_wrapped,
            "ecdh by wrapped agreement key": self._ecdh_wrapped,
            "import agreement key": self._import,
            "wrap HMAC key": self._wrap_mac,
            "HMAC by wrapped key": self._mac_wrapped,
            "random": self._random,
        }

    async def report(self, name: str, how: str) -> OperationReport:
        """Try one operation, and measure it."""
        try:
            call = await self.trials[name]()
            if call is None:
                return OperationReport(name, is_supported=False, how=_LACKING, rate=None)
            await call()
            rate = await _rate(call) if self._measure else None
        except HsmUnavailable:
            raise
        except HsmError as error:
            return OperationReport(name, is_supported=False, how=str(error), rate=None)
        return OperationReport(name, is_supported=True, how=how, rate=rate)

    async def clean(self) -> None:
        """Destroy what was made."""
        for label in self._made:
            with suppress(HsmError):
                await self._adapter.destroy(label)

    async def _key(self, kind: KeyKind) -> str:
        label = f"{self._prefix}-{kind.value}"
        if label not in self._made:
            await self._adapter.generate(label, kind)
            self._made.add(label)
        return label

    async def _sign(self) -> Call:
        label = await self._key(KeyKind.SIGN_P256)
        return lambda: self._adapter.sign(label, _CONTEXT)

    async def _ecdh(self) -> Call:
        label = await self._key(KeyKind.AGREE_P256)
        return lambda: self._adapter.ecdh(label, self._peer)

    async def _mac(self) -> Call:
        label = await self._key(KeyKind.MAC_SHA256)
        return lambda: self._adapter.mac(label, _CONTEXT)

    async def _wrap(self) -> Call:
        label = await self._key(KeyKind.WRAP_AES256)
        return lambda: self._adapter.wrap(label, bytes(32), _CONTEXT)

    async def _unwrap(self) -> Call:
        label = await self._key(KeyKind.WRAP_AES256)
        blob = await self._adapter.wrap(label, bytes(32), _CONTEXT)
        return lambda: self._adapter.unwrap(label, blob, _CONTEXT)

    async def _generate_wrapped(self) -> Call | None:
        keys = self._adapter
        if not isinstance(keys, WrappedAgreementKeys):
            return None
        label = await self._key(KeyKind.WRAP_AES256)
        return lambda: keys.generate_wrapped(label, _CONTEXT)

    async def _ecdh_wrapped(self) -> Call | None:
        keys = self._adapter
        if not isinstance(keys, WrappedAgreementKeys):
            return None
        label = await self._key(KeyKind.WRAP_AES256)
        wrapped = await keys.generate_wrapped(label, _CONTEXT)
        return lambda: keys.ecdh_wrapped(label, wrapped.blob, _CONTEXT, [self._peer])

    async def _import(self) -> Call | None:
        keys = self._adapter
        if not isinstance(keys, WrappedKeyImport):
            return None
        label = await self._key(KeyKind.WRAP_AES256)
        scalar = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")
        return lambda: keys.import_wrapped(label, scalar, _CONTEXT)

    async def _wrap_mac(self) -> Call | None:
        keys = self._adapter
        if not isinstance(keys, WrappedMacKeys):
            return None
        label = await self._key(KeyKind.WRAP_AES256)
        seed = secrets.token_bytes(20)
        return lambda: keys.wrap_mac_key(label, seed, _CONTEXT)

    async def _mac_wrapped(self) -> Call | None:
        keys = self._adapter
        if not isinstance(keys, WrappedMacKeys):
            return None
        label = await self._key(KeyKind.WRAP_AES256)
        blob = await keys.wrap_mac_key(label, secrets.token_bytes(20), _CONTEXT)
        return lambda: keys.mac_wrapped(label, blob, _CONTEXT, [bytes(8)], hash_name=HashName.SHA1)

    async def _random(self) -> Call:
        return lambda: self._adapter.random(32)


async def _rate(call: Call) -> float:
    start = time.perf_counter()
    count = 0
    while (spent := time.perf_counter() - start) < MEASURE_S:
        await call()
        count += 1
    return count / spent
