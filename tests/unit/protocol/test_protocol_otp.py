"""One-time codes, on the RFCs' own values."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.otp import code_of, counter_message, matching, time_step, truncate

SEED = b"12345678901234567890"
HOTP = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
TRUNCATED = [
    "4c93cf18",
    "41397eea",
    "82fef30",
    "66ef7655",
    "61c5938a",
    "33c083d4",
    "7256c032",
    "4e5b397",
    "2823443f",
    "2679dc69",
]
TOTP = [  # RFC 6238 appendix B: time, then 8 digits by SHA-1, SHA-256 and SHA-512
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]


@pytest.mark.parametrize("counter", range(10))
def test_hotp_gives_the_codes_of_rfc_4226_appendix_d(counter: int) -> None:
    mac = hmac.digest(SEED, counter_message(counter), "sha1")
    assert truncate(mac) == int(TRUNCATED[counter], 16)
    assert code_of(mac) == HOTP[counter]


@pytest.mark.parametrize(("at_s", "sha1", "sha256", "sha512"), TOTP)
def test_totp_gives_the_codes_of_rfc_6238_appendix_b(at_s: int, sha1: str, sha256: str, sha512: str) -> None:
    for name, size, code in (("sha1", 20, sha1), ("sha256", 32, sha256), ("sha512", 64, sha512)):
        seed = (SEED * 4)[:size]
        mac = hmac.digest(seed, counter_message(time_step(at_s)), name)
        assert code_of(mac, digits=8) == code


@pytest.mark.parametrize("digits", [5, 11, 0, -1])
def test_other_lengths_are_refused(digits: int) -> None:
    with pytest.raises(ValueError, match="digits"):
        code_of(bytes(20), digits=digits)


@pytest.mark.parametrize("counter", [-1, 2**64])
def test_counters_have_eight_bytes(counter: int) -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        counter_message(counter)


@pytest.mark.parametrize(("at_s", "step_s"), [(-1, 30), (0, 0)])
def test_odd_times_are_refused(at_s: int, step_s: int) -> None:
    with pytest.raises(ValueError, match="1970"):
        time_step(at_s, step_s=step_s)


def test_a_code_is_found_at_its_place() -> None:
    macs = [hmac.digest(SEED, counter_message(counter), "sha1") for counter in range(10)]
    for place, code in enumerate(HOTP):
        assert matching(code, macs) == place
    assert matching("000000", macs) is None
    assert matching("٧٥٥٢٢٤", macs) is None


@given(st.binary(min_size=20, max_size=64), st.integers(min_value=6, max_value=10))
def test_a_code_has_its_digits(mac: bytes, digits: int) -> None:
    code = code_of(mac, digits=digits)
    assert len(code) == digits
    assert code.isdecimal()
    assert matching(code, [mac]) == 0
