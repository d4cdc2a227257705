"""Wake-ups on the wire: RFC 8291's own example, what a sender encrypts as a browser opens it, who signed it, and how
long a push service is left alone."""

import json
from pathlib import Path

import http_ece
import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from push_kit import CURVE, Browser, b64d, check_vapid, open_message, point

from gateway.core.clock import ManualClock
from gateway.core.encoding import b64url_encode
from gateway.push.sender import LONGEST_WAIT_S, PAYLOAD, encrypt, read_retry_after
from gateway.push.vapid import LIFE_S, Vapid
from hsm_adapters.api import HsmAdapter, KeyInfo, KeyKind
from hsm_adapters.software import SoftwareAdapter

# RFC 8291 section 5 and appendix A.
PLAIN = b"When I grow up, I want to be a watermelon"
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
BROWSER = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
BROWSER_POINT = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
    "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(b64d(text), "big"), CURVE)


def test_the_example_of_rfc_8291_is_opened_as_the_tests_open() -> None:
    assert point(private(BROWSER).public_key()) == b64d(BROWSER_POINT)
    assert open_message(b64d(BODY), key=private(BROWSER), auth=b64d(AUTH)) == PLAIN


def test_the_library_that_encrypts_makes_the_example_of_rfc_8291() -> None:
    made = http_ece.encrypt(
        PLAIN,
        salt=b64d(SALT),
        private_key=private(SENDER),
        dh=b64d(BROWSER_POINT),
        auth_secret=b64d(AUTH),
        version="aes128gcm",
    )
    assert made == b64d(BODY)


@given(st.binary(min_size=1, max_size=3_000), st.binary(min_size=16, max_size=16))
def test_a_browser_opens_what_is_encrypted_for_it_and_no_other_does(payload: bytes, auth: bytes) -> None:
    browser = Browser("https://push.example/1", auth=auth)
    body = encrypt(payload, p256dh=browser.p256dh, auth=auth)
    assert len(body) == 16 + 4 + 1 + 65 + len(payload) + 1 + 16
    assert browser.open(body) == payload
    for other in (Browser("", auth=auth), Browser("", key=browser.key, auth=bytes(x ^ 1 for x in auth))):
        with pytest.raises(InvalidTag):
            other.open(body)


def test_no_two_messages_have_a_key_or_salt_in_common() -> None:
    browser = Browser("")
    bodies = [encrypt(PAYLOAD, p256dh=browser.p256dh, auth=browser.auth) for _ in range(20)]
    assert len({body[:16] for body in bodies}) == len({body[21:86] for body in bodies}) == 20
    assert {browser.open(body) for body in bodies} == {PAYLOAD}
    assert len({len(body) for body in bodies}) == 1


# Who sends ---------------------------------------------------------------------------------------------------


class CountingSigner:
    """The key store, with a count of what it signed."""

    def __init__(self, adapter: HsmAdapter) -> None:
        self._adapter = adapter
        self.signed = 0

    async def find(self, label: str) -> KeyInfo:
        return await self._adapter.find(label)

    async def sign(self, label: str, message: bytes) -> bytes:
        self.signed += 1
        return await self._adapter.sign(label, message)


@pytest.fixture
async def vapid(tmp_path: Path) -> tuple[Vapid, CountingSigner, ManualClock]:
    adapter = await SoftwareAdapter.create(
        f"software:file={tmp_path}/k.tessera?key-source=file:{tmp_path}/k.key"
    )
    key = await adapter.generate("tessera-push-1", KeyKind.SIGN_P256)
    clock, signer = ManualClock(), CountingSigner(adapter)
    assert key.public_key is not None
    made = Vapid(
        adapter=signer,  # type: ignore[arg-type]
        in_force=lambda: key,
        contact="mailto:operator@bank.example",
        clock=clock,
    )
    return made, signer, clock


async def test_token_is_for_the_origin_alone_and_ends_within_a_day(
    vapid: tuple[Vapid, CountingSigner, ManualClock],
) -> None:
    tokens, _, clock = vapid
    for endpoint, origin in (
        ("https://push.example/a/b?c=d", "https://push.example"),
        ("https://push.example:8443/x", "https://push.example:8443"),
    ):
        claims = check_vapid(
            await tokens.authorization(endpoint, "tessera-push-1"), public_key=tokens.public_key
        )
        assert claims["aud"] == origin
        assert claims["sub"] == "mailto:operator@bank.example"
        assert clock.now() < claims["exp"] <= clock.now() + 86_400
        assert set(claims) == {"aud", "exp", "sub"}


async def test_one_token_serves_an_origin_until_it_is_nearly_over(
    vapid: tuple[Vapid, CountingSigner, ManualClock],
) -> None:
    tokens, signer, clock = vapid
    first = await tokens.authorization("https://push.example/1", "tessera-push-1")
    assert await tokens.authorization("https://push.example/2", "tessera-push-1") == first
    assert signer.signed == 1
    for _ in range(20):
        clock.advance(LIFE_S / 5)
        claims = check_vapid(
            await tokens.authorization("https://push.example/1", "tessera-push-1"),
            public_key=tokens.public_key,
        )
        assert claims["exp"] > clock.now() + 60
    assert 4 <= signer.signed <= 8


async def test_a_token_that_was_changed_does_not_verify(
    vapid: tuple[Vapid, CountingSigner, ManualClock],
) -> None:
    tokens, _, _ = vapid
    text = await tokens.authorization("https://push.example/1", "tessera-push-1")
    claims = text.split("t=")[1].split(".")[1]
    other = b64url_encode(json.dumps({"aud": "https://evil.example", "exp": 1, "sub": "x"}).encode())
    with pytest.raises(InvalidSignature):
        check_vapid(text.replace(claims, other), public_key=tokens.public_key)


# How long to wait --------------------------------------------------------------------------------------------

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        ("120", 120),
        ("99999999999", LONGEST_WAIT_S),
        ("-5", 0),
        ("soon", 0),
        ("٣", 0),
        ("Fri, 15 Jan 2027 08:01:30 GMT", 90),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
        ("Fri, 15 Jan 9999 07:00:00 GMT", LONGEST_WAIT_S),
    ],
)
def test_retry_after_is_read_in_both_forms(text: str | None, seconds: int) -> None:
    assert read_retry_after(text, now=NOW) == seconds


@given(st.text(max_size=40))
def test_retry_after_may_hold_anything(text: str) -> None:
    assert 0 <= read_retry_after(text, now=NOW) <= LONGEST_WAIT_S
