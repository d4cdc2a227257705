"""The primitives in the bounds of the benches `activations` and `approvals` are those that a real visit has at a real
gateway: counted at the library's own functions, whoever calls them, so that neither gateway nor bound drifts unseen."""

import asyncio
import hashlib
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from types import FrameType
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.bench.load.approvers import Approvers, Holder
from gateway.bench.load.customers import Customers
from gateway.bench.load.installation import BankAccount, Ground
from gateway.bench.load.primitives import ACTIVATION, APPROVAL, operations, primitives_ms
from gateway.bench.load.rest import Rest
from gateway.bench.load.seeding import SeededPhone, Seeder
from gateway.phone.transport import Site
from gateway.protocol import symmetric
from hsm_adapters import held_keys

SPARED = {"read a point": 1}
"""What the gateway does beyond the bound, since an activation could do without: it reads g_D anew for the second
signature of one connection."""

LARGE = 1_000
_METHODS = {
    ("ECPrivateKey", "exchange"): "agree",
    ("ECPrivateKey", "sign"): "sign",
    ("ECPublicKey", "verify"): "verify",
    ("MLKEM768PublicKey", "encapsulate"): "encapsulate",
    ("MLKEM768PrivateKey", "decapsulate"): "decapsulate",
    ("HMAC", "finalize"): "HMAC",
    ("HKDF", "derive"): "HKDF",
}
"""Of the library's compiled classes."""
_WRITTEN = {
    ec.derive_private_key.__code__: "load a key",
    mlkem.MLKEM768PublicKey.from_public_bytes.__func__.__code__: "read a KEM key",  # type: ignore[attr-defined]
}
_READ_A_POINT = ec.EllipticCurvePublicKey.from_encoded_point.__func__.__code__  # type: ignore[attr-defined]


class Counting:
    """Counts what the library does in the thread that enters. The phone is in another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        own = self

        class Aead:
            """Its constructor and the sizes are what no profile shows."""

            def __init__(self, key: bytes) -> None:
                self._aead = AESGCM(key)
                own.count("AEAD key")

            def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
                own.count("seal a large part" if len(data) > LARGE else "seal")
                return self._aead.encrypt(nonce, data, associated_data)

            def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
                own.count("open a large part" if len(data) > LARGE else "open")
                return self._aead.decrypt(nonce, data, associated_data)

        def sha256(data: bytes) -> Any:
            own.count("hash a large part" if len(data) > LARGE else "hash")
            return hashlib.sha256(data)

        monkeypatch.setattr(symmetric, "_sha256", sha256)
        assert vars(held_keys)["AESGCM"] is AESGCM, "the key store is loaded, to be among the modules"
        for name, module in list(sys.modules.items()):
            if name.startswith(("gateway.", "hsm_adapters.")) and vars(module).get("AESGCM") is AESGCM:
                monkeypatch.setattr(module, "AESGCM", Aead)

    def count(self, name: str) -> None:
        """Count one, where this thread's work is counted."""
        if sys.getprofile() is not None:
            self.counts[name] += 1

    def __enter__(self) -> Counter[str]:
        sys.setprofile(self._see)
        return self.counts

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, called: Any) -> None:
        name = None
        if event == "call":
            name = _WRITTEN.get(frame.f_code)
            if frame.f_code is _READ_A_POINT:
                name = "read a point" if len(frame.f_locals["data"]) == 65 else "read a small point"
        elif event == "c_call":
            name = _METHODS.get((type(getattr(called, "__self__", None)).__name__, called.__name__))
            if called is ec.generate_private_key:
                name = "generate a key"
        if name is not None:
            self.counts[name] += 1


def bound(counts: Mapping[str, int], spared: Mapping[str, int] | None = None) -> dict[str, int]:
    """What the counts of a bound come to, with what the gateway does beyond it."""
    named = Counter({operation.name: operation.count for operation in operations(counts)})
    return dict(named + Counter(spared or {}))


async def settled(counts: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    """Wait until the gateway has sent its last messages, which nobody reads any more; two seconds are enough for it."""
    for _ in range(100):
        await asyncio.sleep(0.02)
        if counts["seal"] >= wanted["seal"]:
            return


async def visit(ground: Ground, account: BankAccount) -> None:
    """Bind one phone."""
    async with aiohttp.ClientSession() as http:
        await Customers(http, Site(ground.host, f"http://{ground.host}"), account).activate(0)


async def test_the_bound_has_the_primitives_that_an_activation_needs(
    ground: Ground, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    async with ground.opened() as installation:
        account = await BankAccount.open(installation)
    async with serving(ground):

        def on_a_phone() -> None:
            asyncio.run(visit(ground, account))

        await asyncio.to_thread(on_a_phone)  # what is remembered from then on is no part of an activation
        with counting as counts:
            await asyncio.to_thread(on_a_phone)
            await settled(counts, ACTIVATION)
    assert dict(counts) == bound(ACTIVATION, SPARED)


class Approving:
    """Approves on one phone's channel in a loop of its own thread, told when."""

    def __init__(self, ground: Ground, account: BankAccount, phone: SeededPhone) -> None:
        self._ground = ground
        self._account = account
        self._holder = Holder(phone)
        self.is_open, self.may_go, self.is_over = threading.Event(), threading.Event(), threading.Event()
        self.may_end = threading.Event()

    def run(self) -> None:
        """Open, approve once, and once more when the test is ready to count."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        site = Site(self._ground.host, f"http://{self._ground.host}")
        async with aiohttp.ClientSession() as http:
            approvers = Approvers(Rest(http, site.url), site, self._account, [self._holder])
            await approvers.open()
            await approvers.approve(0)
            self.is_open.set()
            await asyncio.to_thread(self.may_go.wait)
            await approvers.approve(1)
            self.is_over.set()
            await asyncio.to_thread(self.may_end.wait)
            await approvers.close()


async def test_the_bound_has_the_primitives_that_an_approval_needs(
    ground: Ground, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    async with ground.opened() as installation:
        account = await BankAccount.open(installation)
        seeder = await Seeder.prepare(installation, account, host=ground.host)
        (phone,) = await seeder.seed_enrolled(1)
    async with serving(ground):
        approving = Approving(ground, account, phone)
        ending = asyncio.create_task(asyncio.to_thread(approving.run))
        await asyncio.to_thread(approving.is_open.wait, 30)
        with counting as counts:
            approving.may_go.set()
            await asyncio.to_thread(approving.is_over.wait, 30)
            await settled(counts, APPROVAL)
        approving.may_end.set()
        await ending
    assert dict(counts) == bound(APPROVAL)


def test_every_primitive_of_the_bounds_runs() -> None:
    for counts in (ACTIVATION, APPROVAL):
        assert primitives_ms(counts, rounds=2) > 0
