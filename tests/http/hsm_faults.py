"""A simulator of a key store that fails: `FaultSimulator` stands before a real software adapter, counts the calls, and
fails the nth one (or all) with a given error, as an HSM does whose module dies or whose token is pulled in mid-work."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
from gateway_kit import GatewayKit

from gateway.audit.service import Checkpointer
from gateway.keys import stores
from hsm_adapters.api import HsmAdapter, KeyInfo, KeyKind, WrappedAgreementKeys, WrappedKey
from hsm_adapters.errors import (
    HsmConfigurationError,
    HsmError,
    HsmUnavailable,
    OperationUnsupported,
    PinLocked,
    PinRefused,
    TokenFull,
    TokenNotPresent,
)
from hsm_adapters.registry import create_store, open_store

OUTAGES: tuple[type[HsmError], ...] = (
    HsmUnavailable,
    TokenNotPresent,
    TokenFull,
    HsmConfigurationError,
    PinRefused,
    PinLocked,
    OperationUnsupported,
)
"""What a key store that worked may raise later, until it is mended."""


class FaultSimulator(HsmAdapter, WrappedAgreementKeys):
    """The simulator. `calls` names what was asked for; `is_down` fails everything."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._fail_at = 0
        self._error: type[HsmError] = HsmUnavailable
        self.is_down = False
        self.calls: list[str] = []

    def fail(self, number: int, error: type[HsmError]) -> None:
        """Count anew, and fail the `number`th call (from 1), once; 0 fails none."""
        self.calls, self._fail_at, self._error = [], number, error

    @contextlib.contextmanager
    def down(self, error: type[HsmError]) -> Iterator[None]:
        """Fail every call meanwhile."""
        self.is_down, self._error = True, error
        try:
            yield
        finally:
            self.is_down = False

    @property
    def has_failed(self) -> bool:
        """Whether the nth call came."""
        return 0 < self._fail_at <= len(self.calls)

    async def _ask(self, name: str, work: Awaitable[Any]) -> Any:
        self.calls.append(name)
        if self.is_down or len(self.calls) == self._fail_at:
            work.close()  # type: ignore[attr-defined]
            raise self._error("simulated: the slot is empty")
        return await work

    @classmethod
    async def open(cls, uri: str) -> Self:
        return cls(await open_store(uri))

    @classmethod
    async def create(cls, uri: str) -> Self:
        return cls(await create_store(uri))

    async def close(self) -> None:
        await self._inner.close()

    async def generate(self, label: str, kind: KeyKind) -> KeyInfo:
        return await self._ask("generate", self._inner.generate(label, kind))

    async def find(self, label: str) -> KeyInfo:
        return await self._ask("find", self._inner.find(label))

    async def list(self) -> Sequence[KeyInfo]:
        return await self._ask("list", self._inner.list())

    async def destroy(self, label: str) -> None:
        await self._ask("destroy", self._inner.destroy(label))

    async def sign(self, label: str, message: bytes) -> bytes:
        return await self._ask("sign", self._inner.sign(label, message))

    async def ecdh(self, label: str, peer: bytes) -> bytes:
        return await self._ask("ecdh", self._inner.ecdh(label, peer))

    async def mac(self, label: str, message: bytes) -> bytes:
        return await self._ask("mac", self._inner.mac(label, message))

    async def wrap(self, label: str, plaintext: bytes, context: bytes) -> bytes:
        return await self._ask("wrap", self._inner.wrap(label, plaintext, context))

    async def unwrap(self, label: str, blob: bytes, context: bytes) -> bytes:
        return await self._ask("unwrap", self._inner.unwrap(label, blob, context))

    async def random(self, size: int) -> bytes:
        return await self._ask("random", self._inner.random(size))

    async def generate_wrapped(self, wrapping_label: str, context: bytes) -> WrappedKey:
        return await self._ask("generate_wrapped", self._inner.generate_wrapped(wrapping_label, context))

    async def ecdh_wrapped(
        self, wrapping_label: str, blob: bytes, context: bytes, peers: Sequence[bytes]
    ) -> Any:
        work = self._inner.ecdh_wrapped(wrapping_label, blob, context, peers)
        return await self._ask("ecdh_wrapped", work)

    async def rewrap(
        self, wrapping_label: str, blob: bytes, context: bytes, *, new_label: str, new_context: bytes
    ) -> bytes:
        work = self._inner.rewrap(wrapping_label, blob, context, new_label=new_label, new_context=new_context)
        return await self._ask("rewrap", work)


@contextlib.asynccontextmanager
async def running_on_simulator(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[tuple[GatewayKit, FaultSimulator]]:
    """Serve a gateway whose key store is the simulator."""
    # Its calls come when a second is over, and would take the fault from the flow that is looked at.
    monkeypatch.setattr("gateway.app.Checkpointer", partial(Checkpointer, look_s=3_600))
    monkeypatch.setattr(stores, "create_store", FaultSimulator.create)
    monkeypatch.setattr(stores, "open_store", FaultSimulator.open)
    async with GatewayKit.running(folder, **settings) as kit:
        adapter = kit.now.installation.adapter
        assert isinstance(adapter, FaultSimulator)
        yield kit, adapter
