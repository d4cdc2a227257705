"""The C interface of PKCS#11 2.40 by ctypes, no wider than the adapter needs. Each call releases Python's global
lock while the module works, so that a slow module never holds the event loop; the module is initialised for many
threads (CKF_OS_LOCKING_OK, base specification section 5.4), which python-pkcs11 0.10 does not do although it
releases the lock too.

Handles, flags and lengths are CK_ULONG (the platform's unsigned long). No buffer of a call outlives it, and nothing
is shared between two threads but read-only templates and mechanisms."""

import ctypes
import threading
from ctypes import (
    POINTER,
    addressof,
    byref,
    c_char_p,
    c_ubyte,
    c_ulong,
    c_void_p,
    cast,
)
from typing import Any

from hsm_adapters.cryptoki.constants import (
    CKF_OS_LOCKING_OK,
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKR_ATTRIBUTE_SENSITIVE,
    CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_FUNCTION_NOT_SUPPORTED,
    CKU_USER,
    RETURN_NAMES,
)
from hsm_adapters.cryptoki.structures import (
    MAX_ANSWER,
    Attribute,
    CTokenInfo,
    InitializeArguments,
    Mechanism,
    Scratch,
    Template,
    TokenInfo,
)

_UNAVAILABLE = c_ulong(-1).value
_MAX_SLOTS = 256
_MAX_MECHANISMS = 1_024
_MAX_ATTRIBUTE = 65_536

_U, _P = c_ulong, c_void_p
# By name: the place in CK_FUNCTION_LIST (pkcs11f.h), and the arguments.
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "C_Initialize": (0, _P),
    "C_Finalize": (1, _P),
    "C_GetSlotList": (4, c_ubyte, _P, _P),
    "C_GetTokenInfo": (6, _U, _P),
    "C_GetMechanismList": (7, _U, _P, _P),
    "C_OpenSession": (12, _U, _U, _P, _P, _P),
    "C_CloseSession": (13, _U),
    "C_GetSessionInfo": (15, _U, _P),
    "C_Login": (18, _U, _U, c_char_p, _U),
    "C_CreateObject": (20, _U, _P, _U, _P),
    "C_DestroyObject": (22, _U, _U),
    "C_GetAttributeValue": (24, _U, _U, _P, _U),
    "C_FindObjectsInit": (26, _U, _P, _U),
    "C_FindObjects": (27, _U, _P, _U, _P),
    "C_FindObjectsFinal": (28, _U),
    "C_EncryptInit": (29, _U, _P, _U),
    "C_Encrypt": (30, _U, c_char_p, _U, _P, _P),
    "C_DecryptInit": (33, _U, _P, _U),
    "C_Decrypt": (34, _U, c_char_p, _U, _P, _P),
    "C_SignInit": (42, _U, _P, _U),
    "C_Sign": (43, _U, c_char_p, _U, _P, _P),
    "C_GenerateKey": (58, _U, _P, _P, _U, _P),
    "C_GenerateKeyPair": (59, _U, _P, _P, _U, _P, _U, _P, _P),
    "C_WrapKey": (60, _U, _P, _U, _U, _P, _P),
    "C_UnwrapKey": (61, _U, _P, _U, c_char_p, _U, _P, _U, _P),
    "C_DeriveKey": (62, _U, _P, _U, _P, _U, _P),
    "C_GenerateRandom": (64, _U, _P, _U),
}


class CryptokiError(Exception):
    """A function of the module returned something else than CKR_OK. `value` is the CK_RV."""

    def __init__(self, function: str, value: int) -> None:
        self.function = function
        self.value = value
        super().__init__(f"{function} returned {RETURN_NAMES.get(value, hex(value))}")


def _not_supported(*_: object) -> int:
    return CKR_FUNCTION_NOT_SUPPORTED


class Cryptoki:
    """A loaded module. Every method may raise `CryptokiError`."""

    def __init__(self, path: str) -> None:
        """Load the library. Raises OSError, AttributeError for a library that is no PKCS#11 module."""
        self._library = ctypes.CDLL(path)
        table = c_void_p()
        value = self._library.C_GetFunctionList(byref(table))
        if value or not table.value:
            raise CryptokiError("C_GetFunctionList", value)
        self.identity = table.value
        """The same for one library, by whatever path it was loaded."""
        # CK_VERSION has two bytes; the pointers that follow are aligned.
        entries = cast(table.value + ctypes.sizeof(c_void_p), POINTER(c_void_p))
        calls: dict[str, Any] = {}
        for name, (place, *arguments) in _SIGNATURES.items():
            prototype = ctypes.CFUNCTYPE(c_ulong, *arguments)
            calls[name] = prototype(entries[place]) if entries[place] else _not_supported
        self.functions: dict[str, Any] = calls
        """The module's functions by name, as ctypes calls them; each returns a CK_RV."""
        self._local = threading.local()
        self._sign_init, self._sign = calls["C_SignInit"], calls["C_Sign"]
        self._encrypt_init, self._encrypt = calls["C_EncryptInit"], calls["C_Encrypt"]
        self._decrypt_init, self._decrypt = calls["C_DecryptInit"], calls["C_Decrypt"]
        self._arguments: InitializeArguments | None = None

    def _call(self, name: str, *arguments: Any) -> None:
        value = self.functions[name](*arguments)
        if value:
            raise CryptokiError(name, value)

    # The module and its tokens --------------------------------------------------------------------------

    def initialize(self, text: str | None) -> None:
        """C_Initialize for many threads; `text` is what some modules take besides (NSS: its library parameters)."""
        encoded = None if text is None else text.encode()
        self._arguments = InitializeArguments(flags=CKF_OS_LOCKING_OK, text=encoded)
        self._call("C_Initialize", byref(self._arguments))

    def finalize(self) -> None:
        """C_Finalize."""
        self._call("C_Finalize", None)

    def tokens(self) -> list[TokenInfo]:
        """Return the tokens that are present."""
        count = c_ulong(_MAX_SLOTS)
        slots = (c_ulong * _MAX_SLOTS)()
        self._call("C_GetSlotList", 1, slots, byref(count))
        found = []
        for slot in slots[: count.value]:
            info = CTokenInfo()
            value = self.functions["C_GetTokenInfo"](slot, byref(info))
            if value:  # a token that was pulled a moment ago, or a broken reader: not ours
                continue
            texts = (info.label, info.manufacturer, info.model, info.serial)
            label, manufacturer, model, serial = (bytes(text).decode("utf-8", "replace") for text in texts)
            found.append(
                TokenInfo(
                    slot,
                    label.rstrip(" \0"),
                    manufacturer.rstrip(" \0"),
                    model.rstrip(" \0"),
                    serial.rstrip(" \0"),
                    info.flags,
                )
            )
        return found

    def mechanisms(self, slot: int) -> frozenset[int]:
        """Return the mechanisms that the token lists."""
        count = c_ulong(_MAX_MECHANISMS)
        found = (c_ulong * _MAX_MECHANISMS)()
        self._call("C_GetMechanismList", slot, found, byref(count))
        return frozenset(found[: count.value])

    # Sessions -------------------------------------------------------------------------------------------

    def open_session(self, slot: int) -> int:
        """Open a read-write session and return its handle."""
        handle = c_ulong()
        self._call("C_OpenSession", slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, None, None, byref(handle))
        return handle.value

    def close_session(self, session: int) -> None:
        """Close a session."""
        self._call("C_CloseSession", session)

    def session_state(self, session: int) -> int:
        """Return the state of a session (CK_STATE), which tells whether the user is logged in."""
        info = (c_ulong * 4)()  # CK_SESSION_INFO: slotID, state, flags, ulDeviceError
        self._call("C_GetSessionInfo", session, byref(info))
        return info[1]

    def try_login(self, session: int, pin: bytes) -> int:
        """Log the user in, for all sessions with this token, and return the CK_RV: an exception would keep the PIN in
        its traceback."""
        value: int = self.functions["C_Login"](session, CKU_USER, pin, len(pin))
        return value

    # Objects --------------------------------------------------------------------------------------------

    def create(self, session: int, template: Template) -> int:
        """Make an object from its attributes and return its handle."""
        handle = c_ulong()
        self._call("C_CreateObject", session, template.array, template.length, byref(handle))
        return handle.value

    def destroy(self, session: int, handle: int) -> None:
        """Destroy an object."""
        self._call("C_DestroyObject", session, handle)

    def find(self, session: int, template: Template, limit: int) -> list[int]:
        """Return the handles of at most `limit` objects with these attributes."""
        self._call("C_FindObjectsInit", session, template.array, template.length)
        found: list[int] = []
        try:
            while len(found) < limit:
                room = min(limit - len(found), 256)
                handles, count = (c_ulong * room)(), c_ulong()
                self._call("C_FindObjects", session, handles, room, byref(count))
                if not count.value:
                    break
                found += handles[: count.value]
        finally:
            self.functions["C_FindObjectsFinal"](session)
        return found

    def attributes(self, session: int, handle: int, *kinds: int) -> list[bytes | None]:
        """Return the values of attributes, None for those that the object lacks or does not tell."""
        array = (Attribute * len(kinds))(*(Attribute(kind, None, 0) for kind in kinds))
        partial = (0, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID)
        value = self.functions["C_GetAttributeValue"](session, handle, array, len(kinds))
        if value not in partial:
            raise CryptokiError("C_GetAttributeValue", value)
        buffers: list[Any] = []
        for attribute in array:
            known = attribute.length != _UNAVAILABLE and attribute.length <= _MAX_ATTRIBUTE
            buffer = (c_ubyte * attribute.length)() if known and attribute.length else None
            buffers.append(buffer if buffer is not None else b"" if known else None)
            attribute.value = None if buffer is None else addressof(buffer)
            attribute.length = len(buffer) if buffer is not None else 0
        value = self.functions["C_GetAttributeValue"](session, handle, array, len(kinds))
        if value not in partial:
            raise CryptokiError("C_GetAttributeValue", value)
        return [
            None if buffer is None else bytes(buffer)[: attribute.length]
            for buffer, attribute in zip(buffers, array, strict=True)
        ]

    def value_of(self, session: int, handle: int, kind: int, size: int) -> bytes:
        """Return one attribute of at most `size` bytes, in one call."""
        scratch = self._scratch()
        attribute = Attribute(kind, scratch.address, size)
        self._call("C_GetAttributeValue", session, handle, byref(attribute), 1)
        return scratch.take(attribute.length)

    # Keys -----------------------------------------------------------------------------------------------

    def generate(self, session: int, mechanism: Mechanism, template: Template) -> int:
        """Generate a secret key and return its handle."""
        handle = c_ulong()
        self._call(
            "C_GenerateKey", session, mechanism.reference, template.array, template.length, byref(handle)
        )
        return handle.value

    def generate_pair(
        self, session: int, mechanism: Mechanism, public: Template, private: Template
    ) -> tuple[int, int]:
        """Generate a key pair and return the handles of its public and private halves."""
        first, second = c_ulong(), c_ulong()
        self._call(
            "C_GenerateKeyPair",
            session,
            mechanism.reference,
            public.array,
            public.length,
            private.array,
            private.length,
            byref(first),
            byref(second),
        )
        return first.value, second.value

    def wrap(self, session: int, mechanism: Mechanism, wrapping: int, handle: int, size: int) -> bytes:
        """Return a key wrapped under another, at most `size` bytes."""
        buffer, length = (c_ubyte * size)(), c_ulong(size)
        self._call("C_WrapKey", session, mechanism.reference, wrapping, handle, byref(buffer), byref(length))
        return bytes(buffer[: length.value])

    def unwrap(
        self, session: int, mechanism: Mechanism, wrapping: int, blob: bytes, template: Template
    ) -> int:
        """Unwrap a key into the module and return its handle."""
        handle = c_ulong()
        self._call(
            "C_UnwrapKey",
            session,
            mechanism.reference,
            wrapping,
            blob,
            len(blob),
            template.array,
            template.length,
            byref(handle),
        )
        return handle.value

    def derive(self, session: int, mechanism: Mechanism, base: int, template: Template) -> int:
        """Derive a key and return its handle."""
        handle = c_ulong()
        self._call(
            "C_DeriveKey", session, mechanism.reference, base, template.array, template.length, byref(handle)
        )
        return handle.value

    # Operations -----------------------------------------------------------------------------------------

    def sign(self, session: int, mechanism: Mechanism, key: int, data: bytes, size: int) -> bytes:
        """Sign, or authenticate by HMAC; the result has at most `size` bytes."""
        value = self._sign_init(session, mechanism.reference, key)
        if value:
            raise CryptokiError("C_SignInit", value)
        return self._answer("C_Sign", self._sign, session, data, size, self._scratch())

    def encrypt(self, session: int, mechanism: Mechanism, key: int, data: bytes, size: int) -> bytes:
        """Encrypt; the result has at most `size` bytes."""
        value = self._encrypt_init(session, mechanism.reference, key)
        if value:
            raise CryptokiError("C_EncryptInit", value)
        return self._answer("C_Encrypt", self._encrypt, session, data, size, self._scratch())

    def decrypt(self, session: int, mechanism: Mechanism, key: int, data: bytes, size: int) -> bytes:
        """Decrypt; the result has at most `size` bytes."""
        value = self._decrypt_init(session, mechanism.reference, key)
        if value:
            raise CryptokiError("C_DecryptInit", value)
        return self._answer("C_Decrypt", self._decrypt, session, data, size, self._scratch())

    def seal(self, session: int, key: int, data: bytes, nonce: bytes, associated: bytes) -> bytes:
        """Encrypt by AES-GCM with a nonce of 12 bytes: the ciphertext, then the tag of 16 bytes."""
        scratch = self._scratch()
        scratch.gcm.set(nonce, associated)
        value = self._encrypt_init(session, scratch.gcm.reference, key)
        if value:
            raise CryptokiError("C_EncryptInit", value)
        return self._answer("C_Encrypt", self._encrypt, session, data, len(data) + 16, scratch)

    def open(self, session: int, key: int, sealed: bytes, nonce: bytes, associated: bytes) -> bytes:
        """Decrypt what `seal` made."""
        scratch = self._scratch()
        scratch.gcm.set(nonce, associated)
        value = self._decrypt_init(session, scratch.gcm.reference, key)
        if value:
            raise CryptokiError("C_DecryptInit", value)
        return self._answer("C_Decrypt", self._decrypt, session, sealed, len(sealed), scratch)

    def fresh_nonce(self) -> bytes:
        """Return 12 bytes of the operating system's generator. Each is given once; they are fetched many at a time,
        since a call of the system lets another thread run, as a call of the module does."""
        return self._scratch().fresh_nonce()

    def _answer(
        self, name: str, function: Any, session: int, data: bytes, size: int, scratch: "Scratch"
    ) -> bytes:
        """Call what answers with bytes, and wipe the buffer of the thread that they came in."""
        length = scratch.length
        length.value = size
        value = function(session, data, len(data), scratch.buffer, scratch.length_reference)
        if value:
            scratch.take(min(size, MAX_ANSWER))  # what a failed operation may have left there
            raise CryptokiError(name, value)
        return scratch.take(length.value)

    def _scratch(self) -> "Scratch":
        scratch: Scratch | None = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = Scratch()
        return scratch

    def random(self, session: int, size: int) -> bytes:
        """Return bytes of the token's random generator."""
        buffer = (c_ubyte * size)()
        self._call("C_GenerateRandom", session, buffer, size)
        return bytes(buffer)
