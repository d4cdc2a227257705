"""Keys as objects of a token: how they are made, found by label, and told of. Runs in a worker.

A key carries its label; its CKA_ID has 16 bytes: "TSR" and a version, the creation time (u64, seconds), 4 random
ones. A wrapping key has a companion of the label `LABEL/keys`, which wraps keys and nothing else: one key that both
wraps keys and decrypts data would give away every key that it wrapped. PKCS#11 lets two objects have one label;
`add` sees to it that a label is given once, whoever else works on the token."""

import secrets
import struct
import time
from dataclasses import dataclass

from hsm_adapters.api import KeyInfo, KeyKind
from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki.binding import Cryptoki, CryptokiError, Mechanism, Template
from hsm_adapters.cryptoki.workers import Session
from hsm_adapters.errors import HsmUnavailable, KeyExists, KeyNotFound, WrongKeyKind

P256 = bytes.fromhex("06082a8648ce3d030107")
"""The object identifier of P-256 in DER (RFC 5480 section 2.1.1.1)."""

COMPANION = "/keys"
MAX_KEYS = 65_536
_ID = struct.Struct(">4sQ4s")
_ID_HEAD = b"TSR\x01"
_AMBIGUOUS_TRIES = 40

EC_PAIR = Mechanism(ck.CKM_EC_KEY_PAIR_GEN)
AES_KEY = Mechanism(ck.CKM_AES_KEY_GEN)
GENERIC_KEY = Mechanism(ck.CKM_GENERIC_SECRET_KEY_GEN)

_FACTS = (
    ck.CKA_CLASS,
    ck.CKA_KEY_TYPE,
    ck.CKA_LABEL,
    ck.CKA_ID,
    ck.CKA_SIGN,
    ck.CKA_DERIVE,
    ck.CKA_ENCRYPT,
    ck.CKA_WRAP,
)


@dataclass(frozen=True, slots=True)
class KeyObject:
    """A key of the token: what may be told of it, its handle, and that of the companion of a wrapping key (or None)."""

    info: KeyInfo
    handle: int
    companion: int | None = None

    def of(self, kind: KeyKind) -> int:
        """Return the handle. Raises `WrongKeyKind`."""
        if self.info.kind is not kind:
            raise WrongKeyKind(
                f"'{self.info.label}' is a key of kind {self.info.kind.value}, not {kind.value}."
            )
        return self.handle


class KeyObjects:
    """The keys of one token. Each session remembers the handles that it has looked up."""

    def __init__(self, cryptoki: Cryptoki, *, needs_login: bool) -> None:
        self._cryptoki = cryptoki
        self._needs_login = needs_login
        self.version = 0
        """Counts what this process makes and destroys: handles from before are looked up anew."""

    def get(self, session: Session, label: str) -> KeyObject:
        """Return a key, remembered from an earlier look. Raises `KeyNotFound`."""
        memory = session.memory
        if memory.get("version") != self.version:
            memory.clear()
            memory["version"] = self.version
        known: KeyObject | None = memory.get(label)
        if known is None:
            known = memory[label] = self.find(session, label)
        return known

    def find(self, session: Session, label: str) -> KeyObject:
        """Look a key up in the token. Raises `KeyNotFound`; `HsmUnavailable` when two keys have the label and stay."""
        for _ in range(_AMBIGUOUS_TRIES):
            found = self._all(session, label)
            if len(found) == 1:
                return found[0]
            if not found:
                self._check_login(session)
                raise KeyNotFound(f"There is no key '{label}'.")
            time.sleep(0.05)  # somebody is making one: whoever was not alone takes it back
        raise HsmUnavailable(
            f"The token has two keys with the label '{label}'. Remove the one that is not ours."
        )

    def all_keys(self, session: Session) -> list[KeyInfo]:
        """Return all keys that have a kind, in order of their labels."""
        self._check_login(session)
        return sorted((key.info for key in self._all(session, None)), key=lambda info: info.label)

    def add(self, session: Session, label: str, kind: KeyKind) -> KeyInfo:
        """Generate a key. Raises `KeyExists`."""
        self._check_login(session)
        if self._bearers(session, label):
            raise KeyExists(f"There is a key '{label}' already.")
        key_id = _fresh_id()
        self.version += 1
        while True:
            made = self._generate(session, label, kind, key_id)
            # Whoever is alone after making its key has the label: anybody later sees that key, and takes its own back.
            if self._bearers(session, label) == 1:
                break
            for handle in made:
                self._cryptoki.destroy(session.handle, handle)
            time.sleep((1 + secrets.randbelow(10)) / 100)  # to part two who collided
            if self._bearers(session, label):
                raise KeyExists(f"There is a key '{label}' already.")
        return self.find(session, label).info

    def remove(self, session: Session, label: str) -> None:
        """Destroy a key with its public half and companion. Raises `KeyNotFound`."""
        self.find(session, label)
        self.version += 1
        for name in (label, label + COMPANION):
            for handle in self._handles(session, name):
                self._cryptoki.destroy(session.handle, handle)

    def companion(self, session: Session, key: KeyObject) -> int:
        """Return the handle of the key that wraps keys beside a wrapping key. Raises `WrongKeyKind`, `KeyNotFound`."""
        key.of(KeyKind.WRAP_AES256)
        if key.companion is None:
            raise KeyNotFound(
                f"'{key.info.label}' has no companion '{key.info.label}{COMPANION}' that wraps keys."
            )
        return key.companion

    def _generate(self, session: Session, label: str, kind: KeyKind, key_id: bytes) -> list[int]:
        cryptoki, handle = self._cryptoki, session.handle
        if kind in (KeyKind.SIGN_P256, KeyKind.AGREE_P256):
            public, private = pair_templates(label, key_id, signs=kind is KeyKind.SIGN_P256)
            return list(cryptoki.generate_pair(handle, EC_PAIR, public, private))
        if kind is KeyKind.MAC_SHA256:
            usage = ((ck.CKA_SIGN, True), (ck.CKA_VERIFY, True))
            return [cryptoki.generate(handle, GENERIC_KEY, secret_template(label, key_id, *usage))]
        for old in self._handles(session, label + COMPANION):  # of a making that was cut short
            cryptoki.destroy(handle, old)
        wraps = ((ck.CKA_WRAP, True), (ck.CKA_UNWRAP, True), (ck.CKA_ENCRYPT, False), (ck.CKA_DECRYPT, False))
        seals = ((ck.CKA_ENCRYPT, True), (ck.CKA_DECRYPT, True), (ck.CKA_WRAP, False), (ck.CKA_UNWRAP, False))
        companion = cryptoki.generate(
            handle, AES_KEY, secret_template(label + COMPANION, _fresh_id(), *wraps)
        )
        return [cryptoki.generate(handle, AES_KEY, secret_template(label, key_id, *seals)), companion]

    def _handles(self, session: Session, label: str) -> list[int]:
        template = Template((ck.CKA_TOKEN, True), (ck.CKA_LABEL, label.encode()))
        return self._cryptoki.find(session.handle, template, 64)

    def _check_login(self, session: Session) -> None:
        """Tell a key that is not there from one that is not shown: to a session that is not logged in a token shows no
        private object, and says nothing of it. Raises `CryptokiError`, which has the user logged in again."""
        state = self._cryptoki.session_state(session.handle)
        if self._needs_login and state != ck.CKS_RW_USER_FUNCTIONS:
            raise CryptokiError("C_GetSessionInfo", ck.CKR_USER_NOT_LOGGED_IN)

    def _bearers(self, session: Session, label: str) -> int:
        """Return how many private and secret keys have the label, whatever else they are."""
        count = 0
        for kind in (ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY):
            template = Template((ck.CKA_CLASS, kind), (ck.CKA_TOKEN, True), (ck.CKA_LABEL, label.encode()))
            count += len(self._cryptoki.find(session.handle, template, 64))
        return count

    def _all(self, session: Session, label: str | None) -> list[KeyObject]:
        """Return the keys of one label, or all."""
        handles: list[int] = []
        if label is None:
            for kind in (ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY):
                template = Template((ck.CKA_CLASS, kind), (ck.CKA_TOKEN, True))
                handles += self._cryptoki.find(session.handle, template, MAX_KEYS)
        else:
            handles = self._handles(session, label)
        return [key for handle in handles if (key := self._describe(session, handle)) is not None]

    def _describe(self, session: Session, handle: int) -> KeyObject | None:
        """Return a key of ours, None for a public half, a companion, what has no kind, or went a moment ago."""
        try:
            values = self._cryptoki.attributes(session.handle, handle, *_FACTS)
        except CryptokiError as error:
            if error.value == ck.CKR_OBJECT_HANDLE_INVALID:
                return None
            raise
        facts = dict(zip(_FACTS, values, strict=True))
        label = (facts[ck.CKA_LABEL] or b"").decode("utf-8", "replace")
        kind = _kind(facts)
        if kind is None or label.endswith(COMPANION):
            return None
        key_id = facts[ck.CKA_ID] or b""
        made_at = None
        if len(key_id) == _ID.size and key_id.startswith(_ID_HEAD):
            made_at = float(_ID.unpack(key_id)[1])
        public, companion = None, None
        if kind in (KeyKind.SIGN_P256, KeyKind.AGREE_P256):
            public = self._public_point(session, label, key_id)
            if public is None:
                return None
        elif kind is KeyKind.WRAP_AES256:
            companions = self._handles(session, label + COMPANION)
            companion = companions[0] if len(companions) == 1 else None
        return KeyObject(KeyInfo(label, kind, made_at, public, key_id or None), handle, companion)

    def _public_point(self, session: Session, label: str, key_id: bytes) -> bytes | None:
        pairs: list[tuple[int, bool | int | bytes]] = [
            (ck.CKA_CLASS, ck.CKO_PUBLIC_KEY),
            (ck.CKA_TOKEN, True),
        ]
        pairs.append((ck.CKA_LABEL, label.encode()))
        if key_id:
            pairs.append((ck.CKA_ID, key_id))
        template = Template(*pairs)
        for handle in self._cryptoki.find(session.handle, template, 1):
            return self.point_of(session, handle)
        return None

    def point_of(self, session: Session, handle: int) -> bytes | None:
        """Return the point of a public key (65 bytes), None when it has none of P-256."""
        (encoded,) = self._cryptoki.attributes(session.handle, handle, ck.CKA_EC_POINT)
        # An OCTET STRING in DER; some modules give the point itself.
        point = (encoded or b"").removeprefix(b"\x04\x41") if len(encoded or b"") == 67 else encoded
        return point if point is not None and len(point) == 65 and point[0] == 4 else None


def pair_templates(
    label: str | None, key_id: bytes, *, signs: bool, leaves: bool = False
) -> tuple[Template, Template]:
    """Return the public and private templates of a P-256 pair: of the token under a label, or of the session without
    one. With `leaves` the private half may be wrapped."""
    names: list[tuple[int, bool | int | bytes]] = [(ck.CKA_TOKEN, label is not None)]
    if label is not None:
        names += [(ck.CKA_LABEL, label.encode()), (ck.CKA_ID, key_id)]
    public = [*names, (ck.CKA_PRIVATE, False), (ck.CKA_EC_PARAMS, P256)]
    private = [*names, (ck.CKA_PRIVATE, True), (ck.CKA_SENSITIVE, True), (ck.CKA_EXTRACTABLE, leaves)]
    if signs:
        public.append((ck.CKA_VERIFY, True))
        private += [(ck.CKA_SIGN, True), (ck.CKA_DERIVE, False)]
    else:
        private += [(ck.CKA_DERIVE, True), (ck.CKA_SIGN, False)]
    return Template(*public), Template(*private)


def secret_template(label: str | None, key_id: bytes, *usage: tuple[int, bool], size: int = 32) -> Template:
    """Return the template of a secret key of `size` bytes, which never leaves: of the token under a label, or of the
    session without one."""
    names: list[tuple[int, bool | int | bytes]] = [(ck.CKA_TOKEN, label is not None)]
    if label is not None:
        names += [(ck.CKA_LABEL, label.encode()), (ck.CKA_ID, key_id)]
    fixed = (
        (ck.CKA_PRIVATE, True),
        (ck.CKA_SENSITIVE, True),
        (ck.CKA_EXTRACTABLE, False),
        (ck.CKA_VALUE_LEN, size),
    )
    return Template(*names, *fixed, *usage)


def _fresh_id() -> bytes:
    # No two keys share one: NSS takes secret keys of one CKA_ID for the same key.
    return _ID.pack(_ID_HEAD, int(time.time()), secrets.token_bytes(4))  # noqa: TID251 - a key store's own time


def _kind(facts: dict[int, bytes | None]) -> KeyKind | None:
    def number(attribute: int) -> int | None:
        value = facts[attribute]
        return None if value is None else int.from_bytes(value, "little" if _LITTLE else "big")

    def may(attribute: int) -> bool:
        return bool(number(attribute))

    shape = (number(ck.CKA_CLASS), number(ck.CKA_KEY_TYPE))
    if shape == (ck.CKO_PRIVATE_KEY, ck.CKK_EC):
        if may(ck.CKA_SIGN) is may(ck.CKA_DERIVE):
            return None
        return KeyKind.SIGN_P256 if may(ck.CKA_SIGN) else KeyKind.AGREE_P256
    if shape == (ck.CKO_SECRET_KEY, ck.CKK_AES) and may(ck.CKA_ENCRYPT) and not may(ck.CKA_WRAP):
        return KeyKind.WRAP_AES256
    if shape == (ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET) and may(ck.CKA_SIGN):
        return KeyKind.MAC_SHA256
    return None


_LITTLE = struct.pack("=H", 1) == b"\x01\x00"
