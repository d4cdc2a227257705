"""What the devices need of others, as Protocols; the composition root hands in what fulfils them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.protocol import messages


class PinStatus(Protocol):
    """What may be told of a PIN; times in Unix milliseconds."""

    @property
    def digits(self) -> int: ...
    @property
    def left(self) -> int: ...
    @property
    def blocked(self) -> bool: ...
    @property
    def blocked_until_ms(self) -> int | None: ...


class PinDialogue(Protocol):
    """The PIN's conversation on one open channel."""

    async def answer(
        self, message: messages.PinEvaluate | messages.PinProve | messages.PinChange | messages.PinEnrol
    ) -> messages.GatewayMessage:
        """Answer one message. Raises ProtocolError kinds when it is not due or does not verify."""
        ...


class PinBook(Protocol):
    """The PINs of bindings."""

    def statuses(
        self, tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str]
    ) -> Mapping[str, PinStatus]:
        """Return what may be told of some PINs, by binding id."""
        ...

    def dialogue(self, ref: BindingRef, handshake_hash: bytes) -> PinDialogue:
        """Begin the conversation of one channel; h has 32 bytes."""
        ...

    def unblock(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
        """Restore the counter at the bank's wish."""
        ...

    def erase(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
        """Erase the PIN of a removed binding."""
        ...


class Inbox(Protocol):
    """The bank's messages to its customers."""

    def welcome(self, tx: Transaction, ref: BindingRef, *, phone: str, is_first: bool) -> None:
        """Write the message that follows a binding: a welcome for the customer's first phone, a notice that names the
        new one for a further one."""
        ...


class Erasing(Protocol):
    """Keeps something of bindings."""

    def erase(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
        """Erase what is kept of a removed binding."""
        ...


class Tenant(Protocol):
    """The bank, as a phone sees it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


class Tenants(Protocol):
    """Finds tenants; answers from memory."""

    async def find(self, tenant_id: str) -> Tenant:
        """Return a tenant. Raises Problem(NOT_FOUND)."""
        ...


class GatewayKeys(Protocol):
    """The agreement keys S, behind the key store."""

    async def next_label(self, tenant_id: str, label: str) -> str:
        """Return the label of the key that a phone of a tenant moves to from that of `label`, which may be the same.
        Raises `HsmError`."""
        ...

    async def public_key(self, label: str) -> bytes:
        """Return the point of a key (65 bytes). Raises `KeyNotFound` for one that is gone, `HsmError`."""
        ...

    async def agree(self, label: str, peer: bytes) -> bytes:
        """ECDH with a peer's point (65 bytes): the x coordinate, 32 bytes. Raises `KeyNotFound`, `HsmError`."""
        ...


class Sealing(Protocol):
    """Secrets at rest, sealed under the key store and bound to their cell."""

    async def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> bytes: ...
    async def open(self, blob: bytes, *, table: str, column: str, row: str) -> bytes: ...
