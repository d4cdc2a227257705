"""The PKCS#11 adapter on real modules: the suite of every key store, and what PKCS#11 promises beside it: keys that do
not leave, whoever asks."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from hsm_adapter import HsmAdapterContract, OpenAgain
from hsm_modules import Stand, stands

from hsm_adapters.api import KeyKind
from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki import operations
from hsm_adapters.cryptoki.binding import CryptokiError
from hsm_adapters.cryptoki.module import Module
from hsm_adapters.cryptoki.structures import Template
from hsm_adapters.cryptoki.token import Pin, Token, TokenChoice
from hsm_adapters.cryptoki.workers import Session
from hsm_adapters.errors import HsmError
from hsm_adapters.pkcs11 import Pkcs11Adapter
from hsm_adapters.uri import KeyUri

_AGREEMENT = {
    "ecdh",
    "generate wrapped agreement key",
    "ecdh by wrapped agreement key",
    "import agreement key",
}
_SEEDS = {"wrap HMAC key", "HMAC by wrapped key"}
LACKING = {
    "softhsm": set(),
    "nss": set(),
    "opencryptoki": {"sign", *_AGREEMENT},
    "tpm2": {"mac", "wrap", "unwrap", *_AGREEMENT, *_SEEDS},
    "p11-kit": {*_AGREEMENT, *_SEEDS},
}
"""What the modules of Debian 12 cannot do: opencryptoki 3.8 has no elliptic curves, tpm2-pkcs11 1.9 makes no secret
keys and no ECDH, and p11-kit 0.24 carries no mechanism that takes a structure, nor any that wraps keys by AES."""


@pytest.fixture(scope="module", params=list(stands))
def stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A token of each module."""
    folder = tmp_path_factory.mktemp(request.param)
    with stands[request.param](folder) as made, pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        uri = KeyUri.parse(made.uri)
        # One session stays open, as in a gateway: each test's login is not the token's first.
        module = Module.acquire(uri.query["module-path"], uri.query.get("x-init-args"))
        token = Token(module, TokenChoice(dict(uri.path)), Pin(f"file:{folder / 'pin'}"))
        token.open_session()
        yield made
        token.close()
        module.release()


@pytest.fixture
async def adapter(stand: Stand) -> AsyncIterator[Pkcs11Adapter]:
    """The token, open and empty."""
    opened = await Pkcs11Adapter.open(stand.uri)
    try:
        yield opened
        for info in await opened.list():
            with suppress(HsmError):
                await opened.destroy(info.label)
    finally:
        await opened.close()


@pytest.fixture
def open_again(stand: Stand) -> OpenAgain:
    """The same token once more."""
    return lambda: Pkcs11Adapter.open(stand.uri)


@pytest.fixture(autouse=True)
def few_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session keeps so few HMAC keys at hand that the suite's many push one another out."""
    monkeypatch.setattr(operations, "_MAX_HELD", 8)


class TestPkcs11(HsmAdapterContract):
    """The suite."""


async def test_the_token_can_do_what_the_table_says(
    adapter: Pkcs11Adapter, request: pytest.FixtureRequest
) -> None:
    reports = await adapter.examine(measure=False)
    lacking = {report.operation for report in reports if not report.is_supported}
    assert lacking == LACKING[request.node.callspec.params["stand"]]
    assert all(report.how for report in reports)
    assert not [info for info in await adapter.list() if info.label.startswith("doctor")]


_EVER = (ck.CKA_ALWAYS_SENSITIVE, ck.CKA_NEVER_EXTRACTABLE, ck.CKA_LOCAL)


async def test_no_key_tells_its_value(adapter: Pkcs11Adapter, request: pytest.FixtureRequest) -> None:
    """Every object that the adapter made refuses to tell its value, and to be wrapped out by any key of the token."""
    made = 0
    for kind in KeyKind:
        with suppress(HsmError):
            await adapter.generate(f"secret-{kind.value}", kind)
            made += 1
    assert made
    cryptoki = adapter._token.module.cryptoki

    def ask(session: Session) -> list[tuple[list[bytes | None], str]]:
        answers = []
        for kind in (ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY):
            template = Template((ck.CKA_CLASS, kind), (ck.CKA_TOKEN, True))
            for handle in cryptoki.find(session.handle, template, 100):
                facts = cryptoki.attributes(
                    session.handle, handle, ck.CKA_VALUE, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE, *_EVER
                )
                try:
                    cryptoki.value_of(session.handle, handle, ck.CKA_VALUE, 64)
                    told = "told"
                except CryptokiError as error:
                    told = str(error)
                answers.append((facts, told))
        return answers

    answers = await adapter._pool.submit(ask)
    assert len(answers) >= made
    for (value, sensitive, extractable, *ever), told in answers:
        assert not value
        # Made inside, and so from the first moment on. NSS does not tell of secret keys where they began.
        known = 2 if request.node.callspec.params["stand"] == "nss" else 3
        assert ever[:known] == [b"\x01"] * known
        assert sensitive == b"\x01"
        assert extractable == b"\x00"
        assert "CKR_ATTRIBUTE_SENSITIVE" in told or "CKR_ATTRIBUTE_TYPE_INVALID" in told
