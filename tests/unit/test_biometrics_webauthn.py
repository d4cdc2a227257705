"""The checks of WebAuthn registrations and assertions, each step by an attack on it, against an authenticator of the
tests' own; and whatever bytes somebody sends, refused by name."""

from typing import Any

import pytest
from biometrics_kit import AT, BE, BS, ED, ORIGIN, UP, UV, Authenticator, encode, head
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocol.webauthn import (
    WebAuthnRefused,
    check_assertion,
    check_registration,
    parse_key,
)

CHALLENGE = bytes(range(32))
OTHER = bytes(32)


def register(parts: dict[str, bytes], challenge: bytes = CHALLENGE) -> Any:
    return check_registration(**parts, challenge=challenge, origins=(ORIGIN,))  # type: ignore[arg-type]


def authenticate(device: Authenticator, parts: dict[str, bytes], challenge: bytes = CHALLENGE) -> int:
    key = encode(device.cose())
    return check_assertion(**parts, key=key, challenge=challenge, origins=(ORIGIN,))  # type: ignore[arg-type]


@pytest.mark.parametrize("is_edwards", [False, True])
def test_a_device_enrols_and_asserts(is_edwards: bool) -> None:
    device = Authenticator(is_edwards=is_edwards)
    made = register(device.create(CHALLENGE))
    assert (made.credential, made.aaguid, made.sign_count) == (device.credential, device.aaguid, 1)
    assert made.key == encode(device.cose())
    assert authenticate(device, device.get(CHALLENGE)) == 2


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        ("type", {"kind": "webauthn.get"}),
        ("type", {"kind": "payment.get"}),
        ("origin", {"origin": "https://bank.example.evil.example"}),
        ("origin", {"origin": "http://bank.example"}),
        ("origin", {"origin": "https://bank.example:8443"}),
        ("origin", {"crossOrigin": True}),
        ("origin", {"topOrigin": "https://evil.example"}),
        ("client-data", {"origin": 7}),
        ("rp-id", {"rp_id": "evil.example"}),
        ("user-present", {"flags": UV | AT}),
        ("user-verified", {"flags": UP | AT}),
        ("backup", {"flags": UP | UV | AT | BS}),
        ("attestation-object", {"flags": UP | UV}),
        ("attestation-object", {"flags": UP | UV, "tail": b""}),
        ("attestation-object", {"flags": UP | UV | AT | ED}),
        ("attestation-object", {"fmt": "android-safetynet"}),
        ("attestation-object", {"statement": {"deep": [[[[[[[[]]]]]]]]}}),
        ("attestation-object", {"statement": {"wide": [0] * 300}}),
        ("key", {"cose": {1: 3, 3: -257, -1: bytes(256), -2: b"\x01\x00\x01"}}),
        ("key", {"cose": {1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)}}),
        ("key", {"cose": {1: 2, 3: -7, -1: 1, -2: bytes(31), -3: bytes(33)}}),
        ("key", {"cose": {1: 2, 3: -7, -1: 2, -2: bytes(48), -3: bytes(48)}}),
        ("attestation-object", {"cose": {1: 2, -1: 1, -2: bytes(32), -3: bytes(32)}}),
    ],
)
def test_a_wrong_registration_is_refused_by_its_step(step: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(WebAuthnRefused) as refused:
        register(Authenticator().create(CHALLENGE, **wrong))
    assert refused.value.step == step


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        ("type", {"kind": "webauthn.create"}),
        ("origin", {"origin": "https://evil.example"}),
        ("origin", {"crossOrigin": True}),
        ("rp-id", {"rp_id": "evil.example"}),
        ("user-present", {"flags": UV}),
        ("user-verified", {"flags": UP}),
        ("backup", {"flags": UP | UV | BS}),
        ("authenticator-data", {"tail": b"\x00"}),
        ("authenticator-data", {"flags": UP | UV | ED}),
        ("authenticator-data", {"flags": UP | UV | ED, "tail": head(4, 1) * 40 + b"\x00"}),
        ("authenticator-data", {"flags": UP | UV | AT, "tail": bytes(18)}),
    ],
)
def test_a_wrong_assertion_is_refused_by_its_step(step: str, wrong: dict[str, Any]) -> None:
    """All of them are signed as they stand: the signature alone does not save anybody."""
    device = Authenticator()
    with pytest.raises(WebAuthnRefused) as refused:
        authenticate(device, device.get(CHALLENGE, **wrong))
    assert refused.value.step == step


def test_a_challenge_stands_for_itself() -> None:
    device = Authenticator()
    for check in (
        lambda: register(device.create(CHALLENGE), OTHER),
        lambda: authenticate(device, device.get(CHALLENGE), OTHER),
        lambda: authenticate(device, device.get(CHALLENGE[:31])),
    ):
        with pytest.raises(WebAuthnRefused) as refused:
            check()
        assert refused.value.step == "challenge"


def test_another_key_s_signature_is_refused() -> None:
    device = Authenticator()
    for other in (Authenticator(), Authenticator(is_edwards=True)):
        with pytest.raises(WebAuthnRefused) as refused:
            authenticate(device, other.get(CHALLENGE))
        assert refused.value.step == "signature"


def test_extensions_and_synced_credentials_are_taken() -> None:
    device = Authenticator()
    parts = device.get(CHALLENGE, flags=UP | UV | ED | BE | BS, tail=encode({"uvm": [[2, 4, 2]]}))
    assert authenticate(device, parts) == 1
    register(device.create(CHALLENGE, fmt="packed", statement={"alg": -7, "sig": b"unread"}))


_SMALL = settings(max_examples=300, deadline=None)


@_SMALL
@given(st.data())
def test_every_altered_bit_of_an_assertion_is_refused(data: st.DataObject) -> None:
    device = Authenticator(is_edwards=data.draw(st.booleans()))
    parts = device.get(CHALLENGE)
    part = data.draw(st.sampled_from(sorted(parts)))
    # A DER signature has 70 to 72 bytes, so the place is drawn before its length is known.
    place = data.draw(st.integers(0, 2**16)) % (len(parts[part]) * 8)
    altered = bytearray(parts[part])
    altered[place // 8] ^= 1 << place % 8
    with pytest.raises(WebAuthnRefused):
        authenticate(device, {**parts, part: bytes(altered)})


_CBOR = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=10) | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-9, 9) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@_SMALL
@given(st.binary(max_size=600) | st.builds(encode, _CBOR), st.binary(max_size=200) | st.builds(encode, _CBOR))
def test_whatever_bytes_come_are_refused_by_name(raw: bytes, tail: bytes) -> None:
    device = Authenticator()
    attempts = [
        {"client_data": raw, "attestation_object": tail},
        {**device.create(CHALLENGE), "attestation_object": raw},
        device.create(CHALLENGE, tail=raw),
        device.create(CHALLENGE, tail=bytes(16) + b"\x00\x01c" + raw),
        device.create(CHALLENGE, flags=UP | UV | AT | ED, tail=bytes(16) + b"\x00\x01c" + raw + tail),
    ]
    for attempt in attempts:
        with pytest.raises(WebAuthnRefused):
            register(attempt)
    for got in (
        {**device.get(CHALLENGE), "client_data": raw},
        {**device.get(CHALLENGE), "authenticator_data": raw},
        {**device.get(CHALLENGE), "signature": raw},
    ):
        with pytest.raises(WebAuthnRefused):
            authenticate(device, got)
    with pytest.raises(WebAuthnRefused):
        parse_key(raw)


@pytest.mark.parametrize(
    "raw",
    [
        head(4, 1) * 4_000 + b"\x00",
        head(5, 2**63),
        head(4, 2**64 - 1) + b"\x00" * 4_000,
        head(2, 2**64 - 1),
        b"\x9f" + b"\x00" * 100 + b"\xff",
        b"\xc0" * 4_000,
        b"",
    ],
)
def test_deep_long_and_cut_cbor_ends_early(raw: bytes) -> None:
    device = Authenticator()
    for attempt in (
        {**device.create(CHALLENGE), "attestation_object": raw},
        device.create(CHALLENGE, tail=bytes(16) + b"\x00\x01c" + raw),
    ):
        with pytest.raises(WebAuthnRefused):
            register(attempt)


@pytest.mark.parametrize(
    "raw", [b"[" * 2_000, b'{"a":' * 400, b"\xff\xfe", b"null", b"{}", b'{"type":"webauthn.get"}']
)
def test_client_data_that_is_none_is_refused(raw: bytes) -> None:
    device = Authenticator()
    with pytest.raises(WebAuthnRefused) as refused:
        authenticate(device, {**device.get(CHALLENGE), "client_data": raw})
    assert refused.value.step == "client-data"


def test_each_origin_of_ours_is_its_own_host() -> None:
    """The phone app under another name of a development host, or another port."""
    device = Authenticator()
    ours = (ORIGIN, "http://localhost:8080")
    parts = device.create(CHALLENGE, origin=ours[1], rp_id="localhost")
    check_registration(**parts, challenge=CHALLENGE, origins=ours)
    with pytest.raises(WebAuthnRefused) as refused:
        check_registration(**device.create(CHALLENGE, origin=ours[1]), challenge=CHALLENGE, origins=ours)
    assert refused.value.step == "rp-id"
