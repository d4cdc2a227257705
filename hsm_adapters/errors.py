"""What can go wrong with a key store, and what the operator does next. No text here ever holds a secret, a PIN, or
the query of a key URI (where a PIN may stand by mistake)."""

import re


class HsmError(Exception):
    """Base of all. `code` is stable; the text says what to do."""

    code = "hsm-error"


class HsmUnavailable(HsmError):
    """The store does not answer now; the same call may succeed later."""

    code = "hsm-unavailable"


class HsmConfigurationError(HsmError):
    """The store cannot be opened as configured: wrong URI, path, permissions or PIN."""

    code = "hsm-configuration"


class TokenNotPresent(HsmUnavailable):
    """The module answers, and has no token (or not the one) that the key URI names: removed, or not there yet."""

    code = "hsm-token-not-present"


class TokenFull(HsmUnavailable):
    """The token has no room for another key or session."""

    code = "hsm-token-full"


class PinRefused(HsmConfigurationError):
    """The token refused the PIN. It is not sent again until its source gives another: a token locks after a few."""

    code = "hsm-pin-refused"


class PinLocked(HsmConfigurationError):
    """The token is locked after too many wrong PINs, or one try is left that nobody should spend unasked."""

    code = "hsm-pin-locked"


class OperationUnsupported(HsmConfigurationError):
    """The module lacks what the operation needs. `tessera keys doctor` lists what it has."""

    code = "hsm-operation-unsupported"


class ModuleNotLoaded(HsmConfigurationError):
    """The library that module-path names cannot be loaded as a PKCS#11 module."""

    code = "hsm-module"


class InvalidKeyUri(HsmConfigurationError):
    """The key URI breaks RFC 7512, names an attribute that the scheme does not know, or carries a PIN."""

    code = "hsm-uri"


class AdapterNotFound(HsmConfigurationError):
    """No adapter is registered for the URI's scheme, or its library is not installed."""

    code = "hsm-adapter-not-found"


class KeyNotFound(HsmError):
    """No key has this label."""

    code = "key-not-found"


class KeyExists(HsmError):
    """A key with this label exists already."""

    code = "key-exists"


class WrongKeyKind(HsmError):
    """The key is of another kind than the operation needs."""

    code = "wrong-key-kind"


class InvalidPeerKey(HsmError):
    """The peer's public key is not a point of the curve."""

    code = "invalid-peer-key"


class UnwrapFailed(HsmError):
    """The blob was made by another key, for another context, or was changed."""

    code = "unwrap-failed"


class InvalidRequest(HsmError):
    """A label, length or count is outside what `hsm_adapters.api` allows: a mistake of the caller."""

    code = "hsm-invalid-request"


OUTAGES = (HsmUnavailable, HsmConfigurationError)
"""The store, its token or its PIN has to be mended, and the same call will succeed then. Whatever else is raised is
about one key or blob (damage) or a mistake of the caller, and stays as it is however long one waits."""

_URI_QUERY = re.compile(r"(?<![\w/])([a-z][a-z0-9+.-]*:[^\s?]*)\?\S+")
_PIN_VALUE = re.compile(r"(pin-(?:value|source))=\S*", re.IGNORECASE)
_MAX_TEXT = 300


def describe(error: HsmError) -> str:
    """Return code and sentence for whoever runs the gateway, on one line. The texts here hold no secret; an adapter of
    others might quote the key URI, so its query is cut out."""
    text = " ".join(str(error).split())
    text = _PIN_VALUE.sub(r"\1=…", _URI_QUERY.sub(r"\1?…", text))[:_MAX_TEXT]
    return f"{error.code}: {text}" if text else error.code
