"""Names of the gateway's keys in the key store. A name carries a generation, so that a key can be rotated: the
highest one is in force, older ones open what they sealed."""

import re
from dataclasses import dataclass
from enum import StrEnum

from hsm_adapters.api import KeyKind

MAX_GENERATION = 65_535
_TENANT = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,39}\Z")
_LABEL = re.compile(
    r"\Atessera-(?:(wrap|audit|push)|([A-Za-z0-9][A-Za-z0-9_-]{0,39})-(agree))-([1-9][0-9]{0,4})\Z"
)


class KeyPurpose(StrEnum):
    """What the gateway uses a key for."""

    WRAP = "wrap"
    AUDIT = "audit"
    PUSH = "push"
    AGREE = "agree"

    @property
    def kind(self) -> KeyKind:
        """The kind of key that this purpose takes."""
        return _KINDS[self]


_KINDS = {
    KeyPurpose.WRAP: KeyKind.WRAP_AES256,
    KeyPurpose.AUDIT: KeyKind.SIGN_P256,
    KeyPurpose.PUSH: KeyKind.SIGN_P256,
    KeyPurpose.AGREE: KeyKind.AGREE_P256,
}


@dataclass(frozen=True, slots=True)
class KeyName:
    """A parsed label: `tessera-wrap-1`, `tessera-audit-1`, `tessera-push-1` or `tessera-<tenant id>-agree-1`."""

    purpose: KeyPurpose
    generation: int
    tenant_id: str | None = None

    @property
    def label(self) -> str:
        """The label in the key store, at most 64 characters. Raises ValueError for parts that make none."""
        if not 1 <= self.generation <= MAX_GENERATION:
            raise ValueError("a generation is 1 to 65,535")
        if (self.tenant_id is not None) is not (self.purpose is KeyPurpose.AGREE):
            raise ValueError("agreement keys, and they alone, belong to a tenant")
        if self.tenant_id is not None and not _TENANT.match(self.tenant_id):
            raise ValueError("not a tenant id")
        owner = f"{self.tenant_id}-" if self.tenant_id is not None else ""
        return f"tessera-{owner}{self.purpose}-{self.generation}"


def parse_label(label: str) -> KeyName | None:
    """Return the parts of one of our labels, None for any other key of the store."""
    found = _LABEL.match(label)
    if found is None or int(found[4]) > MAX_GENERATION:
        return None
    return KeyName(KeyPurpose(found[1] or found[3]), int(found[4]), found[2])


def wrap_label(generation: int = 1) -> str:
    """Return the label of a wrapping key."""
    return KeyName(KeyPurpose.WRAP, generation).label


def audit_label(generation: int = 1) -> str:
    """Return the label of an audit signing key."""
    return KeyName(KeyPurpose.AUDIT, generation).label


def agree_label(tenant_id: str, generation: int = 1) -> str:
    """Return the label of a tenant's agreement key S."""
    return KeyName(KeyPurpose.AGREE, generation, tenant_id).label
