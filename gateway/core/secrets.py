"""Bytes that must not be printed, and the source of fresh ones."""

import hmac
import secrets as _secrets
from collections.abc import Callable

import msgspec

RandomSource = Callable[[int], bytes]
"""Returns that many fresh random bytes."""

system_random: RandomSource = _secrets.token_bytes


def repr_without(struct: msgspec.Struct, *secrets: str) -> str:
    """Return a struct's repr with those fields redacted, for its `__repr__`: `field(repr=False)` is for dataclasses
    alone."""
    shown = (
        f"{name}=<secret>" if name in secrets else f"{name}={getattr(struct, name)!r}"
        for name in struct.__struct_fields__
    )
    return f"{type(struct).__name__}({', '.join(shown)})"


class Secret:
    """Secret bytes whose repr is redacted; compares in constant time; not picklable, not hashable."""

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the bytes. Never log, format or store the result."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __repr__(self) -> str:
        return f"Secret(<{len(self._value)} bytes>)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled")
