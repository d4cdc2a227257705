"""Key URIs: RFC 7512's examples, what is refused, and any text at all."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hsm_adapters.errors import InvalidKeyUri
from hsm_adapters.uri import MAX_URI, KeyUri


@pytest.mark.parametrize(
    "text",
    [  # RFC 7512 section 3, those without a PIN and without vendor attributes
        "pkcs11:",
        "pkcs11:object=my-pubkey;type=public",
        "pkcs11:object=my-key;type=private?pin-source=file:/etc/token",
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;"
        "object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
        "pkcs11:object=my-sign-key;type=private?module-name=mypkcs11",
        "pkcs11:object=my-sign-key;type=private?module-path=/mnt/libmypkcs11.so.1",
        "pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.?module-name=snakeoil",
        "pkcs11:slot-description=Sun%20Metaslot",
        "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;"
        "library-version=1.23",
        "pkcs11:token=My%20token%25%20created%20by%20Joe;library-version=3;id=%01%02%03%Ba%dd%Ca%fe%04%05%06",
        "pkcs11:token=A%20name%20with%20a%20substring%20%25%3B;object=my-certificate;type=cert",
        "pkcs11:token=Name%20with%20a%20small%20A%20with%20acute:%20%C3%A1;object=my-certificate;type=cert",
        "pkcs11:slot-id=327",
        "software:file=var/keys.tessera?passphrase-source=env:TESSERA_PASSPHRASE",
        "software:file=/var/lib/tessera/keys.tessera?key-source=file:/run/secrets/tessera",
        "yubihsm:serial=123;connector=http:%2F%2F127.0.0.1?pin-source=env:PIN",
    ],
)
def test_good_uris_are_read_and_written(text: str) -> None:
    uri = KeyUri.parse(text)
    assert KeyUri.parse(str(uri)) == uri


def test_values_are_decoded() -> None:
    uri = KeyUri.parse(
        "pkcs11:token=a%20b%3Bc%3Dd;id=%00%ff;object=%C3%A1?pin-source=file:/etc/pin&module-path=/a/b"
    )
    assert dict(uri.path) == {"token": "a b;c=d", "object": "á"}
    assert uri.key_id == b"\x00\xff"
    assert dict(uri.query) == {"pin-source": "file:/etc/pin", "module-path": "/a/b"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "var/keys.tessera",
        ":file=a",
        "PKCS11:object=a",
        "pkcs11 :object=a",
        "pkcs11:object=a?",
        "pkcs11:object",
        "pkcs11:=a",
        "pkcs11:;",
        "pkcs11:object=a;",
        "pkcs11:object=a;object=b",
        "pkcs11:object=a?pin-source=a&pin-source=b",
        "pkcs11:colour=red",
        "pkcs11:Object=a",
        "pkcs11:pin-source=env:A",
        "pkcs11:object=a?object=b",
        "pkcs11:object=a/b",
        "pkcs11:object=a b",
        "pkcs11:object=%",
        "pkcs11:object=%2",
        "pkcs11:object=%zz",
        "pkcs11:object=%ff",
        "pkcs11:object=%00",
        "pkcs11:object=a%0Ab",
        "pkcs11:object=é",
        "pkcs11:object=a\n",
        "pkcs11:object=a#b",
        "pkcs11:type=key",
        "pkcs11:slot-id=-1",
        "pkcs11:slot-id=",
        "pkcs11:library-version=1.2.3",
        "software:file=a?pin-source=env:A",
        "software:token=a",
        "software:file=a?b",
        "software:file=a??key-source=env:A",
        "software:file=" + "a" * MAX_URI,
        "other:" + ";".join(f"a{n}=" for n in range(33)),
        "other:" + "a" * 65 + "=b",
    ],
)
def test_bad_uris_are_refused(text: str) -> None:
    with pytest.raises(InvalidKeyUri):
        KeyUri.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "pkcs11:token=a?pin-value=S3CRET",
        "pkcs11:token=a?pin-source=env:A&pin-value=S3CRET",
        "pkcs11:pin-value=S3CRET",
        "software:file=a?pin-value=S3CRET",
        "software:file=a?passphrase=S3CRET",
        "software:file=a?passphrase-source=env:A&pin-value=S3CRET",
        "other:a=b?pin-value=S3CRET",
        "other:a=b?pin-value=S3CRET\x00",
        "pkcs11:token=a?pin-value=S3CRET é",
        "pkcs11:token=a?pin-value=S3CRET&pin-value=S3CRET",
        "pkcs11:token=a?pin-source=S3CRET%zz",
    ],
)
def test_an_inline_pin_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(InvalidKeyUri) as caught:
        KeyUri.parse(text)
    shown, error = "", caught.value
    while error is not None:
        shown += f"{error!r}{error}"
        error = error.__context__  # type: ignore[assignment]
    assert "S3CRET" not in shown


def test_a_key_of_a_store_is_named_without_the_query() -> None:
    store = KeyUri.parse("pkcs11:token=a%20b?pin-source=file:/etc/pin")
    key = store.with_object("tessera-wrap-1", "secret-key")
    assert str(key) == "pkcs11:token=a%20b;object=tessera-wrap-1;type=secret-key"


@given(st.text(max_size=300))
@example("pkcs11:" + "%00" * 90)
def test_any_text_is_read_or_refused(text: str) -> None:
    parse_or_refuse(text)


_PIECES = "pkcs11: software: x: ; & ? = % %2 %41 %c3%a1 %ff %00 object type file id token pin-source pin-value / a é"
_grammar = st.lists(
    st.sampled_from([*_PIECES.split(" "), "key-source", "env:A", "\n", " ", "\x00"]), max_size=24
).map("".join)


@given(st.sampled_from(["pkcs11:", "software:", "x:", ""]), _grammar)
def test_near_uris_are_read_or_refused(scheme: str, rest: str) -> None:
    parse_or_refuse(scheme + rest)


def parse_or_refuse(text: str) -> None:
    try:
        uri = KeyUri.parse(text)
    except InvalidKeyUri:
        return
    again = KeyUri.parse(str(uri))
    assert again == uri
    assert str(again) == str(uri)
    assert "pin-value" not in uri.query
    assert "pin-value" not in uri.path


_names = st.text(string.ascii_lowercase, min_size=1, max_size=12).filter(
    lambda name: name not in ("id", "type")
)
_values = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(
    st.dictionaries(_names, _values, max_size=5),
    st.dictionaries(_names, _values, max_size=5),
    st.binary(max_size=9),
)
def test_what_is_written_is_read(path: dict[str, str], query: dict[str, str], key_id: bytes) -> None:
    uri = KeyUri("other", path, query, key_id)
    assert KeyUri.parse(str(uri)) == uri
