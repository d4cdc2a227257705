"""What can go wrong with a PKCS#11 module, done to real ones: killed under load, stopped, its token taken away, its
sessions closed, its PIN wrong, changed or locked. Every fault is a named error, no answer is wrong, and the same
adapter goes on when the module is back."""

import asyncio
import collections
import hmac
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hsm_kit import point
from hsm_modules import (
    OPENCRYPTOKI,
    P11_KIT,
    PIN,
    SO_PIN,
    SOFTHSM,
    RemoteModule,
    opencryptoki,
    pin_file,
    run,
    uri_of,
)

from hsm_adapters.api import HashName, KeyKind
from hsm_adapters.cryptoki import workers
from hsm_adapters.cryptoki.binding import Cryptoki, CryptokiError
from hsm_adapters.cryptoki.constants import CKA_CLASS, CKR_DEVICE_MEMORY, CKR_SESSION_COUNT
from hsm_adapters.errors import (
    HsmConfigurationError,
    HsmError,
    HsmUnavailable,
    PinLocked,
    PinRefused,
    TokenFull,
    TokenNotPresent,
)
from hsm_adapters.pkcs11 import Pkcs11Adapter
from hsm_adapters.registry import open_store

IN_FLIGHT = 200
KEYS = 8


@dataclass
class Remote:
    """SoftHSM in a process of its own."""

    server: RemoteModule
    folder: Path
    uri: str


@pytest.fixture
def remote(remote_module: RemoteModule, tmp_path: Path) -> Remote:
    """A running remote module, reached through p11-kit."""
    return Remote(remote_module, tmp_path, uri_of(P11_KIT, tmp_path))


class Load:
    """Operations without a pause on many keys of each kind, each answer checked against what only that key gives."""

    def __init__(self, adapter: Pkcs11Adapter) -> None:
        self._adapter = adapter
        self._public: list[ec.EllipticCurvePublicKey] = []
        self._macs: list[bytes] = []
        self.right = 0
        self.wrong: list[str] = []
        self.errors: collections.Counter[str] = collections.Counter()
        self._is_over = False

    @classmethod
    async def with_keys(cls, adapter: Pkcs11Adapter) -> "Load":
        """Make the keys."""
        load = cls(adapter)
        for number in range(KEYS):
            await adapter.generate(f"wrap-{number}", KeyKind.WRAP_AES256)
            await adapter.generate(f"mac-{number}", KeyKind.MAC_SHA256)
            signing = await adapter.generate(f"sign-{number}", KeyKind.SIGN_P256)
            load._public.append(point(signing.public_key))
            load._macs.append(await adapter.mac(f"mac-{number}", b"known"))
        assert len(set(load._macs)) == KEYS
        return load

    async def run(self, number: int) -> None:
        """One caller."""
        count = 0
        while not self._is_over:
            count += 1
            key = (number + count) % KEYS
            try:
                await (self._seal, self._sign, self._authenticate)[count % 3](
                    key, f"{number} {count}".encode()
                )
                self.right += 1
            except HsmUnavailable as error:
                self.errors[error.code] += 1
                await asyncio.sleep(0.02)
            except Exception as error:
                self.wrong.append(repr(error))

    def end(self) -> None:
        """Have the callers end after their operation."""
        self._is_over = True

    async def _seal(self, key: int, text: bytes) -> None:
        blob = await self._adapter.wrap(f"wrap-{key}", text, text)
        assert await self._adapter.unwrap(f"wrap-{key}", blob, text) == text

    async def _sign(self, key: int, text: bytes) -> None:
        signature = await self._adapter.sign(f"sign-{key}", text)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        self._public[key].verify(encode_dss_signature(r, s), text, ec.ECDSA(SHA256()))

    async def _authenticate(self, key: int, _: bytes) -> None:
        assert await self._adapter.mac(f"mac-{key}", b"known") == self._macs[key]


async def test_killed_under_load_it_gives_no_wrong_answer_and_goes_on(remote: Remote) -> None:
    adapter = await Pkcs11Adapter.open(remote.uri)
    load = await Load.with_keys(adapter)
    callers = [asyncio.create_task(load.run(number)) for number in range(IN_FLIGHT)]
    for _ in range(3):
        await _until(lambda right=load.right: load.right > right + IN_FLIGHT)
        remote.server.kill()
        failed = load.errors.total()
        await _until(lambda failed=failed: load.errors.total() > failed + IN_FLIGHT)
        with pytest.raises(HsmUnavailable):
            await adapter.find("wrap-0")
        remote.server.start()
        await _until(lambda right=load.right: load.right > right + IN_FLIGHT)
    load.end()
    await asyncio.gather(*callers)
    assert load.wrong == []
    assert set(load.errors) <= {"hsm-unavailable", "hsm-token-not-present"}
    await adapter.close()


async def test_a_token_that_is_taken_away_is_named_and_taken_up_again(remote: Remote) -> None:
    adapter = await Pkcs11Adapter.open(remote.uri)
    await adapter.generate("mac", KeyKind.MAC_SHA256)
    mac = await adapter.mac("mac", b"")
    tokens, away = remote.folder / "tokens", remote.folder / "away"
    remote.server.kill()
    tokens.rename(away)
    tokens.mkdir()
    remote.server.start()
    await _until_raises(lambda: adapter.mac("mac", b""), TokenNotPresent)
    remote.server.kill()
    tokens.rmdir()
    away.rename(tokens)
    remote.server.start()
    assert await _until_answers(lambda: adapter.mac("mac", b"")) == mac
    await adapter.close()


async def test_a_silent_module_holds_nobody(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE_S", 0.5)
    monkeypatch.setattr(workers, "LOOK_S", 0.1)
    adapter = await Pkcs11Adapter.open(remote.uri)
    await adapter.generate("mac", KeyKind.MAC_SHA256)
    mac = await adapter.mac("mac", b"")
    remote.server.send(signal.SIGSTOP)
    outcomes = await asyncio.gather(
        *(adapter.mac("mac", b"") for _ in range(IN_FLIGHT)), return_exceptions=True
    )
    assert all(isinstance(outcome, HsmUnavailable) for outcome in outcomes)
    with pytest.raises(HsmUnavailable):  # at once: every worker is in the module
        await adapter.mac("mac", b"")
    remote.server.send(signal.SIGCONT)
    assert await _until_answers(lambda: adapter.mac("mac", b"")) == mac
    assert {await adapter.mac("mac", b"") for _ in range(50)} == {mac}
    await adapter.close()


async def test_closed_sessions_are_opened_again_unnoticed(local: str, logins: list[bytes]) -> None:
    adapter = await Pkcs11Adapter.open(local)
    await adapter.generate("mac", KeyKind.MAC_SHA256)
    mac = await adapter.mac("mac", b"")
    for _ in range(5):
        await asyncio.gather(*(adapter.mac("mac", b"") for _ in range(50)))
        adapter._token.module.cryptoki._library.C_CloseAllSessions(adapter._token.slot())
        assert set(await asyncio.gather(*(adapter.mac("mac", b"") for _ in range(50)))) == {mac}
    assert 1 < len(logins) <= 2 + 5 * (adapter._pool.size + 1)
    await adapter.close()


async def test_a_logged_out_user_is_logged_in_again(local: str) -> None:
    adapter = await Pkcs11Adapter.open(local)
    await adapter.generate("mac", KeyKind.MAC_SHA256)
    mac = await adapter.mac("mac", b"")
    adapter._token.module.cryptoki._library.C_Logout(
        await adapter._pool.submit(lambda session: session.handle)
    )
    assert {await adapter.mac("mac", b"") for _ in range(50)} == {mac}
    await adapter.close()


async def test_a_wrong_pin_is_sent_once(local: str, tmp_path: Path, logins: list[bytes]) -> None:
    pin_file(tmp_path, "00000000")
    for _ in range(20):
        with pytest.raises(PinRefused) as refused:
            await open_store(local)
        assert "00000000" not in str(refused.value)
    assert logins == [b"00000000"]
    pin_file(tmp_path, PIN)
    adapter = await open_store(local)
    assert logins == [b"00000000", PIN.encode()]
    await adapter.close()


async def test_a_pin_that_was_changed_is_sent_once_until_its_source_changes(
    remote: Remote, logins: list[bytes]
) -> None:
    adapter = await Pkcs11Adapter.open(remote.uri)
    await adapter.generate("mac", KeyKind.MAC_SHA256)
    mac = await adapter.mac("mac", b"")
    remote.server.kill()
    _change_pin(remote, "16180339")
    remote.server.start()
    del logins[:]
    await _until_raises(lambda: adapter.mac("mac", b""), PinRefused)
    outcomes = await asyncio.gather(
        *(adapter.mac("mac", b"") for _ in range(IN_FLIGHT)), return_exceptions=True
    )
    assert all(isinstance(outcome, HsmError) for outcome in outcomes)
    await asyncio.sleep(1.2)
    with pytest.raises(HsmError):
        await adapter.mac("mac", b"")
    assert logins == [PIN.encode()]
    pin_file(remote.folder, "16180339")
    assert await _until_answers(lambda: adapter.mac("mac", b"")) == mac
    await adapter.close()


async def test_a_locked_token_is_named_and_its_last_try_not_spent(
    tmp_path: Path, logins: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opencryptoki(tmp_path) as stand:
        for number in range(8):
            pin_file(tmp_path, f"0000000{number}")
            with pytest.raises((PinRefused, PinLocked)) as refused:
                await open_store(stand.uri)
            if isinstance(refused.value, PinLocked):
                break
        assert isinstance(refused.value, PinLocked)
        spent = len(logins)
        for _ in range(3):
            with pytest.raises(PinLocked):
                await open_store(stand.uri)
        assert len(logins) == spent
        pin_file(tmp_path)
        if "one try" in str(refused.value):  # the token still takes the right PIN from its owner
            run("pkcs11-tool", "--module", OPENCRYPTOKI, "--slot-index", "0", "--login", "--pin", PIN, "-O")
            adapter = await open_store(stand.uri)
            await adapter.close()


@pytest.mark.parametrize(
    ("path", "part"),
    [("/nowhere/module.so", "cannot be loaded"), (str(Path(__file__)), "cannot be loaded")],
)
async def test_a_wrong_module_path_is_named(path: str, part: str, tmp_path: Path) -> None:
    pin = pin_file(tmp_path)
    with pytest.raises(HsmConfigurationError, match=part):
        await open_store(f"pkcs11:token=tessera?module-path={path}&pin-source=file:{pin}")


async def test_a_library_that_is_no_module_is_named(tmp_path: Path) -> None:
    pin = pin_file(tmp_path)
    with pytest.raises(HsmConfigurationError, match="PKCS#11"):
        await open_store(f"pkcs11:token=tessera?module-path=libc.so.6&pin-source=file:{pin}")


async def test_a_token_that_is_not_there_is_named_with_those_that_are(local: str) -> None:
    with pytest.raises(TokenNotPresent, match="'tessera'"):
        await open_store(local.replace("token=tessera", "token=another"))


@pytest.mark.parametrize("value", [CKR_DEVICE_MEMORY, CKR_SESSION_COUNT])
async def test_a_full_token_is_named(local: str, monkeypatch: pytest.MonkeyPatch, value: int) -> None:
    """No module here says so by itself: the return value is put in its mouth."""
    adapter = await Pkcs11Adapter.open(local)

    def full(*_: object) -> int:
        raise CryptokiError("C_GenerateKey", value)

    with monkeypatch.context() as patch:
        patch.setattr(adapter._token.module.cryptoki, "generate", full)
        with pytest.raises(TokenFull):
            await adapter.generate("mac", KeyKind.MAC_SHA256)
    await adapter.generate("mac", KeyKind.MAC_SHA256)
    await adapter.close()


async def test_a_token_with_little_room_gives_up_the_keys_at_hand(
    local: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = await Pkcs11Adapter.open(f"{local}&x-sessions=1")
    await adapter.generate("wrap", KeyKind.WRAP_AES256)
    seeds = [bytes([number]) * 20 for number in range(1, 9)]
    blobs = [await adapter.wrap_mac_key("wrap", seed, b"") for seed in seeds]
    cryptoki = adapter._token.module.cryptoki
    unwrap, held = cryptoki.unwrap, list[int]()

    def narrow(session: int, *arguments: Any) -> int:
        """A token with room for three."""
        held[:] = [handle for handle in held if _is_there(cryptoki, session, handle)]
        if len(held) == 3:
            raise CryptokiError("C_UnwrapKey", CKR_DEVICE_MEMORY)
        held.append(unwrap(session, *arguments))
        return held[-1]

    monkeypatch.setattr(cryptoki, "unwrap", narrow)
    for _ in range(3):
        for seed, blob in zip(seeds, blobs, strict=True):
            macs = await adapter.mac_wrapped("wrap", blob, b"", [b"x"], hash_name=HashName.SHA1)
            assert macs == [hmac.digest(seed, b"x", "sha1")]
    await adapter.close()


def _is_there(cryptoki: Cryptoki, session: int, handle: int) -> bool:
    try:
        cryptoki.attributes(session, handle, CKA_CLASS)
    except CryptokiError:
        return False
    return True


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


async def _until_answers(call: Callable[[], Awaitable[bytes]]) -> bytes:
    async with asyncio.timeout(30):
        while True:
            try:
                return await call()
            except HsmError:
                await asyncio.sleep(0.05)


async def _until_raises(call: Callable[[], Awaitable[bytes]], kind: type[HsmError]) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await call()
            except kind:
                return
            except HsmUnavailable:
                pass
            await asyncio.sleep(0.05)


def _change_pin(remote: Remote, new: str) -> None:
    tool = ("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "tessera")
    so_login = ("--login", "--login-type", "so", "--so-pin", SO_PIN)
    environment = {"SOFTHSM2_CONF": str(remote.folder / "softhsm2.conf")}
    run(*tool, *so_login, "--init-pin", "--new-pin", new, environment=environment)
