"""Base64url against the standard library: what it writes is taken, and nothing else is."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.encoding import b64url_decode, b64url_encode

NEARLY = st.text(st.sampled_from("AQgwZz09-_+/=\n é"), max_size=12)


@given(st.binary(max_size=100))
def test_bytes_come_back_and_the_text_is_the_librarys(data: bytes) -> None:
    text = b64url_encode(data)
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert b64url_decode(text) == data


@given(st.one_of(NEARLY, st.text(max_size=12)))
def test_whatever_is_taken_is_the_one_text_of_its_bytes(text: str) -> None:
    try:
        data = b64url_decode(text)
    except ValueError:
        return
    assert b64url_encode(data) == text
