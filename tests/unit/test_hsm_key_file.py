"""The key file's parser under any bytes, and the registry under any set of packages."""

import secrets
from collections.abc import Callable
from importlib.metadata import EntryPoint

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from hsm_adapters import registry
from hsm_adapters.api import HsmAdapter, KeyKind
from hsm_adapters.errors import AdapterNotFound, HsmConfigurationError, InvalidKeyUri, InvalidRequest
from hsm_adapters.key_file import Kdf, KeyRecord, open_keys, read_kdf, seal_keys
from hsm_adapters.software import SoftwareAdapter

KDF = Kdf.for_key()
CIPHER = KDF.derive(bytes(32))
HEADER = 46


def record(label: str = "a", *, material: bytes = b"m" * 32) -> KeyRecord:
    return KeyRecord(label, KeyKind.MAC_SHA256, 1.5, material)


GOOD = seal_keys([record("b"), record("a")], KDF, CIPHER)


def test_keys_come_back_in_order() -> None:
    assert [key.label for key in open_keys(GOOD, CIPHER)] == ["a", "b"]
    assert open_keys(seal_keys([], KDF, CIPHER), CIPHER) == []


def test_a_record_does_not_show_its_material() -> None:
    assert "mmm" not in repr(record())


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes) -> None:
    for prefix in (b"", b"TSRAKEYS", b"TSRAKEYS\x01", b"TSRAKEYS\x01\x02"):
        with pytest.raises(HsmConfigurationError):
            open_keys(prefix + content, CIPHER)


@given(st.data())
def test_any_edit_of_a_file_is_refused(data: st.DataObject) -> None:
    edit: Callable[[bytes, int, bytes], bytes] = data.draw(
        st.sampled_from(
            [
                lambda content, at, extra: content[:at] + extra + content[at:],
                lambda content, at, extra: content[:at] + content[at + len(extra) :],
                lambda content, at, extra: content[:at] + extra + content[at + len(extra) :],
                lambda content, at, extra: content[:at],
            ]
        )
    )
    edited = edit(GOOD, data.draw(st.integers(0, len(GOOD))), data.draw(st.binary(min_size=1, max_size=20)))
    if edited == GOOD:
        return
    with pytest.raises(HsmConfigurationError):
        open_keys(edited, CIPHER)


def test_costs_out_of_bounds_are_refused_before_they_are_paid() -> None:
    header = bytearray(GOOD)
    header[9] = 1  # a passphrase
    for memory, passes, lanes in (
        (2**32 - 1, 3, 4),
        (1_048_577, 3, 4),
        (65_536, 0, 4),
        (65_536, 65, 4),
        (65_536, 3, 0),
        (65_536, 3, 65),
        (31, 3, 4),
        (0, 0, 0),
    ):
        header[10:18] = memory.to_bytes(4, "big") + passes.to_bytes(2, "big") + lanes.to_bytes(2, "big")
        with pytest.raises(HsmConfigurationError):
            read_kdf(bytes(header))
    header[10:18] = (65_536).to_bytes(4, "big") + (3).to_bytes(2, "big") + (4).to_bytes(2, "big")
    assert read_kdf(bytes(header)).takes_passphrase


def test_a_later_version_says_so() -> None:
    with pytest.raises(HsmConfigurationError, match="version 2"):
        read_kdf(GOOD[:8] + b"\x02" + GOOD[9:])


def sealed(plaintext: bytes) -> bytes:
    """Return a file of that plaintext, as somebody who knows the key could make it."""
    header = GOOD[: HEADER - 12] + secrets.token_bytes(12)
    return header + CIPHER.encrypt(header[-12:], plaintext, header)


_key = {"label": "a", "kind": "mac-sha256", "created_at": 1.0, "material": b"m" * 32}


@pytest.mark.parametrize(
    "contents",
    [
        {},
        [],
        {"keys": {}},
        {"keys": [], "more": 1},
        {"keys": [{**_key, "more": 1}]},
        {"keys": [{**_key, "kind": "rsa"}]},
        {"keys": [{**_key, "label": ""}]},
        {"keys": [{**_key, "label": "a" * 65}]},
        {"keys": [{**_key, "label": "../a"}]},
        {"keys": [{**_key, "material": b"m" * 31}]},
        {"keys": [{**_key, "material": "not base64!"}]},
        {"keys": [_key, _key]},
        {"keys": [{**_key, "label": "b"}, _key]},
        {"keys": [{**_key, "created_at": "now"}]},
    ],
)
def test_odd_contents_are_refused(contents: object) -> None:
    with pytest.raises(HsmConfigurationError):
        open_keys(sealed(msgspec.json.encode(contents)), CIPHER)


@given(st.binary(max_size=100) | st.text(max_size=50).map(str.encode))
def test_any_contents_are_refused(plaintext: bytes) -> None:
    with pytest.raises(HsmConfigurationError):
        open_keys(sealed(plaintext), CIPHER)


def test_what_does_not_fit_is_not_written() -> None:
    with pytest.raises(InvalidRequest):
        seal_keys([record(), record()], KDF, CIPHER)
    with pytest.raises(InvalidRequest):
        seal_keys([record(material=b"short")], KDF, CIPHER)
    with pytest.raises(InvalidRequest, match="full"):
        seal_keys([record(f"k{n:063}") for n in range(100_000)], KDF, CIPHER)


def test_every_file_has_a_nonce_of_its_own() -> None:
    nonces = {seal_keys([], KDF, CIPHER)[HEADER - 12 : HEADER] for _ in range(100)}
    assert len(nonces) == 100


def test_another_key_or_salt_does_not_open() -> None:
    for cipher in (AESGCM(bytes(32)), KDF.derive(b"k" * 32), Kdf.for_key().derive(bytes(32))):
        with pytest.raises(HsmConfigurationError):
            open_keys(GOOD, cipher)


# The registry -----------------------------------------------------------------------------------------------


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, registry.GROUP)


OURS = entry("software", "hsm_adapters.software:SoftwareAdapter")


def test_our_adapter_is_found_as_anybody_elses() -> None:
    assert registry.find_adapter("software:file=a") is SoftwareAdapter


def test_an_unknown_scheme_names_those_there_are() -> None:
    with pytest.raises(AdapterNotFound, match=r"'cloud:'.*software:"):
        registry.find_adapter("cloud:key=1", installed=[OURS])
    with pytest.raises(AdapterNotFound, match="none"):
        registry.find_adapter("software:file=a", installed=[])
    with pytest.raises(InvalidKeyUri):
        registry.find_adapter("keys.tessera", installed=[OURS])


def test_a_missing_library_names_the_extra_to_install() -> None:
    missing = entry("pkcs11", "hsm_adapters.no_such_module:Adapter")
    with pytest.raises(AdapterNotFound, match=r"hsm_adapters\.no_such_module.*tessera-gateway\[pkcs11\]"):
        registry.find_adapter("pkcs11:token=a", installed=[missing])


def test_two_adapters_of_one_scheme_are_refused() -> None:
    other = entry("software", "elsewhere:Adapter")
    with pytest.raises(HsmConfigurationError, match="Two packages"):
        registry.find_adapter("software:file=a", installed=[OURS, other])
    assert registry.find_adapter("software:file=a", installed=[OURS, OURS]) is SoftwareAdapter


@pytest.mark.parametrize(
    "value", ["hsm_adapters.uri:KeyUri", "hsm_adapters.api:MAX_LABEL", "hsm_adapters.files"]
)
def test_what_is_not_an_adapter_is_refused(value: str) -> None:
    with pytest.raises(HsmConfigurationError, match="not an HsmAdapter"):
        registry.find_adapter("other:a=b", installed=[entry("other", value)])


def test_an_incomplete_adapter_cannot_be_made() -> None:
    class Half(HsmAdapter):
        async def random(self, size: int) -> bytes:
            return bytes(size)

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
