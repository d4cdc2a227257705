"""What can go wrong with a key store, and what the operator does next."""


class HsmError(Exception):
    """Base of all. `code` is stable; the text says what to do."""

    code = "hsm-error"


class HsmUnavailable(HsmError):
    """The store does not answer now; the same call may succeed later."""

    code = "hsm-unavailable"


class HsmConfigurationError(HsmError):
    """The store cannot be opened as configured: wrong URI, path, permissions or PIN."""

    code = "hsm-configuration"


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
