"""The PKCS#11 adapter's threads, sessions and keys among others that work on the same module or token: other adapters,
other processes, other people's keys, a module that hangs."""

import asyncio
import hmac
import multiprocessing
import signal
import threading
from pathlib import Path

import pytest
from hsm_modules import P11_KIT, SOFTHSM, RemoteModule, pin_file, uri_of

from hsm_adapters.api import HashName, KeyKind
from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki import objects, workers
from hsm_adapters.cryptoki.binding import Cryptoki, CryptokiError
from hsm_adapters.cryptoki.objects import AES_KEY
from hsm_adapters.cryptoki.workers import Session
from hsm_adapters.errors import HsmError, HsmUnavailable, KeyExists, KeyNotFound, PinRefused
from hsm_adapters.pkcs11 import Pkcs11Adapter


async def test_one_library_by_two_paths_is_one_module(
    local: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsm_adapters.cryptoki.module.PAUSE_S", 0.0)
    link = tmp_path / "another-name.so"
    link.symlink_to(SOFTHSM)
    first, second = await Pkcs11Adapter.open(local), await Pkcs11Adapter.open(uri_of(link, tmp_path))
    labels = [f"mac-{number}" for number in range(12)]
    for label in labels:
        await first.generate(label, KeyKind.MAC_SHA256)
    known = {label: await second.mac(label, b"") for label in labels}
    assert len(set(known.values())) == len(labels)
    for _ in range(5):
        module = first._token.module
        await asyncio.to_thread(module.restart, module.epoch)
        for label in reversed(labels):
            answers = await asyncio.gather(
                *(each.mac(label, b"") for each in (first, second) for _ in range(8))
            )
            assert set(answers) == {known[label]}
    await first.close()
    assert await second.mac(labels[0], b"") == known[labels[0]]
    await second.close()


async def test_adapters_open_and_close_while_another_works(local: str) -> None:
    steady = await Pkcs11Adapter.open(local)
    await steady.generate("mac", KeyKind.MAC_SHA256)
    mac = await steady.mac("mac", b"")

    async def come_and_go() -> None:
        for _ in range(5):
            guest = await Pkcs11Adapter.open(local)
            assert await guest.mac("mac", b"") == mac
            await guest.close()

    guests = [asyncio.create_task(come_and_go()) for _ in range(3)]
    while not all(guest.done() for guest in guests):
        assert await steady.mac("mac", b"") == mac
    await asyncio.gather(*guests)
    await steady.close()


async def test_a_wrong_pin_is_sent_once_by_many_at_once(
    local: str, tmp_path: Path, logins: list[bytes]
) -> None:
    pin_file(tmp_path, "11111111")
    outcomes = await asyncio.gather(*(Pkcs11Adapter.open(local) for _ in range(8)), return_exceptions=True)
    assert all(isinstance(outcome, PinRefused) for outcome in outcomes)
    assert logins == [b"11111111"]


async def test_no_traceback_holds_the_pin(local: str, tmp_path: Path) -> None:
    pin_file(tmp_path, "22222222")
    with pytest.raises(PinRefused) as refused:
        await Pkcs11Adapter.open(local)
    seen, frames = refused.value.with_traceback(refused.value.__traceback__), 0
    while seen is not None:
        trace = seen.__traceback__
        while trace is not None:
            if "hsm_adapters" in trace.tb_frame.f_code.co_filename:
                frames += 1
                assert b"22222222" not in trace.tb_frame.f_locals.values()
            trace = trace.tb_next
        seen = seen.__context__  # type: ignore[assignment]
    assert frames > 3


async def test_a_pin_is_typed_in_peoples_time(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module has a tenth of a second for each operation, the person as long as it takes."""
    monkeypatch.setattr(workers, "PATIENCE_S", 0.1)
    typed = threading.Event()

    def type_it(*_: object, **__: object) -> bytes:
        typed.wait(5)
        return b"27182818"

    monkeypatch.setattr("hsm_adapters.cryptoki.token.read_pin_now", type_it)
    opening = asyncio.create_task(
        Pkcs11Adapter.open(local.partition("&pin-source")[0] + "&pin-source=prompt:")
    )
    await asyncio.sleep(0.5)
    assert not opening.done()
    typed.set()
    await (await opening).close()


async def test_a_fault_while_probing_does_not_weaken_the_store(
    local: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind of call of the probing fails once by a fault of the device: the store opens with all that it can do."""
    whole = await Pkcs11Adapter.open(local)
    for name in (
        "seal",
        "open",
        "encrypt",
        "sign",
        "derive",
        "wrap",
        "unwrap",
        "generate",
        "generate_pair",
        "create",
    ):
        with monkeypatch.context() as patch:
            real = getattr(Cryptoki, name)
            faults = [0x30]  # CKR_DEVICE_ERROR

            def failing(
                *arguments: object, _real: object = real, _faults: list[int] = faults, **more: object
            ) -> object:
                if _faults:
                    raise CryptokiError("C_Any", _faults.pop())
                return _real(*arguments, **more)  # type: ignore[operator]

            patch.setattr(Cryptoki, name, failing)
            shaken = await Pkcs11Adapter.open(local)
        assert shaken._abilities == whole._abilities, name
        await shaken.close()
    await whole.close()


async def test_a_token_that_is_lost_while_probing_is_no_weaker_token(
    local: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> bytes:
        raise CryptokiError("C_Encrypt", ck.CKR_TOKEN_NOT_PRESENT)

    def no_session(*_: object) -> int:
        raise CryptokiError("C_OpenSession", ck.CKR_TOKEN_NOT_PRESENT)

    with monkeypatch.context() as patch:

        def gone_for_good(*arguments: object, **more: object) -> bytes:
            patch.setattr(Cryptoki, "open_session", no_session)
            return gone(*arguments, **more)

        patch.setattr(Cryptoki, "seal", gone_for_good)
        with pytest.raises(HsmUnavailable):
            await Pkcs11Adapter.open(local)


@pytest.mark.parametrize("stopped_at", ["open", "work"])
async def test_a_hung_module_holds_neither_callers_nor_the_end(
    remote_module: RemoteModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: str
) -> None:
    monkeypatch.setattr(workers, "CLOSE_S", 0.3)
    monkeypatch.setattr("hsm_adapters.pkcs11.SLOW_PATIENCE_S", 0.5)
    uri = uri_of(P11_KIT, tmp_path)
    if stopped_at == "open":
        remote_module.send(signal.SIGSTOP)
        with pytest.raises(HsmUnavailable):
            await Pkcs11Adapter.open(uri)
    else:
        adapter = await Pkcs11Adapter.open(uri)
        await adapter.generate("mac", KeyKind.MAC_SHA256)
        remote_module.send(signal.SIGSTOP)
        callers = [asyncio.create_task(adapter.mac("mac", b"")) for _ in range(50)]
        await asyncio.sleep(0.1)
        await adapter.close()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(outcome, HsmUnavailable) for outcome in outcomes)
    remote_module.send(signal.SIGCONT)
    monkeypatch.setattr("hsm_adapters.pkcs11.SLOW_PATIENCE_S", 30.0)
    async with asyncio.timeout(30):
        while True:
            try:
                again = await Pkcs11Adapter.open(uri)
                break
            except HsmUnavailable:
                await asyncio.sleep(0.1)
    await again.generate("mac-2", KeyKind.MAC_SHA256)
    assert len({await again.mac("mac-2", b"") for _ in range(20)}) == 1
    await again.close()


def make_wrapping_keys(uri: str, rounds: int, won: "multiprocessing.Queue[str]", barrier: object) -> None:
    """What each of two processes does: make the same keys, and wrap under them."""

    async def make() -> None:
        adapter = await Pkcs11Adapter.open(uri)
        for number in range(rounds):
            barrier.wait()  # type: ignore[attr-defined]
            try:
                await adapter.generate(f"wrap-{number}", KeyKind.WRAP_AES256)
                won.put(f"wrap-{number}")
            except KeyExists:
                pass
            await adapter.generate_wrapped(f"wrap-{number}", b"")
        await adapter.close()

    asyncio.run(make())


async def test_two_processes_make_one_wrapping_key_with_one_companion(local: str) -> None:
    rounds = 6
    context = multiprocessing.get_context("spawn")
    won, barrier = context.Queue(), context.Barrier(2)
    processes = [
        context.Process(target=make_wrapping_keys, args=(local, rounds, won, barrier), daemon=True)
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join, 120)
        assert process.exitcode == 0
    assert sorted(won.get(timeout=5) for _ in range(rounds)) == [f"wrap-{number}" for number in range(rounds)]
    assert won.empty()
    adapter = await Pkcs11Adapter.open(local)
    for number in range(rounds):
        wrapped = await adapter.generate_wrapped(f"wrap-{number}", b"")
        assert wrapped.public_key
    await adapter.close()


async def test_keys_of_others_are_not_taken_for_ours(local: str) -> None:
    """Readable, of another size, or made for more: a key that an administrator left under our label."""
    adapter = await Pkcs11Adapter.open(local)
    cryptoki = adapter._token.module.cryptoki
    seals = ((ck.CKA_ENCRYPT, True), (ck.CKA_DECRYPT, True), (ck.CKA_TOKEN, True))

    def plant(session: Session) -> None:
        plain = (ck.CKA_SENSITIVE, False), (ck.CKA_EXTRACTABLE, True), (ck.CKA_VALUE_LEN, 32)
        leaves = (ck.CKA_SENSITIVE, True), (ck.CKA_EXTRACTABLE, True), (ck.CKA_VALUE_LEN, 32)
        short = (ck.CKA_SENSITIVE, True), (ck.CKA_EXTRACTABLE, False), (ck.CKA_VALUE_LEN, 16)
        for number, odd in enumerate((plain, leaves, short), 1):
            template = objects.Template(*seals, *odd, (ck.CKA_LABEL, f"tessera-wrap-{number}".encode()))
            cryptoki.generate(session.handle, AES_KEY, template)

    await adapter._pool.submit(plant)
    assert await adapter.list() == []
    for number in (1, 2, 3):
        with pytest.raises(KeyNotFound):
            await adapter.wrap(f"tessera-wrap-{number}", b"", b"")
        with pytest.raises(KeyExists):  # nor is a second one put beside it
            await adapter.generate(f"tessera-wrap-{number}", KeyKind.WRAP_AES256)
    await adapter.close()


@pytest.mark.parametrize("label", ["version", "keys", "held", "epoch"])
async def test_no_label_is_special(local: str, label: str) -> None:
    adapter = await Pkcs11Adapter.open(local)
    await adapter.generate(label, KeyKind.MAC_SHA256)
    assert len({await adapter.mac(label, b"") for _ in range(10)}) == 1
    await adapter.close()


async def test_seeds_at_hand_end_with_a_wrapping_key_that_another_process_destroyed(
    local: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "REMEMBERED_S", 0.0)
    adapter = await Pkcs11Adapter.open(local)
    await adapter.generate("wrap", KeyKind.WRAP_AES256)
    blob = await adapter.wrap_mac_key("wrap", bytes(range(20)), b"")
    (mac,) = await adapter.mac_wrapped("wrap", blob, b"", [b"x"], hash_name=HashName.SHA1)
    assert mac == hmac.digest(bytes(range(20)), b"x", "sha1")
    other = await Pkcs11Adapter.open(local)  # whose doings this one's counts do not see
    await other.destroy("wrap")
    for _ in range(8):
        with pytest.raises(KeyNotFound):
            await adapter.mac_wrapped("wrap", blob, b"", [b"x"], hash_name=HashName.SHA1)
    await other.close()
    await adapter.close()


async def test_a_token_that_shows_nothing_is_away_and_no_key_is_lost(local: str, tmp_path: Path) -> None:
    """SoftHSM's folder goes while it is in use: no error, no objects. And comes back."""
    adapter = await Pkcs11Adapter.open(local)
    for label in ("mac-1", "mac-2"):
        await adapter.generate(label, KeyKind.MAC_SHA256)
    known = await adapter.mac("mac-1", b"")
    await adapter.list()
    tokens, away = tmp_path / "tokens", tmp_path / "away"
    for _ in range(2):
        tokens.rename(away)
        for _ in range(12):
            for call in (adapter.list, lambda: adapter.find("mac-2"), lambda: adapter.mac("mac-1", b"")):
                try:
                    await call()
                except HsmUnavailable:
                    continue
            await asyncio.sleep(0.1)
        with pytest.raises(HsmUnavailable):
            await adapter.list()
        away.rename(tokens)
        async with asyncio.timeout(20):
            while True:
                try:
                    assert await adapter.mac("mac-1", b"") == known
                    break
                except HsmUnavailable:
                    await asyncio.sleep(0.1)
        assert [info.label for info in await adapter.list()] == ["mac-1", "mac-2"]
    await adapter.close()


async def test_what_is_cancelled_harms_nobody(local: str) -> None:
    adapter = await Pkcs11Adapter.open(local)
    await adapter.generate("mac", KeyKind.MAC_SHA256)
    mac = await adapter.mac("mac", b"")
    for _ in range(20):
        callers = [asyncio.create_task(adapter.mac("mac", b"")) for _ in range(50)]
        await asyncio.sleep(0)
        for caller in callers[::2]:
            caller.cancel()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert {outcome for outcome in outcomes if isinstance(outcome, bytes)} == {mac}
        assert not [outcome for outcome in outcomes if isinstance(outcome, HsmError)]
    assert adapter._pool._waiting == 0
    await adapter.close()
