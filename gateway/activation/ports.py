"""What the activation needs of others, as Protocols; the composition root hands in what fulfils them."""

from typing import Protocol

from gateway.core.subjects import BindingRef, NewPhone
from gateway.core.transaction import Transaction
from gateway.http.secure_channel import SecureChannel
from gateway.protocol import messages


class Tenant(Protocol):
    """The bank, as phone and page see it."""

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

    async def current_label(self, tenant_id: str) -> str:
        """Return the label of a tenant's key in force."""
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


class PinEnrolment(Protocol):
    """The PIN's enrolment on one channel."""

    async def evaluate(self, blinded: bytes) -> messages.PinEvaluated:
        """Evaluate a blinded element (33 bytes) under a fresh key. Raises ProtocolError kinds."""
        ...

    def check(self, *, pin_key: bytes, signature: bytes) -> None:
        """Check that the phone holds the PIN key (65 bytes). Raises ProtocolError kinds."""
        ...

    async def seal(self, verifier: bytes) -> None:
        """Take what offline answers are checked against (32 bytes), after `check`. Raises HsmError."""
        ...

    def record(self, tx: Transaction, *, pin_key: bytes) -> None:
        """Store the PIN, after `seal`."""
        ...


class PinBook(Protocol):
    """Begins enrolments."""

    @property
    def digits(self) -> int:
        """How many digits a PIN has."""
        ...

    def enrolment(self, ref: BindingRef, handshake_hash: bytes) -> PinEnrolment:
        """Begin the enrolment of one channel; h has 32 bytes."""
        ...


class FurtherPhones(Protocol):
    """Requests by which a bound phone agrees to a further one."""

    def consume_device(self, tx: Transaction, *, tenant_id: str, user: str, approval_id: str) -> str | None:
        """Use an approved request, once. Return the binding that the new phone replaces, None when it comes beside.
        Raises Problem(CONFLICT), Problem(NOT_FOUND)."""
        ...


class BindingDesk(Protocol):
    """Makes bindings, and serves their open channels."""

    async def seal_first_key(
        self, ref: BindingRef, psk: bytes, *, static_key: bytes, signing_key: bytes, gateway_label: str
    ) -> bytes:
        """Return bpsk_0 (32 bytes) sealed for its cell, with its owner, the phone's s_D and g_D, and the label of the
        gateway key S."""
        ...

    def add(self, tx: Transaction, phone: NewPhone) -> None:
        """Store the binding, and tell."""
        ...

    async def run_open(self, channel: SecureChannel, ref: BindingRef, *, lang: messages.Lang) -> None:
        """Serve the channel of a binding that has just become active, until it closes."""
        ...
