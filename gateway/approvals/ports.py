"""What approvals need of others, as Protocols; the composition root hands in what fulfils them."""

from collections.abc import Sequence
from typing import Protocol

from gateway.core.principals import PagePrincipal
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.protocol import messages
from gateway.protocol.offline import OfflineKeys
from gateway.protocol.proof import BiometricProof


class Phone(Protocol):
    """A bound phone. `signing_key` is g_D (65 bytes), `added_at` Unix milliseconds."""

    @property
    def id(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def signing_key(self) -> bytes: ...
    @property
    def added_at(self) -> int: ...


class Phones(Protocol):
    """The bound phones."""

    def find(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> Phone | None:
        """Return a phone."""
        ...

    def is_active(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> bool:
        """Whether a phone may be used now."""
        ...

    def of_user(self, tx: Transaction, *, tenant_id: str, user: str) -> Sequence[Phone]:
        """Return a customer's phones that are not removed, oldest first."""
        ...

    async def offline_keys(self, *, tenant_id: str, binding_id: str) -> Sequence[OfflineKeys]:
        """Return the keys of each ratchet index that the phone may be at; none unless it is active."""
        ...


class PinEvaluation(Protocol):
    """One evaluation of the PIN, to be proved by an answer."""

    @property
    def left(self) -> int: ...
    @property
    def nonce(self) -> bytes: ...
    @property
    def pin_key(self) -> bytes: ...


class PinConversation(Protocol):
    """The PIN on one channel."""

    def take_evaluation(self) -> PinEvaluation | None:
        """Return the evaluation that waits for a proof, once."""
        ...


class OfflineVerifier(Protocol):
    """What answers without a network are checked against: 32 bytes, and as it rests."""

    @property
    def opened(self) -> bytes: ...
    @property
    def sealed(self) -> bytes: ...


class Pins(Protocol):
    """The PINs of bindings."""

    def check_approval(self, evaluation: PinEvaluation, *, signed: bytes, signature: bytes) -> None:
        """Check that the PIN key signed. Raises ProtocolError kinds."""
        ...

    def restore(self, tx: Transaction, owner: BindingRef, evaluation: PinEvaluation) -> None:
        """Restore the counter after a proof. Raises ProtocolError kinds."""
        ...

    def tell_wrong(self, tx: Transaction, owner: BindingRef, evaluation: PinEvaluation) -> None:
        """Tell of a wrong PIN, and of the block that it reached."""
        ...

    async def offline_verifier(self, owner: BindingRef) -> OfflineVerifier | None:
        """Return what offline answers are checked against; None for a phone that has none yet."""
        ...

    def is_verifier(self, tx: Transaction, owner: BindingRef, sealed: bytes) -> bool:
        """Whether a verifier is still that of the PIN in force."""
        ...


class CheckedAssertion(Protocol):
    """An assertion of a biometric credential that verifies."""

    @property
    def proof(self) -> BiometricProof: ...
    @property
    def sign_count(self) -> int: ...


class Biometrics(Protocol):
    """The biometric credentials of bindings."""

    def enrolled(self, tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str]) -> frozenset[str]:
        """Return which of some bindings have one."""
        ...

    async def check(
        self, ref: BindingRef, assertion: messages.Assertion, *, challenge: bytes
    ) -> CheckedAssertion:
        """Check an assertion over a challenge (32 bytes). Raises ProtocolError kinds."""
        ...

    def accept(self, tx: Transaction, ref: BindingRef, checked: CheckedAssertion) -> None:
        """Store that it counts. Raises ProtocolError kinds."""
        ...


class Wakes(Protocol):
    """Wake-ups of phones by push."""

    def wake(
        self, tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str], cause: str, expires_at: int
    ) -> None:
        """Have phones woken once for a cause, until its end (Unix milliseconds)."""
        ...


class Warnings(Protocol):
    """Notices of the gateway itself in a customer's inbox."""

    def warn_of_block(self, tx: Transaction, ref: BindingRef, *, phone: str) -> None:
        """Tell that one more series of wrong answers would block a phone until the bank unblocks it."""
        ...


class Tenant(Protocol):
    """The bank, as a phone sees it."""

    @property
    def name(self) -> str: ...


class Tenants(Protocol):
    """Finds tenants; answers from memory."""

    async def find(self, tenant_id: str) -> Tenant:
        """Return a tenant. Raises Problem(NOT_FOUND)."""
        ...


class IssuedToken(Protocol):
    """A page token."""

    @property
    def text(self) -> str: ...
    @property
    def principal(self) -> PagePrincipal: ...


class PageTokens(Protocol):
    """Makes page tokens."""

    def make(self, *, tenant_id: str, approval_id: str, needed_until_ms: int) -> IssuedToken:
        """Make a token for one request."""
        ...

    def store(self, tx: Transaction, token: IssuedToken) -> None:
        """Put it in force."""
        ...


class Sealing(Protocol):
    """Secrets at rest, sealed under the key store and bound to their cell."""

    async def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> bytes: ...
    async def open(self, blob: bytes, *, table: str, column: str, row: str) -> bytes: ...
