"""The rules of the PIN: evaluation of the OPRF under a key that never leaves the key store, the counter that falls at
evaluation and is restored on proof, enrolment and change. Called by first contact and by the open channel of a
binding; it never sees a PIN, and never lets an evaluation out before the fallen counter is stored."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord, Fact, Journal
from gateway.core.secrets import RandomSource
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.pin import store
from gateway.pin.cells import key_context, verifier_cell
from gateway.pin.models import (
    Pin,
    PinBlocked,
    PinEvent,
    PinPolicy,
    PinRefused,
    PinState,
    after_evaluation,
    after_proof,
    after_unblock,
    next_state,
)
from gateway.protocol import oprf
from gateway.protocol.errors import InvalidPoint, SignatureInvalid
from gateway.protocol.keys import pin_enrol_input, pin_proof_input, sha256, verify
from gateway.storage.engine import Storage
from hsm_adapters.api import WrappedAgreementKeys, WrappedKey
from hsm_adapters.errors import InvalidPeerKey

NONCE_BYTES = 16


class Sealing(Protocol):
    """Secrets at rest, sealed under the key store and bound to their cell."""

    async def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> bytes: ...
    async def open(self, blob: bytes, *, table: str, column: str, row: str) -> bytes: ...


class WrappingKey(Protocol):
    """Which wrapping key is in force (`gateway.keys.ring.KeyRing`)."""

    async def wrapping_label(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A fresh OPRF key, wrapped under the key of a label, and one evaluation under it: `element` (33 bytes) for the
    phone."""

    element: bytes
    left: int
    nonce: bytes
    key: WrappedKey
    wrapped_by: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation under the key in force: `element` (33 bytes) for the phone, tries `left`, `until_ms` of the
    block that holds if it is not proved, `nonce` (16 bytes) to be signed, and the PIN key it must be signed by."""

    element: bytes
    left: int
    until_ms: int | None
    nonce: bytes
    pin_key: bytes


@dataclass(frozen=True, slots=True)
class OfflineVerifier:
    """What offline answers are checked against: `opened`, 32 bytes, and `sealed` as it rests."""

    opened: bytes = field(repr=False)
    sealed: bytes


class Evaluated(Protocol):
    """What proving and restoring need of an `Evaluation`."""

    @property
    def left(self) -> int: ...
    @property
    def nonce(self) -> bytes: ...
    @property
    def pin_key(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PinStatus:
    """What may be told of a PIN. `blocked_until_ms` is None when it is open, or when only the bank unblocks."""

    digits: int
    left: int
    blocked: bool
    blocked_until_ms: int | None


class PinService:
    """The PIN desk. One for the process."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        keys: WrappedAgreementKeys,
        ring: WrappingKey,
        sealer: Sealing,
        clock: Clock,
        random: RandomSource,
        policy: PinPolicy,
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._keys = keys
        self._ring = ring
        self._sealer = sealer
        self._clock = clock
        self._random = random
        self.policy = policy

    @property
    def digits(self) -> int:
        """How many digits a PIN has."""
        return self.policy.digits

    async def begin_enrolment(self, *, binding_id: str, blinded: bytes) -> Enrolment:
        """Generate an OPRF key and evaluate `blinded` (33 bytes) under it. Nothing is stored yet, and there is no
        PIN key to guess against, so no try is taken. Raises `PinRefused` for a bad point."""
        peers = _peers(blinded)
        context = key_context(binding_id)
        label = await self._ring.wrapping_label()
        key = await self._keys.generate_wrapped(label, context)
        element = await self._evaluate(peers, blob=key.blob, public=key.public_key, context=context)
        return Enrolment(element, self.policy.tries, self._random(NONCE_BYTES), key, label)

    async def renew(self, owner: BindingRef, enrolment: Enrolment) -> Enrolment:
        """Return an enrolment that is about to be stored with its key under the wrapping key in force: a phone may have
        taken its time, and the one before may be retired. Raises HsmError."""
        label = await self._ring.wrapping_label()
        if label == enrolment.wrapped_by:
            return enrolment
        context = key_context(owner.binding_id)
        blob = await self._keys.rewrap(
            enrolment.wrapped_by, enrolment.key.blob, context, new_label=label, new_context=context
        )
        return replace(enrolment, key=replace(enrolment.key, blob=blob), wrapped_by=label)

    def check_enrolment(
        self, *, pin_key: bytes, signature: bytes, handshake_hash: bytes, nonce: bytes = b""
    ) -> None:
        """Check that the phone holds the PIN key (65 bytes) it names. `nonce` is that of the evaluation for a
        change, and empty in first contact. Raises `PinRefused`."""
        try:
            verify(pin_key, signature, pin_enrol_input(handshake_hash, nonce))
        except (SignatureInvalid, InvalidPoint) as error:
            raise PinRefused("the PIN key does not verify") from error

    async def seal_verifier(self, owner: BindingRef, verifier: bytes, *, pin_key: bytes) -> bytes:
        """Return what offline answers are checked against (32 bytes), sealed for the PIN of that key. Raises
        HsmError."""
        return await self._sealer.seal(verifier, **verifier_cell(owner.binding_id, pin_key))

    def enrol(
        self, tx: Transaction, *, owner: BindingRef, enrolment: Enrolment, pin_key: bytes, verifier: bytes
    ) -> None:
        """Store the PIN of a new binding, in the transaction that makes it active, after `check_enrolment` and
        `seal_verifier`."""
        pin = Pin(
            binding_id=owner.binding_id,
            tenant_id=owner.tenant_id,
            state=PinState.OPEN,
            digits=self.policy.digits,
            left=self.policy.tries,
            round=0,
            blocked_until_ms=None,
            told=False,
            oprf_blob=enrolment.key.blob,
            oprf_public=enrolment.key.public_key,
            pin_key=pin_key,
            verifier=verifier,
            version=1,
        )
        store.insert(tx, pin)

    async def evaluate(self, owner: BindingRef, blinded: bytes) -> Evaluation:
        """Evaluate `blinded` (33 bytes), and let the outcome out once the try that it takes is stored. The key store
        comes first, so that its outage takes no try. Raises `PinBlocked`, HsmError, and `PinRefused` for a bad point,
        which takes no try either, and where the PIN was changed meanwhile."""
        peers = _peers(blinded)
        known = await self._storage.read(lambda tx: _find(tx, owner, is_locked=False))
        element = b""
        with contextlib.suppress(PinBlocked):  # told in the transaction
            self._after_evaluation(known)
            context = key_context(owner.binding_id)
            element = await self._evaluate(
                peers, blob=known.oprf_blob, public=known.oprf_public, context=context
            )

        def take(tx: Transaction) -> Pin | PinBlocked:
            pin = _find(tx, owner)
            try:
                fallen = self._after_evaluation(pin)
            except PinBlocked as blocked:
                self._tell_block(tx, owner, pin)
                return blocked
            if not element or pin.oprf_public != known.oprf_public:  # the blob changes with a re-wrap
                raise PinRefused("the PIN changed meanwhile")
            _change(tx, pin, fallen)
            self._record(tx, owner, AuditWord.PHONE_PIN_EVALUATE, {"left": fallen.left})
            return fallen

        pin = await self._storage.write(take)
        if isinstance(pin, PinBlocked):
            raise pin
        return Evaluation(element, pin.left, pin.blocked_until_ms, self._random(NONCE_BYTES), pin.pin_key)

    def _after_evaluation(self, pin: Pin) -> Pin:
        return after_evaluation(pin, now_ms=int(self._clock.now() * 1000), policy=self.policy)

    async def prove(
        self, owner: BindingRef, evaluation: Evaluation, *, handshake_hash: bytes, signature: bytes
    ) -> None:
        """Check the proof of an evaluation and restore the counter. An evaluation proves once: the caller forgets
        it, whatever comes of it. Raises `PinRefused`, after telling of a wrong PIN."""
        message = pin_proof_input(handshake_hash, evaluation.nonce)
        try:
            verify(evaluation.pin_key, signature, message)
        except SignatureInvalid as error:
            await self._storage.write(lambda tx: self.tell_wrong(tx, owner, evaluation))
            raise PinRefused("the proof does not verify") from error

        await self._storage.write(lambda tx: self.restore(tx, owner, evaluation))

    def check_approval(self, evaluation: Evaluated, *, signed: bytes, signature: bytes) -> None:
        """Check that the PIN's key of an evaluation signed an answer to the bank; `restore` or `tell_wrong` follows in
        the transaction of that answer. Raises `PinRefused`."""
        try:
            verify(evaluation.pin_key, signature, signed)
        except SignatureInvalid as error:
            raise PinRefused("the proof does not verify") from error

    def restore(self, tx: Transaction, owner: BindingRef, evaluation: Evaluated) -> None:
        """Restore the counter after a proof. Raises `PinRefused` when the PIN was changed meanwhile."""
        pin = _find(tx, owner)
        if pin.pin_key != evaluation.pin_key:
            raise PinRefused("the PIN was changed meanwhile")
        _change(tx, pin, after_proof(pin, policy=self.policy))
        self._record(tx, owner, AuditWord.PHONE_PIN_PROVE, {})

    async def offline_verifier(self, owner: BindingRef) -> OfflineVerifier | None:
        """Return what offline answers of a binding are checked against; None until a phone that was bound before there
        was one changes its PIN. Raises `PinRefused`, HsmError."""
        pin = await self._storage.read(lambda tx: _find(tx, owner, is_locked=False))
        if pin.verifier is None:
            return None
        opened = await self._sealer.open(pin.verifier, **verifier_cell(owner.binding_id, pin.pin_key))
        return OfflineVerifier(opened, pin.verifier)

    def is_verifier(self, tx: Transaction, owner: BindingRef, sealed: bytes) -> bool:
        """Whether a verifier is still that of the PIN in force."""
        return store.find_verifier(tx, tenant_id=owner.tenant_id, binding_id=owner.binding_id) == sealed

    async def change(
        self, owner: BindingRef, enrolment: Enrolment, *, proved_key: bytes, pin_key: bytes, verifier: bytes
    ) -> None:
        """Put a new PIN in force, with its check of offline answers (32 bytes), after `check_enrolment` and a proof by
        `proved_key` in the same channel. Raises `PinRefused` when another change came first, or the PIN is blocked by
        now; HsmError."""
        enrolment = await self.renew(owner, enrolment)
        sealed = await self.seal_verifier(owner, verifier, pin_key=pin_key)

        def replace_keys(tx: Transaction) -> None:
            pin = _find(tx, owner)
            if pin.pin_key != proved_key:
                raise PinRefused("the PIN was changed meanwhile")
            fresh = replace(
                pin,
                state=next_state(pin.state, PinEvent.CHANGE),
                oprf_blob=enrolment.key.blob,
                oprf_public=enrolment.key.public_key,
                pin_key=pin_key,
                verifier=sealed,
            )
            _change(tx, pin, fresh)
            self._record(tx, owner, AuditWord.PHONE_PIN_CHANGE, {"key": sha256(pin_key).hex()})

        await self._storage.write(replace_keys)

    def unblock(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
        """Restore the counter at the bank's wish. The caller records the fact. Raises Problem(CONFLICT)."""
        pin = store.find(tx, tenant_id=tenant_id, binding_id=binding_id)
        if pin is None:
            raise Problem(ProblemCode.CONFLICT, "this binding has no PIN")
        _change(tx, pin, after_unblock(pin, policy=self.policy))

    def erase(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
        """Erase the PIN of a removed binding."""
        store.delete(tx, tenant_id=tenant_id, binding_id=binding_id)

    def statuses(
        self, tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str]
    ) -> Mapping[str, PinStatus]:
        """Return what may be told of the PINs of some bindings, by binding id."""
        now_ms = int(self._clock.now() * 1000)
        found = store.find_many(tx, tenant_id=tenant_id, binding_ids=binding_ids)
        return {pin.binding_id: self._status(pin, now_ms) for pin in found}

    def _status(self, pin: Pin, now_ms: int) -> PinStatus:
        over = pin.blocked_until_ms is not None and now_ms >= pin.blocked_until_ms
        if pin.state is PinState.OPEN or over:
            left = self.policy.tries if over else pin.left
            return PinStatus(pin.digits, left, False, None)  # noqa: FBT003 - a struct's members in order
        return PinStatus(pin.digits, 0, True, pin.blocked_until_ms)  # noqa: FBT003 - as above

    async def _evaluate(self, peers: Sequence[bytes], *, blob: bytes, public: bytes, context: bytes) -> bytes:
        try:
            label = await self._ring.wrapping_label()
            x1, x2 = await self._keys.ecdh_wrapped(label, blob, context, peers)
        except InvalidPeerKey as error:
            raise PinRefused("the blinded element is not usable") from error
        return oprf.recover(x1, x2, public)

    def tell_wrong(self, tx: Transaction, owner: BindingRef, evaluation: Evaluated) -> None:
        """Tell of a wrong PIN, and of the block that it reached."""
        pin = _find(tx, owner)
        self._record(tx, owner, AuditWord.PHONE_PIN_WRONG, {"left": evaluation.left})
        if pin.state is not PinState.OPEN:
            self._tell_block(tx, owner, pin)

    def _tell_block(self, tx: Transaction, owner: BindingRef, pin: Pin) -> None:
        """Tell of a block when it first bites: the evaluation that reached it may still have been proved."""
        if pin.told:
            return
        _change(tx, pin, replace(pin, told=True))
        until = None if pin.blocked_until_ms is None else _utc(pin.blocked_until_ms)
        fact = Fact(
            tenant_id=owner.tenant_id,
            word=AuditWord.GATEWAY_PIN_BLOCK,
            subject=owner.binding_id,
            data={"binding": owner.binding_id, "user": owner.user, "until": until},
            event="binding.pin-blocked",
            topics=(owner.topic,),
            webhook=True,
        )
        self._journal.record(tx, fact)

    def _record(
        self, tx: Transaction, owner: BindingRef, word: AuditWord, data: Mapping[str, int | str]
    ) -> None:
        self._journal.record(
            tx, Fact(tenant_id=owner.tenant_id, word=word, subject=owner.binding_id, data=data)
        )


def _utc(at_ms: int) -> str:
    """Return a time in RFC 3339 form, in whole seconds, never before the moment it stands for."""
    return datetime.fromtimestamp(-(-at_ms // 1000), UTC).isoformat().replace("+00:00", "Z")


def _peers(blinded: bytes) -> Sequence[bytes]:
    try:
        return oprf.evaluation_peers(blinded)
    except InvalidPoint as error:
        raise PinRefused("the blinded element is not a usable point") from error


def _find(tx: Transaction, owner: BindingRef, *, is_locked: bool = True) -> Pin:
    pin = store.find(tx, tenant_id=owner.tenant_id, binding_id=owner.binding_id, is_locked=is_locked)
    if pin is None:
        raise PinRefused("this binding has no PIN")
    return pin


def _change(tx: Transaction, old: Pin, new: Pin) -> None:
    if not store.replace_row(tx, old, new):
        raise PinRefused("the PIN changed meanwhile")
