"""Which key is in force for each purpose: the newest generation in the key store, asked for once a minute, so that a
running gateway takes up a key that `tessera keys rotate` made in another process. Whoever seals, signs or begins an
activation asks here each time, and holds no label of its own."""

import asyncio

import structlog

from gateway.core.clock import Clock
from gateway.keys.labels import KeyPurpose, parse_label
from hsm_adapters.api import HsmAdapter, KeyInfo
from hsm_adapters.errors import HsmError, HsmUnavailable, KeyNotFound

ASKED_S = 60.0
"""How long an answer of the key store is used without asking again."""
USED_S = 120.0
"""How long it is used while the key store does not answer. After that nothing is sealed or signed: somebody may have
rotated a key, and be about to retire the one that is known here."""
_AGAIN_S = 5.0

_Owner = tuple[KeyPurpose, str | None]
_log = structlog.get_logger("keys")


class KeyRing:
    """The keys of the installation and its tenants. One for the process."""

    def __init__(self, adapter: HsmAdapter, clock: Clock) -> None:
        self._adapter = adapter
        self._clock = clock
        self._newest: dict[_Owner, tuple[int, KeyInfo]] = {}
        self._oldest_wrap = 0
        self._asked_at: float | None = None
        self._ask_at = 0.0
        self._asking = asyncio.Lock()

    async def find(self, purpose: KeyPurpose, tenant_id: str | None = None) -> KeyInfo | None:
        """Return the key in force, None when there is none yet. Raises `HsmUnavailable` once the key store has not
        answered for two minutes."""
        now = self._clock.monotonic()
        if self._asked_at is None or now >= self._ask_at:
            is_good = self._asked_at is not None and now - self._asked_at < USED_S
            if not (is_good and self._asking.locked()):  # nobody waits for a task that asks already
                await self._ask_once()
        found = self._newest.get((purpose, tenant_id))
        return None if found is None else found[1]

    async def current(self, purpose: KeyPurpose, tenant_id: str | None = None) -> KeyInfo:
        """Return the key in force. Raises `KeyNotFound`, `HsmUnavailable`."""
        info = await self.find(purpose, tenant_id)
        if info is None:
            raise KeyNotFound(f"There is no key for '{purpose}'. Run: tessera keys init")
        return info

    async def wrapping_label(self) -> str:
        """Return the label of the wrapping key in force. Raises as `current`."""
        return (await self.current(KeyPurpose.WRAP)).label

    async def wrapping_generation(self) -> int:
        """Return its generation. Raises as `current`."""
        await self.current(KeyPurpose.WRAP)
        return self._newest[KeyPurpose.WRAP, None][0]

    async def has_older_wrapping(self) -> bool:
        """Whether the key store holds wrapping keys that are not in force any more. Raises as `current`."""
        return self._oldest_wrap < await self.wrapping_generation()

    async def audit_label(self) -> str:
        """Return the label of the audit key in force. Raises as `current`."""
        return (await self.current(KeyPurpose.AUDIT)).label

    def known(self, purpose: KeyPurpose) -> KeyInfo | None:
        """Return the key of the last answer, without asking: for who may not wait."""
        found = self._newest.get((purpose, None))
        return None if found is None else found[1]

    async def refresh(self) -> None:
        """Ask now. Raises `HsmError`."""
        async with self._asking:
            await self._ask()

    async def _ask_once(self) -> None:
        async with self._asking:
            now = self._clock.monotonic()
            if self._asked_at is not None and now < self._ask_at:
                return  # another task has asked meanwhile
            try:
                await self._ask()
            except HsmError as error:
                if self._asked_at is None:
                    raise
                if now - self._asked_at >= USED_S:
                    raise HsmUnavailable(
                        "The key store has not said for two minutes which keys it holds."
                    ) from error
                self._ask_at = min(now + _AGAIN_S, self._asked_at + USED_S)
                _log.warning("the key store does not say which keys it holds", error=error.code)

    async def _ask(self) -> None:
        newest: dict[_Owner, tuple[int, KeyInfo]] = {}
        oldest: dict[_Owner, int] = {}
        for info in await self._adapter.list():
            name = parse_label(info.label)
            if name is None or info.kind is not name.purpose.kind:
                continue
            owner = (name.purpose, name.tenant_id)
            if owner not in newest or name.generation > newest[owner][0]:
                newest[owner] = (name.generation, info)
            oldest[owner] = min(oldest.get(owner, name.generation), name.generation)
        self._newest, self._oldest_wrap = newest, oldest.get((KeyPurpose.WRAP, None), 0)
        self._asked_at = self._clock.monotonic()
        self._ask_at = self._asked_at + ASKED_S
