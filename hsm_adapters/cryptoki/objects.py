"""Keys as objects of a token: how they are made, found by label, and told of. Runs in a worker.

A key carries its label; its CKA_ID has 16 bytes: "TSR" and a version, the creation time (u64, seconds), 4 random
ones. A wrapping key has a companion of the label `LABEL/keys`, which wraps keys and nothing else: one key that both
wraps keys and decrypts data would give away every key that it wrapped. PKCS#11 lets two objects have one label;
`add` sees to it that a label is given once, whoever else works on the token."""

import os
import secrets
import struct
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hsm_adapters.api import KeyInfo, KeyKind
from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki.binding import Cryptoki, CryptokiError
from hsm_adapters.cryptoki.structures import Mechanism, Template
from hsm_adapters.cryptoki.workers import Session
from hsm_adapters.errors import HsmError, HsmUnavailable, KeyExists, KeyNotFound, WrongKeyKind
from hsm_adapters.files import exclusive

P256 = bytes.fromhex("06082a8648ce3d030107")
"""The object identifier of P-256 in DER (RFC 5480 section 2.1.1.1)."""

COMPANION = "/keys"
MAX_KEYS = 65_536
_ID = struct.Struct(">4sQ4s")
_ID_HEAD = b"TSR\x01"
REMEMBERED_S = 60.0
_AMBIGUOUS_TRIES = 40
_COMPANION = None

AUTHENTICATES = ((ck.CKA_SIGN, True), (ck.CKA_VERIFY, False), (ck.CKA_DERIVE, False))
SEALS = ((ck.CKA_ENCRYPT, True), (ck.CKA_DECRYPT, True), (ck.CKA_WRAP, False), (ck.CKA_UNWRAP, False))
WRAPS = ((ck.CKA_WRAP, True), (ck.CKA_UNWRAP, True), (ck.CKA_ENCRYPT, False), (ck.CKA_DECRYPT, False))
"""What a secret key may do, and no more."""

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
    ck.CKA_SENSITIVE,
    ck.CKA_EXTRACTABLE,
    ck.CKA_VALUE_LEN,
    ck.CKA_EC_PARAMS,
)


@dataclass(frozen=True, slots=True)
class KeyObject:
    """A key of the token: what may be told of it, its handle, that of the companion of a wrapping key (or None), and
    when it was looked up (monotonic)."""

    info: KeyInfo
    handle: int
    companion: int | None
    looked_up_at: float

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
        self.says_all = False
        """Whether the token takes it to be told all that a private key may not do; tpm2-pkcs11 does not."""
        # By label: the epoch in which the token last showed the key.
        self._seen: dict[str, int] = {}
        # Counts what this process makes and destroys: handles from before are looked up anew.
        self._version = 0
        self._counting = threading.Lock()

    def get(self, session: Session, label: str) -> KeyObject:
        """Return a key, remembered from a look of the last minute: another process may have destroyed it since. Raises
        `KeyNotFound`."""
        if session.version != self._version:
            session.keys.clear()
            session.version = self._version
        known: KeyObject | None = session.keys.get(label)
        if known is None or known.looked_up_at + REMEMBERED_S < time.monotonic():
            known = session.keys[label] = self.find(session, label)
        return known

    def find(self, session: Session, label: str) -> KeyObject:
        """Look a key up in the token. Raises `KeyNotFound`; `HsmUnavailable` when two keys have the label and stay."""
        for _ in range(_AMBIGUOUS_TRIES):
            found = self._all(session, label)
            if len(found) == 1:
                self._seen[label] = session.epoch
                return found[0]
            if not found:
                self._check_login(session)
                self._check_there(session, {label})
                raise KeyNotFound(f"There is no key '{label}'.")
            time.sleep(0.05)  # somebody is making one: whoever was not alone takes it back
        raise HsmUnavailable(
            f"The token has two keys with the label '{label}'. Remove the one that is not ours."
        )

    def all_keys(self, session: Session) -> list[KeyInfo]:
        """Return all keys that have a kind, in order of their labels."""
        self._check_login(session)
        keys = {key.info.label: key.info for key in self._all(session, None)}
        self._check_there(session, self._seen.keys() - keys.keys())
        self._seen.update(dict.fromkeys(keys, session.epoch))
        return [keys[label] for label in sorted(keys)]

    def add(self, session: Session, label: str, kind: KeyKind) -> KeyInfo:
        """Generate a key. Raises `KeyExists`."""
        self._check_login(session)
        with _turn():
            if self._bearers(session, label):
                raise KeyExists(f"There is a key '{label}' already.")
            if kind is KeyKind.WRAP_AES256:
                with suppress(
                    KeyExists
                ):  # of a making that was cut short, or of whoever makes the same key now
                    self._claim(session, label + COMPANION, _COMPANION)
            self._claim(session, label, kind)
        return self.find(session, label).info

    def remove(self, session: Session, label: str) -> None:
        """Destroy a key with its public half and companion. Raises `KeyNotFound`."""
        self.find(session, label)
        try:
            for name in (label, label + COMPANION):
                for handle in self._handles(session, name):
                    self._cryptoki.destroy(session.handle, handle)
        finally:
            self._seen.pop(label, None)
            self._count()

    def _claim(self, session: Session, label: str, kind: KeyKind | None) -> None:
        """Generate the key of a label (or a companion) for good, or not at all. Raises `KeyExists`."""
        while True:
            made = self._generate(session, label, kind)
            # Whoever is alone after making a key has the label: anybody later sees that key, and takes their own back.
            if self._bearers(session, label) == 1:
                self._count()
                return
            for handle in made:
                self._cryptoki.destroy(session.handle, handle)
            self._count()
            time.sleep((1 + secrets.randbelow(10)) / 100)  # to part two who collided
            if self._bearers(session, label):
                raise KeyExists(f"There is a key '{label}' already.")

    def _count(self) -> None:
        with self._counting:
            self._version += 1

    def companion(self, session: Session, key: KeyObject) -> int:
        """Return the handle of the key that wraps keys beside a wrapping key. Raises `WrongKeyKind`, `KeyNotFound`."""
        key.of(KeyKind.WRAP_AES256)
        if key.companion is None:
            raise KeyNotFound(
                f"'{key.info.label}' has no companion '{key.info.label}{COMPANION}' that wraps keys."
            )
        return key.companion

    def _generate(self, session: Session, label: str, kind: KeyKind | None) -> list[int]:
        cryptoki, handle, key_id = self._cryptoki, session.handle, _fresh_id()
        if kind in (KeyKind.SIGN_P256, KeyKind.AGREE_P256):
            return list(self.make_pair(session, label, key_id, signs=kind is KeyKind.SIGN_P256))
        if kind is KeyKind.MAC_SHA256:
            return [cryptoki.generate(handle, GENERIC_KEY, secret_template(label, key_id, *AUTHENTICATES))]
        usage = WRAPS if kind is _COMPANION else SEALS
        return [cryptoki.generate(handle, AES_KEY, secret_template(label, key_id, *usage))]

    def _handles(self, session: Session, label: str) -> list[int]:
        template = Template((ck.CKA_TOKEN, True), (ck.CKA_LABEL, label.encode()))
        return self._cryptoki.find(session.handle, template, 64)

    def _check_there(self, session: Session, missing: Collection[str]) -> None:
        """Tell a key that was destroyed from a token that went without a word: SoftHSM shows an empty token when its
        folder has gone. Keys that were there since the module was initialised and are not any more have it initialised
        again, once; what is not there after that is not there. Raises `CryptokiError`."""
        if any(self._seen.get(label) == session.epoch for label in missing):
            raise CryptokiError("C_FindObjects", ck.CKR_TOKEN_NOT_PRESENT)
        for label in list(missing):
            self._seen.pop(label, None)

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
            companion = (
                companions[0] if len(companions) == 1 and self._stays(session, companions[0]) else None
            )
        info = KeyInfo(label, kind, made_at, public, key_id or None)
        return KeyObject(info, handle, companion, time.monotonic())

    def _stays(self, session: Session, handle: int) -> bool:
        """Whether a key can neither be read nor leave the token."""
        facts = self._cryptoki.attributes(session.handle, handle, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE)
        return facts == [b"\x01", b"\x00"]

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

    def make_pair(
        self, session: Session, label: str | None, key_id: bytes, *, signs: bool, leaves: bool = False
    ) -> tuple[int, int]:
        """Generate a P-256 pair of the token under a label, or of the session without one; return the handles of its
        public and private halves. With `leaves` the private half may be wrapped."""
        public, private = _pair_templates(label, key_id, signs=signs, leaves=leaves, says_all=self.says_all)
        return self._cryptoki.generate_pair(session.handle, EC_PAIR, public, private)

    def point_of(self, session: Session, handle: int) -> bytes | None:
        """Return the point of a public key (65 bytes), None when it has none of P-256."""
        (encoded,) = self._cryptoki.attributes(session.handle, handle, ck.CKA_EC_POINT)
        # An OCTET STRING in DER; some modules give the point itself.
        point = (encoded or b"").removeprefix(b"\x04\x41") if len(encoded or b"") == 67 else encoded
        return point if point is not None and len(point) == 65 and point[0] == 4 else None


def _pair_templates(
    label: str | None, key_id: bytes, *, signs: bool, leaves: bool, says_all: bool
) -> tuple[Template, Template]:
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
    if says_all:
        private += [(ck.CKA_DECRYPT, False), (ck.CKA_UNWRAP, False)]
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


@contextmanager
def _turn() -> Iterator[None]:
    """Have one process of this user on this machine make keys at a time: SoftHSM's processes may not see for a while
    what another one has made. Without the lock, whoever it is that holds it, `_claim` goes alone."""
    with ExitStack() as stack:
        with suppress(HsmError):
            stack.enter_context(exclusive(Path(tempfile.gettempdir()) / f"tessera-hsm-keys-{os.geteuid()}"))
        yield


def _fresh_id() -> bytes:
    # No two keys share one: NSS takes secret keys of one CKA_ID for the same key.
    return _ID.pack(_ID_HEAD, int(time.time()), secrets.token_bytes(4))  # noqa: TID251 - a key store's own time


def _kind(facts: dict[int, bytes | None]) -> KeyKind | None:
    def number(attribute: int) -> int | None:
        value = facts[attribute]
        return None if value is None else int.from_bytes(value, "little" if _LITTLE else "big")

    def may(attribute: int) -> bool:
        return bool(number(attribute))

    # A key that is not ours may have our label: what could leave the token, or is of another size, counts for nothing.
    if not may(ck.CKA_SENSITIVE) or may(ck.CKA_EXTRACTABLE) or facts[ck.CKA_EXTRACTABLE] is None:
        return None
    if number(ck.CKA_VALUE_LEN) not in (None, 32) or facts[ck.CKA_EC_PARAMS] not in (None, b"", P256):
        return None
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
