"""Key URIs: where a key store is and what opens it. `pkcs11:` follows RFC 7512; `software:` and the schemes of
other adapters share its grammar. Adapters and the command line parse and print them here. A URI never carries a
PIN: `pin-value` is refused, and no error repeats what the text held, since a PIN may stand there by mistake."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote_from_bytes, unquote_to_bytes

from hsm_adapters.errors import InvalidKeyUri

MAX_URI = 2_048
MAX_ATTRIBUTES = 32

_SCHEME = re.compile(r"\A[a-z][a-z0-9+.-]{0,31}\Z")
_NAME = re.compile(r"\A[a-z0-9][a-z0-9_-]{0,63}\Z")
# RFC 7512 section 2.3: pk11-pchar and pk11-qchar. "/" is added to the path of our own schemes alone.
_RESERVED = r":\[\]@!$'()*+,="
_VALUES = {
    "pkcs11-path": re.compile(rf"\A(?:[A-Za-z0-9._~{_RESERVED}&-]|%[0-9A-Fa-f]{{2}})*\Z"),
    "path": re.compile(rf"\A(?:[A-Za-z0-9._~{_RESERVED}&/-]|%[0-9A-Fa-f]{{2}})*\Z"),
    "query": re.compile(rf"\A(?:[A-Za-z0-9._~{_RESERVED}/?|-]|%[0-9A-Fa-f]{{2}})*\Z"),
}
_SAFE = "._~-:/@+,"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_PKCS11_PATH = frozenset(
    [
        "token",
        "manufacturer",
        "serial",
        "model",
        "library-manufacturer",
        "library-version",
        "library-description",
        "object",
        "type",
        "id",
        "slot-description",
        "slot-manufacturer",
        "slot-id",
    ]
)
_KNOWN: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "pkcs11": (
        _PKCS11_PATH,
        frozenset({"pin-source", "module-name", "module-path", "x-init-args", "x-sessions"}),
    ),
    "software": (frozenset({"file", "object", "type"}), frozenset({"passphrase-source", "key-source"})),
}
_SHAPES = {
    "type": re.compile(r"\A(?:public|private|cert|secret-key|data)\Z"),
    "slot-id": re.compile(r"\A[0-9]{1,20}\Z"),
    "library-version": re.compile(r"\A[0-9]{1,3}(?:\.[0-9]{1,3})?\Z"),
}


@dataclass(frozen=True, slots=True)
class KeyUri:
    """A parsed key URI. `path` says which store or key, `query` how to open it; both decoded. `key_id` is the
    attribute `id` of RFC 7512, which is bytes and not text."""

    scheme: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    key_id: bytes | None = None

    @classmethod
    def parse(cls, text: str) -> "KeyUri":
        """Parse at most 2,048 characters and 32 attributes. Each attribute stands at most once. Raises
        `InvalidKeyUri`."""
        scheme = scheme_of(text)
        path_text, has_query, query_text = text[len(scheme) + 1 :].partition("?")
        if has_query and not query_text:
            raise InvalidKeyUri("The key URI ends in '?'. Remove it.")
        path = _attributes(path_text, ";", "pkcs11-path" if scheme == "pkcs11" else "path")
        query = _attributes(query_text, "&", "query")
        if "pin-value" in path or "pin-value" in query:
            raise InvalidKeyUri("A key URI must not carry a PIN. Use pin-source=file:… or pin-source=env:….")
        if scheme in _KNOWN:
            for found, allowed in zip((path, query), _KNOWN[scheme], strict=True):
                for name in found:
                    if name not in allowed:
                        raise InvalidKeyUri(f"'{scheme}:' has no attribute '{name}' there.")
        key_id = path.pop("id", None)
        return cls(
            scheme=scheme,
            path=MappingProxyType({name: _text(name, value) for name, value in path.items()}),
            query=MappingProxyType({name: _text(name, value) for name, value in query.items()}),
            key_id=key_id,
        )

    def with_object(self, label: str, kind: str) -> "KeyUri":
        """Return the URI of one key in this store: `object` and `type` (RFC 7512: private or secret-key) set,
        and the query, which says how to open the store, left out."""
        return KeyUri(self.scheme, MappingProxyType({**self.path, "object": label, "type": kind}), _EMPTY)

    @property
    def asks_person(self) -> bool:
        """Whether opening the store asks somebody at the terminal for its secret."""
        return any(value.startswith("prompt:") for value in self.query.values())

    def __str__(self) -> str:
        """Return the URI, percent-encoded. Parsing the result gives an equal value."""
        # "/" is not a pk11-pchar, and our own schemes read %2F as well; only they print it plainly.
        safe = _SAFE.replace("/", "") if self.scheme == "pkcs11" else _SAFE
        parts = [f"{name}={quote_from_bytes(value.encode(), safe=safe)}" for name, value in self.path.items()]
        if self.key_id is not None:
            parts.append("id=" + "".join(f"%{byte:02X}" for byte in self.key_id))
        query = [
            f"{name}={quote_from_bytes(value.encode(), safe=_SAFE)}" for name, value in self.query.items()
        ]
        return f"{self.scheme}:{';'.join(parts)}" + (f"?{'&'.join(query)}" if query else "")


_EMPTY: Mapping[str, str] = MappingProxyType({})


def scheme_of(text: str) -> str:
    """Return the scheme of a key URI of at most 2,048 ASCII characters. Raises `InvalidKeyUri`."""
    if len(text) > MAX_URI:
        raise InvalidKeyUri(f"The key URI is longer than {MAX_URI} characters.")
    if not text.isascii() or _CONTROL.search(text):
        raise InvalidKeyUri("The key URI holds a character that must be percent-encoded.")
    scheme, colon, _ = text.partition(":")
    if not colon or not _SCHEME.match(scheme):
        raise InvalidKeyUri("The key URI has no scheme. Begin it with 'software:' or 'pkcs11:'.")
    return scheme


def _attributes(text: str, separator: str, grammar: str) -> dict[str, bytes]:
    if not text:
        return {}
    parts = text.split(separator, MAX_ATTRIBUTES + 1)
    if len(parts) > MAX_ATTRIBUTES:
        raise InvalidKeyUri(f"The key URI has more than {MAX_ATTRIBUTES} attributes.")
    found: dict[str, bytes] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or not _NAME.match(name):
            raise InvalidKeyUri("An attribute of the key URI is not 'name=value'.")
        if name in found:
            raise InvalidKeyUri(f"The key URI has '{name}' twice.")
        if not _VALUES[grammar].match(value):
            raise InvalidKeyUri(f"'{name}' holds a character that must be percent-encoded.")
        found[name] = unquote_to_bytes(value)
    return found


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidKeyUri(f"'{name}' is not UTF-8.") from None
    if _CONTROL.search(text):
        raise InvalidKeyUri(f"'{name}' holds a control character.")
    if name in _SHAPES and not _SHAPES[name].match(text):
        raise InvalidKeyUri(f"'{name}' does not have the form that RFC 7512 gives it.")
    return text
