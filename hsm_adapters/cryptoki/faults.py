"""What a module's return value means for the caller: which fault it is, by name, and what can mend it. The
sentences say what to do next; none holds a PIN or a key."""

from enum import Enum, auto

from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki.binding import CryptokiError
from hsm_adapters.errors import (
    HsmError,
    HsmUnavailable,
    OperationUnsupported,
    PinLocked,
    PinRefused,
    TokenFull,
    TokenNotPresent,
)


class Fault(Enum):
    """What can mend it: a fresh session, handles looked up anew, the module initialised again, or nothing here."""

    SESSION = auto()
    HANDLE = auto()
    MODULE = auto()
    NONE = auto()


_FAULTS = {
    ck.CKR_SESSION_CLOSED: Fault.SESSION,
    ck.CKR_SESSION_HANDLE_INVALID: Fault.SESSION,
    ck.CKR_USER_NOT_LOGGED_IN: Fault.SESSION,
    ck.CKR_OPERATION_ACTIVE: Fault.SESSION,
    ck.CKR_OPERATION_NOT_INITIALIZED: Fault.SESSION,
    ck.CKR_KEY_HANDLE_INVALID: Fault.HANDLE,
    ck.CKR_OBJECT_HANDLE_INVALID: Fault.HANDLE,
    0xF0: Fault.HANDLE,  # CKR_UNWRAPPING_KEY_HANDLE_INVALID
    0x113: Fault.HANDLE,  # CKR_WRAPPING_KEY_HANDLE_INVALID
    ck.CKR_HOST_MEMORY: Fault.MODULE,
    0x03: Fault.MODULE,  # CKR_SLOT_ID_INVALID
    ck.CKR_GENERAL_ERROR: Fault.MODULE,
    ck.CKR_FUNCTION_FAILED: Fault.MODULE,
    0x30: Fault.MODULE,  # CKR_DEVICE_ERROR
    0x32: Fault.MODULE,  # CKR_DEVICE_REMOVED
    0x50: Fault.MODULE,  # CKR_FUNCTION_CANCELED
    ck.CKR_TOKEN_NOT_PRESENT: Fault.MODULE,
    ck.CKR_TOKEN_NOT_RECOGNIZED: Fault.MODULE,
    ck.CKR_CRYPTOKI_NOT_INITIALIZED: Fault.MODULE,
}
_ABSENT = frozenset({0x32, ck.CKR_TOKEN_NOT_PRESENT, ck.CKR_TOKEN_NOT_RECOGNIZED})
_UNSUPPORTED = frozenset(
    {0x54, 0x63, 0x68, 0x70, 0x71, 0xD0, 0xD1, 0x10, 0x12, 0x13, 0x62, 0x130, 0xE2, 0xB5}
)


def fault_of(error: CryptokiError) -> Fault:
    """Return what can mend this."""
    return _FAULTS.get(error.value, Fault.NONE)


def explain(error: CryptokiError) -> HsmError:
    """Return the named error for a fault that nothing mended."""
    if error.value in _ABSENT:
        return TokenNotPresent(
            f"The token is not there ({error}). Put it back; the gateway goes on by itself."
        )
    if error.value in (ck.CKR_DEVICE_MEMORY, ck.CKR_SESSION_COUNT):
        what = "keys" if error.value == ck.CKR_DEVICE_MEMORY else "sessions"
        return TokenFull(f"The token has no room for more {what} ({error}). Make room, then try again.")
    if error.value in _UNSUPPORTED:
        return OperationUnsupported(f"The token does not do this ({error}). Run: tessera keys doctor")
    hint = " Check the module's own configuration." if error.function == "C_Initialize" else ""
    return HsmUnavailable(f"The HSM does not answer as it should ({error}).{hint}")


def explain_login(error: CryptokiError) -> Exception:
    """Return the named error of a login that failed; the error itself when it is not about the PIN, so that what can
    mend it is done."""
    if error.value in (ck.CKR_PIN_INCORRECT, ck.CKR_PIN_INVALID, ck.CKR_PIN_LEN_RANGE):
        return PinRefused(
            "The token refused the PIN. It is not tried again: put the right one into pin-source, "
            "and mind how many tries the token has left."
        )
    if error.value == ck.CKR_PIN_LOCKED:
        return PinLocked(
            "The token is locked after too many wrong PINs. Have its security officer unlock it."
        )
    if error.value in (ck.CKR_PIN_EXPIRED, ck.CKR_USER_PIN_NOT_INITIALIZED):
        return PinRefused(f"The token wants its PIN set first ({error}). Set it with the maker's tool.")
    return error
