"""What can go wrong with a key store, and what the operator does next. No text here ever holds a secret, a PIN, or
the query of a key URI (where a PIN may stand by mistake)."""


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
