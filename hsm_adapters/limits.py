"""What every adapter refuses in the same words: labels, lengths and counts outside of `api`."""

import re
from collections.abc import Sequence

from hsm_adapters.api import (
    MAX_CONTEXT,
    MAX_LABEL,
    MAX_MAC_KEY,
    MAX_MAC_MESSAGE,
    MAX_MACS,
    MAX_PEERS,
    MAX_PLAINTEXT,
    MAX_RANDOM,
    MIN_MAC_KEY,
)
from hsm_adapters.errors import InvalidRequest

MAX_BLOB = MAX_PLAINTEXT + 64
SCALAR_BYTES = 32
_LABEL = re.compile(rf"\A[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_LABEL - 1}}}\Z")


def check_label(label: str) -> None:
    """Refuse what is not a label (`api.MAX_LABEL`). Raises `InvalidRequest`."""
    if not _LABEL.match(label):
        raise InvalidRequest(
            "A key label has 1 to 64 characters of A-Z a-z 0-9 . _ - and begins with no sign."
        )


def check_length(what: str, value: bytes, limit: int) -> None:
    """Refuse more than `limit` bytes. Raises `InvalidRequest`."""
    if len(value) > limit:
        raise InvalidRequest(f"The {what} is longer than {limit} bytes.")


def check_blob(blob: bytes, context: bytes) -> None:
    """Refuse a blob or a context over the limits. Raises `InvalidRequest`."""
    check_length("blob", blob, MAX_BLOB)
    check_length("context", context, MAX_CONTEXT)


def check_random(size: int) -> None:
    """Refuse another number of random bytes than 1 to 1,024. Raises `InvalidRequest`."""
    if not 1 <= size <= MAX_RANDOM:
        raise InvalidRequest(f"Random bytes come 1 to {MAX_RANDOM} at a time.")


def check_peers(peers: Sequence[bytes]) -> None:
    """Refuse another number of peers than 1 to 4. Raises `InvalidRequest`."""
    if not 1 <= len(peers) <= MAX_PEERS:
        raise InvalidRequest(f"A wrapped key meets 1 to {MAX_PEERS} peers at a time.")


def check_mac_key(key: bytes) -> None:
    """Refuse an HMAC key of another length than 10 to 64 bytes. Raises `InvalidRequest`."""
    if not MIN_MAC_KEY <= len(key) <= MAX_MAC_KEY:
        raise InvalidRequest(f"An HMAC key has {MIN_MAC_KEY} to {MAX_MAC_KEY} bytes.")


def check_macs(messages: Sequence[bytes]) -> None:
    """Refuse another number of messages than 1 to 256, or one of over 1 KiB. Raises `InvalidRequest`."""
    if not 1 <= len(messages) <= MAX_MACS:
        raise InvalidRequest(f"A wrapped key authenticates 1 to {MAX_MACS} messages at a time.")
    for message in messages:
        check_length("message", message, MAX_MAC_MESSAGE)


def check_scalar(scalar: bytes) -> None:
    """Refuse a P-256 private key of another length than 32 bytes. Raises `InvalidRequest`."""
    if len(scalar) != SCALAR_BYTES:
        raise InvalidRequest(f"A private key of P-256 has {SCALAR_BYTES} bytes.")
