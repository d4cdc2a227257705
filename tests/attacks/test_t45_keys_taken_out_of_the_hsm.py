"""T45: somebody with the gateway's PIN and a session of the module (its process taken over) tries to carry keys off."""

import ctypes
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hsm_kit import fresh_peer
from hsm_modules import softhsm

from gateway.keys.labels import agree_label, audit_label, wrap_label
from gateway.keys.service import ensure_keys, ensure_tenant_key
from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki.binding import Cryptoki, CryptokiError
from hsm_adapters.cryptoki.objects import AES_KEY, COMPANION, secret_template
from hsm_adapters.cryptoki.operations import AGREEMENT_KEY
from hsm_adapters.cryptoki.structures import Mechanism, Template
from hsm_adapters.cryptoki.workers import Session
from hsm_adapters.errors import UnwrapFailed
from hsm_adapters.pkcs11 import Pkcs11Adapter

TENANT = "ten_1"
REFUSED = {0x10, 0x11, 0x13, 0x17, 0x68, 0x69, 0x6A, 0xD1}
"""What a module says of it: read-only, sensitive, inconsistent, not permitted, not wrappable, not extractable."""


@pytest.fixture
async def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pkcs11Adapter]:
    """A token with all the keys of an installation."""
    with softhsm(tmp_path) as stand:
        for name, value in stand.environment.items():
            monkeypatch.setenv(name, value)
        opened = await Pkcs11Adapter.open(stand.uri)
        await ensure_keys(opened)
        await ensure_tenant_key(opened, TENANT)
        yield opened
        await opened.close()


async def inside(adapter: Pkcs11Adapter, attack: Callable[[Cryptoki, Session], None]) -> None:
    """Run an attack in a session of the gateway's own."""
    await adapter._pool.submit(lambda session: attack(adapter._token.module.cryptoki, session))


def handles(cryptoki: Cryptoki, session: Session) -> dict[str, int]:
    """Return every private and secret key of the token, by label."""
    found = {}
    for kind in (ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY):
        for handle in cryptoki.find(session.handle, Template((ck.CKA_CLASS, kind)), 100):
            (label,) = cryptoki.attributes(session.handle, handle, ck.CKA_LABEL)
            found[(label or b"").decode()] = handle
    return found


def refused(call: Callable[[], object]) -> None:
    """Expect that the module refuses."""
    with pytest.raises(CryptokiError) as error:
        call()
    assert error.value.value in REFUSED, str(error.value)


async def test_no_key_is_read_nor_made_readable(adapter: Pkcs11Adapter) -> None:
    def attack(cryptoki: Cryptoki, session: Session) -> None:
        keys = handles(cryptoki, session)
        assert {wrap_label(), wrap_label() + COMPANION, audit_label(), agree_label(TENANT)} <= set(keys)
        loose = Template((ck.CKA_EXTRACTABLE, True)), Template((ck.CKA_SENSITIVE, False))
        for handle in keys.values():
            refused(lambda handle=handle: cryptoki.value_of(session.handle, handle, ck.CKA_VALUE, 64))
            for template in loose:
                arguments = (ctypes.c_ulong(session.handle), ctypes.c_ulong(handle), template.array)
                length = ctypes.c_ulong(template.length)
                assert cryptoki._library.C_SetAttributeValue(*arguments, length) in REFUSED
                copy = ctypes.c_ulong()
                outcome = cryptoki._library.C_CopyObject(*arguments, length, ctypes.byref(copy))
                assert outcome in REFUSED

    await inside(adapter, attack)


async def test_no_key_is_wrapped_out_by_any_other(adapter: Pkcs11Adapter) -> None:
    """Also by a key of the attacker's own, whose value he knows."""

    def attack(cryptoki: Cryptoki, session: Session) -> None:
        keys = handles(cryptoki, session)
        own = secret_template(None, b"", (ck.CKA_WRAP, True), (ck.CKA_DECRYPT, True))
        wrapping = [*keys.values(), cryptoki.generate(session.handle, AES_KEY, own)]
        for mechanism in (Mechanism(ck.CKM_AES_KEY_WRAP), Mechanism(ck.CKM_AES_KEY_WRAP_PAD)):
            for wrapper in wrapping:
                for handle in keys.values():
                    with pytest.raises(CryptokiError):
                        cryptoki.wrap(session.handle, mechanism, wrapper, handle, 512)

    await inside(adapter, attack)


async def test_what_one_key_wrapped_no_key_decrypts(adapter: Pkcs11Adapter) -> None:
    """The classic: have a key wrapped, then ask the same key to decrypt the result as data (Clulow, CHES 2003)."""
    wrapped = await adapter.generate_wrapped(wrap_label(), b"pin key")

    def attack(cryptoki: Cryptoki, session: Session) -> None:
        keys = handles(cryptoki, session)
        data, companion = keys[wrap_label()], keys[wrap_label() + COMPANION]
        blob = wrapped.blob
        inner = cryptoki.open(
            session.handle, data, blob[13:], blob[1:13], b"\x01" + AGREEMENT_KEY + b"pin key"
        )
        ecb = Mechanism(ck.CKM_AES_ECB)
        refused(lambda: cryptoki.decrypt(session.handle, ecb, companion, inner[66:82], 16))
        refused(lambda: cryptoki.encrypt(session.handle, ecb, companion, inner[66:82], 16))
        refused(lambda: cryptoki.wrap(session.handle, Mechanism(ck.CKM_AES_KEY_WRAP), data, companion, 512))

    await inside(adapter, attack)


async def test_a_wrapped_key_opens_by_none_of_the_faces_other_doors(adapter: Pkcs11Adapter) -> None:
    wrapped = await adapter.generate_wrapped(wrap_label(), b"context")
    seed = await adapter.wrap_mac_key(wrap_label(), bytes(range(20)), b"context")
    _, peer = fresh_peer()
    for blob in (wrapped.blob, seed):
        for context in (b"context", b"", AGREEMENT_KEY + b"context"):
            with pytest.raises(UnwrapFailed):
                await adapter.unwrap(wrap_label(), blob, context)
    with pytest.raises(UnwrapFailed):
        await adapter.ecdh_wrapped(wrap_label(), seed, b"context", [peer])
