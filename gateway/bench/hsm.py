"""Bench `hsm`: what the PKCS#11 adapter adds to a module. Operations through the adapter, with four workers, beside the
same calls of the module by one thread in their C order, by turns; the longest pause of the event loop while the module
generates RSA-3072 keys; and checks of one-time codes with HMAC inside, beside the software store's, each a durable
compare-and-set like a real one. On a SoftHSM token of its own, or on the key store of TESSERA_BENCH_HSM."""

import asyncio
import ctypes
import hmac
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.bench import Bar, Measure, Unavailable, measure, register
from gateway.bench.load.process import tell_load
from gateway.core.clock import SystemClock
from gateway.core.transaction import Transaction
from gateway.keys.labels import wrap_label
from gateway.keys.ring import KeyRing
from gateway.keys.seeds import SeedKeeper
from gateway.protocol.otp import code_of, counter_message, matching
from gateway.storage.engine import Storage
from hsm_adapters.api import HashName, HsmAdapter, KeyKind
from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki.module import Module
from hsm_adapters.cryptoki.objects import KeyObjects
from hsm_adapters.cryptoki.structures import Gcm, Mechanism, Template, ecdh
from hsm_adapters.cryptoki.token import Pin, Token, TokenChoice
from hsm_adapters.cryptoki.workers import Session, WorkerPool
from hsm_adapters.errors import HsmError
from hsm_adapters.registry import create_store, open_store
from hsm_adapters.uri import KeyUri

WORKERS = 4
IN_FLIGHT = 64
TURNS = 9
TURN_S = 0.4
WINDOW = 3
TOKENS = 256
IDLE_S = 0.5
RATE_BAR = Bar(0.6, "at least", judges="ratio")
PAUSE_BAR = Bar(20.0)
OTP_BAR = Bar(0.5, "at least", judges="ratio")
_SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
_TEXT, _CONTEXT = bytes(32), b"tessera bench"
_TICK_S = 0.001

Call = Callable[[], Awaitable[object]]
Raw = Callable[[], None]


@register("hsm")
def hsm() -> Iterator[Measure]:
    """Yield rates, the pause, and code checks. Takes about a minute. Raises Unavailable without SoftHSM or another
    token."""
    tell_load()
    with _token() as uri:
        yield from uvloop.run(_run(uri))
    tell_load()


async def _run(uri: str) -> list[Measure]:
    found = []
    async with _stand(uri) as stand:
        for name, (call, raw) in stand.operations.items():
            rates = [await _turn(stand.pool, call, raw) for _ in range(TURNS)]
            value, bound = sorted(rates, key=lambda pair: pair[0] / pair[1])[TURNS // 2]
            found.append(measure("hsm", name, value=value, unit="/s", bound=bound, bar=RATE_BAR))
        idle = await _longest_pause(stand, 0)
        pause = await _longest_pause(stand, WORKERS)
        found.append(measure("hsm", "event-loop pause", value=pause, unit="ms", bound=idle, bar=PAUSE_BAR))
        found.append(await _check_codes(stand.adapter))
    return found


@contextmanager
def _token() -> Iterator[str]:
    """The key URI of a token to measure on."""
    if given := os.environ.get("TESSERA_BENCH_HSM"):
        yield given
        return
    if not _SOFTHSM.exists() or shutil.which("softhsm2-util") is None:
        raise Unavailable("no SoftHSM here: apt-get install softhsm2, or set TESSERA_BENCH_HSM to a key URI")
    pin = str(secrets.randbelow(10**8)).zfill(8)
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as name:
        folder = Path(name)
        (folder / "tokens").mkdir()
        (folder / "softhsm2.conf").write_text(
            f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n"
        )
        (folder / "pin").touch(0o600)
        (folder / "pin").write_text(pin)
        os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", "bench", "--pin", pin, "--so-pin", pin],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        yield f"pkcs11:token=bench?module-path={_SOFTHSM}&pin-source=file:{folder / 'pin'}"


@dataclass(frozen=True, slots=True)
class _Stand:
    """The adapter, a pool on the same token, and each operation through the one and as raw calls."""

    adapter: HsmAdapter
    pool: WorkerPool
    module: Module
    operations: Mapping[str, tuple[Call, Callable[[Session], Raw]]]

    def make_rsa(self, session: Session) -> None:
        """Generate an RSA-3072 key pair, and forget it."""
        mechanism = Mechanism(ck.CKM_RSA_PKCS_KEY_PAIR_GEN)
        public = Template((ck.CKA_MODULUS_BITS, 3072), (ck.CKA_PUBLIC_EXPONENT, b"\x01\x00\x01"))
        private = Template((ck.CKA_TOKEN, False), (ck.CKA_SIGN, True))
        for handle in self.module.cryptoki.generate_pair(session.handle, mechanism, public, private):
            self.module.cryptoki.destroy(session.handle, handle)


@asynccontextmanager
async def _stand(uri: str) -> AsyncIterator[_Stand]:
    adapter = await open_store(uri)
    parsed = KeyUri.parse(uri)
    module = Module.acquire(parsed.query["module-path"], parsed.query.get("x-init-args"))
    token = Token(module, TokenChoice(dict(parsed.path)), Pin(parsed.query.get("pin-source")))
    pool = WorkerPool(token, size=WORKERS, at_end=token.close)
    prefix = f"bench-{secrets.token_hex(4)}"
    labels = {kind: f"{prefix}-{kind.value}" for kind in KeyKind}
    wrapping = await _wrapping_key(adapter)
    try:
        for kind, label in labels.items():
            await adapter.generate(label, kind)
        yield _Stand(adapter, pool, module, await _operations(adapter, module, labels))
    finally:
        for label in [*labels.values(), *([wrapping] if wrapping else [])]:
            await adapter.destroy(label)
        await pool.close()
        module.release()
        await adapter.close()


async def _wrapping_key(adapter: HsmAdapter) -> str | None:
    """Make the key under which seeds are sealed, unless the store has it; return what to destroy afterwards."""
    try:
        await adapter.find(wrap_label())
    except HsmError:
        return (await adapter.generate(wrap_label(), KeyKind.WRAP_AES256)).label
    return None


async def _operations(
    adapter: HsmAdapter, module: Module, labels: Mapping[KeyKind, str]
) -> dict[str, tuple[Call, Callable[[Session], Raw]]]:
    signing, agreeing = labels[KeyKind.SIGN_P256], labels[KeyKind.AGREE_P256]
    mac, wrapping = labels[KeyKind.MAC_SHA256], labels[KeyKind.WRAP_AES256]
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    peer = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    blob = await adapter.wrap(wrapping, _TEXT, _CONTEXT)
    keys = KeyObjects(module.cryptoki, needs_login=True)
    functions = module.cryptoki.functions
    length = ctypes.c_ulong()
    size = ctypes.byref(length)

    def two_calls(
        init: str, do: str, label: str, mechanism: Mechanism, data: bytes
    ) -> Callable[[Session], Raw]:
        begin, end = functions[init], functions[do]

        def make(session: Session) -> Raw:
            handle, key, out = session.handle, keys.get(session, label).handle, (ctypes.c_ubyte * 256)()

            def raw() -> None:
                length.value = 256
                if begin(handle, mechanism.reference, key) or end(handle, data, len(data), out, size):
                    raise RuntimeError(f"{do} failed")

            return raw

        return make

    def agree(session: Session) -> Raw:
        handle, key, out = session.handle, keys.get(session, agreeing).handle, (ctypes.c_ubyte * 32)()
        template = Template(
            (ck.CKA_CLASS, ck.CKO_SECRET_KEY),
            (ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET),
            (ck.CKA_TOKEN, False),
            (ck.CKA_SENSITIVE, False),
            (ck.CKA_EXTRACTABLE, True),
            (ck.CKA_VALUE_LEN, 32),
        )
        mechanism = ecdh(ck.CKM_ECDH1_DERIVE, kdf=ck.CKD_NULL, public=peer)
        wanted = Template((ck.CKA_VALUE, bytes(out)))
        secret = ctypes.c_ulong()

        def raw() -> None:
            derived = functions["C_DeriveKey"](
                handle, mechanism.reference, key, template.array, template.length, ctypes.byref(secret)
            )
            told = functions["C_GetAttributeValue"](handle, secret, wanted.array, 1)
            if derived or told or functions["C_DestroyObject"](handle, secret):
                raise RuntimeError("ECDH failed")

        return raw

    sealing, opening = Gcm(), Gcm()
    sealing.set(bytes(12), b"\x01tessera data\x00" + _CONTEXT)
    opening.set(blob[1:13], b"\x01tessera data\x00" + _CONTEXT)
    ecdsa, hmac_sha256 = Mechanism(ck.CKM_ECDSA), Mechanism(ck.CKM_SHA256_HMAC)
    return {
        "sign": (
            lambda: adapter.sign(signing, _TEXT),
            two_calls("C_SignInit", "C_Sign", signing, ecdsa, _TEXT),
        ),
        "ecdh": (lambda: adapter.ecdh(agreeing, peer), agree),
        "hmac": (lambda: adapter.mac(mac, _TEXT), two_calls("C_SignInit", "C_Sign", mac, hmac_sha256, _TEXT)),
        "wrap": (
            lambda: adapter.wrap(wrapping, _TEXT, _CONTEXT),
            two_calls("C_EncryptInit", "C_Encrypt", wrapping, sealing, _TEXT),
        ),
        "unwrap": (
            lambda: adapter.unwrap(wrapping, blob, _CONTEXT),
            two_calls("C_DecryptInit", "C_Decrypt", wrapping, opening, blob[13:]),
        ),
    }


async def _turn(pool: WorkerPool, call: Call, make: Callable[[Session], Raw]) -> tuple[float, float]:
    """Return operations a second through the adapter, and raw."""

    def alone(session: Session) -> float:
        raw = make(session)
        count, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < TURN_S:
            for _ in range(20):
                raw()
            count += 20
        return count / spent

    bound = await pool.submit(alone)
    return await _rate(call, TURN_S), bound


async def _rate(call: Call, seconds: float) -> float:
    """Return how many calls a second are answered, with IN_FLIGHT on their way."""
    count, start = 0, time.perf_counter()

    async def caller() -> None:
        nonlocal count
        while time.perf_counter() - start < seconds:
            await call()
            count += 1

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return count / (time.perf_counter() - start)


async def _longest_pause(stand: _Stand, keys: int) -> float:
    """Return the longest pause of the loop in ms while workers generate that many RSA-3072 keys at once (none: for half
    a second): the longest of three looks."""
    looks = []
    for _ in range(3):
        making = [stand.pool.submit(stand.make_rsa) for _ in range(keys)]
        longest, start = 0.0, time.perf_counter()
        before = start
        while before < start + IDLE_S or not all(future.done() for future in making):
            await asyncio.sleep(_TICK_S)
            now = time.perf_counter()
            longest, before = max(longest, now - before - _TICK_S), now
        await asyncio.gather(*making)
        looks.append(longest * 1000)
    return max(looks)


async def _check_codes(adapter: HsmAdapter) -> Measure:
    """Return how many codes a second are checked with HMAC in the module, beside the software store."""
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as folder:
        store = f"software:file={folder}/keys?key-source=file:{folder}/key"
        software = await create_store(store)
        await software.generate(wrap_label(), KeyKind.WRAP_AES256)
        desks = [
            await _Desk.open(
                SeedKeeper(each, KeyRing(each, SystemClock()), inside=inside), f"sqlite:///{folder}/{name}.db"
            )
            for each, inside, name in ((adapter, True, "module"), (software, False, "software"))
        ]
        ratios: list[tuple[float, float]] = [
            (await _rate(desks[0].check_next, TURN_S), await _rate(desks[1].check_next, TURN_S))
            for _ in range(TURNS)
        ]
        for desk in desks:
            await desk.storage.close()
        await software.close()
    value, bound = sorted(ratios, key=lambda pair: pair[0] / pair[1])[TURNS // 2]
    return measure("hsm", "code check, HMAC inside", value=value, unit="/s", bound=bound, bar=OTP_BAR)


_TOKENS = sa.Table(
    "bench_tokens",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("seed", sa.LargeBinary, nullable=False),
    sa.Column("counter", sa.BigInteger, nullable=False),
)
_FIND = sa.select(_TOKENS.c.seed, _TOKENS.c.counter).where(_TOKENS.c.id == sa.bindparam("token"))
_TAKE = (
    sa.update(_TOKENS)
    .where(_TOKENS.c.id == sa.bindparam("token"), _TOKENS.c.counter == sa.bindparam("seen"))
    .values(counter=sa.bindparam("next"))
)


class _Desk:
    """Tokens in a database, and checks of their next codes."""

    def __init__(self, seeds: SeedKeeper, storage: Storage) -> None:
        self.storage = storage
        self._seeds = seeds
        self._known = [secrets.token_bytes(20) for _ in range(TOKENS)]
        self._counters = [0] * TOKENS
        self._turn = 0

    @classmethod
    async def open(cls, seeds: SeedKeeper, url: str) -> "_Desk":
        desk = cls(seeds, Storage(url))
        await desk.storage.write(lambda tx: _TOKENS.create(tx.connection))
        rows = [
            {"id": token, "seed": await seeds.seal(seed, **_cell(token)), "counter": 0}
            for token, seed in enumerate(desk._known)
        ]
        await desk.storage.write(lambda tx: tx.execute(sa.insert(_TOKENS), rows))
        return desk

    async def check_next(self) -> None:
        """Check the next code of the next token, once: the seed, the HMAC of the code that is due (those of the window
        after it when it is another), and the compare-and-set."""
        self._turn += 1
        token = self._turn % TOKENS
        counter = self._counters[token]
        self._counters[token] += 1
        code = code_of(hmac.digest(self._known[token], counter_message(counter), "sha1"))
        row = await self.storage.read(lambda tx: tx.execute(_FIND, {"token": token}).one())
        sealed, seen = row.seed, row.counter
        place = None
        for steps in (range(1), range(1, WINDOW)):
            messages = [counter_message(seen + step) for step in steps]
            macs = await self._seeds.macs(sealed, messages, hash_name=HashName.SHA1, **_cell(token))
            if (place := matching(code, macs)) is not None:
                place += steps.start
                break
        if place is None:
            raise RuntimeError("a right code was refused")
        values = {"token": token, "seen": seen, "next": seen + place + 1}

        def take(tx: Transaction) -> bool:
            return tx.execute(_TAKE, values).rowcount == 1

        if not await self.storage.write(take):
            raise RuntimeError("a code was taken twice")


def _cell(token: int) -> dict[str, str]:
    return {"table": "bench_tokens", "column": "seed", "row": str(token)}
