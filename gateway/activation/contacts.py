"""The rules of an activation as the phone meets them: who is let in, who came first, who came second, who comes again,
and who becomes a binding. The first-contact channel calls these in order; each step is one durable write, and each is
checked again inside its transaction, since the bank, the clock or a second phone may have come between.

    (1) the activation is known, open, not past its end     (2) the suite is exactly the policy's
    (3) n is in force, or the n that this phone claimed with  (4) the platform is allowed
    (5) the phone key is the first that came: claim           (6) m3's keys are the claim's: present, or return
    (7) commit by the confirmed phone's keys alone: active
"""

import contextlib
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway.activation import facts, store
from gateway.activation.models import (
    TYPED_FAILURES,
    Activation,
    ActivationEvent,
    ActivationState,
    move,
)
from gateway.activation.ports import BindingDesk, PinEnrolment, Sealing
from gateway.activation.secrets import derive_nonce, derive_psk, device_code_cell, open_seed, raw_id
from gateway.activation.service import ActivationService
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import Journal
from gateway.core.ids import encode_id
from gateway.core.subjects import BindingRef, DeviceFacts, NewPhone
from gateway.core.transaction import Transaction
from gateway.protocol.errors import ContactRefused, ErrorCode
from gateway.protocol.frames import Hello
from gateway.protocol.keys import TYPED_ROTATION, rotation_at
from gateway.storage.engine import Storage
from hsm_adapters.errors import UnwrapFailed


@dataclass(frozen=True, slots=True)
class Admission:
    """A hello that may go on to its handshake: the psk (32 bytes), the commit nonce (10 bytes), and whether its n is
    in force (if not, only the phone that claimed with it may use it)."""

    activation: Activation
    rotation: int
    is_fresh: bool
    psk: bytes = field(repr=False)
    nonce: bytes = field(repr=False)

    @property
    def is_two_step(self) -> bool:
        """Whether code 2 is needed: as ordered, and always for a typed code."""
        return self.activation.is_two_step or self.rotation == TYPED_ROTATION


@dataclass(frozen=True, slots=True)
class PresentPhone:
    """What a verified m3 brought: s_D and g_D (65 bytes each), facts, export("device-code") (32 bytes) and, in two
    steps, code 2's payload for this channel."""

    static_key: bytes
    signing_key: bytes
    device: DeviceFacts
    device_code: bytes = field(repr=False)
    code2: bytes | None


@dataclass(frozen=True, slots=True)
class CommitOrder:
    """What a verified m7 brought."""

    phone: PresentPhone
    pin_key: bytes
    enrolment: PinEnrolment
    binding_psk: bytes = field(repr=False)


class Ended(Exception):
    """The activation ended meanwhile; `reason` is the one to tell the phone."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ContactService:
    """First contacts. One for the process."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        sealer: Sealing,
        activations: ActivationService,
        bindings: BindingDesk,
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._sealer = sealer
        self._activations = activations
        self._bindings = bindings

    async def admit(self, hello: Hello) -> Admission:
        """Steps (1) to (3). Raises `ContactRefused`, `HsmError`."""
        activation_id = encode_id("act", hello.subject)
        recent = self._activations.recent.recall(activation_id)
        if recent is not None:
            with contextlib.suppress(ContactRefused, UnwrapFailed):  # what is remembered may be old
                return await self._admit(recent, hello)
        activation = await self._storage.read(lambda tx: store.find(tx, activation_id))
        if activation is None:
            raise ContactRefused(ErrorCode.UNKNOWN)
        return await self._admit(activation, hello)

    async def _admit(self, activation: Activation, hello: Hello) -> Admission:
        await self._require_open(activation)
        if hello.suite.hybrid is not activation.is_hybrid:
            raise ContactRefused(ErrorCode.SUITE)
        is_fresh = self._is_fresh(activation, hello.counter)
        if not is_fresh and hello.counter != activation.phone_rotation:
            raise ContactRefused(ErrorCode.EXPIRED)
        seed = await open_seed(self._sealer, activation)
        raw = raw_id(activation)
        return Admission(
            activation=activation,
            rotation=hello.counter,
            is_fresh=is_fresh,
            psk=derive_psk(seed, raw, hello.counter),
            nonce=derive_nonce(seed, raw),
        )

    async def _require_open(self, activation: Activation) -> None:
        if not activation.is_over and self._activations.now_ms() >= activation.expires_at:
            activation = await self._activations.expire(activation.id)
        if activation.state is ActivationState.EXPIRED:
            raise ContactRefused(ErrorCode.EXPIRED)
        if activation.is_over:
            raise ContactRefused(ErrorCode.ENDED)

    def _is_fresh(self, activation: Activation, rotation: int) -> bool:
        if rotation == TYPED_ROTATION:
            if activation.typed_failures >= TYPED_FAILURES:
                raise ContactRefused(ErrorCode.EXPIRED)
            return True
        if not activation.is_rotating:
            return rotation == 0
        now = rotation_at(
            self._activations.now_ms(),
            created_ms=activation.created_at,
            period_ms=self._activations.policy.rotation_s * 1000,
        )
        return rotation in (now, now - 1)

    async def count_failure(self, admission: Admission) -> None:
        """Count a handshake that failed under the typed code; ten end the typed form."""
        if admission.rotation != TYPED_ROTATION:
            return

        def unit(tx: Transaction) -> None:
            activation = store.find(tx, admission.activation.id, is_locked=True)
            if activation is None or activation.is_over:
                return
            counted = replace(activation, typed_failures=activation.typed_failures + 1)
            store.save(tx, activation, counted)
            if counted.typed_failures == TYPED_FAILURES:
                self._journal.record(tx, facts.typed_form_ended(counted))

        await self._storage.write(unit)
        self._activations.recent.forget(admission.activation.id)

    async def claim(self, admission: Admission, *, static_key: bytes, platform: str) -> Activation:
        """Steps (4) and (5), after a valid m1; returns the activation as it stands. Raises `ContactRefused`; a second
        phone ends the activation first."""
        known, rotation = admission.activation, admission.rotation
        if platform not in known.platforms:
            raise ContactRefused(ErrorCode.PLATFORM)

        def unit(tx: Transaction) -> Activation | ErrorCode:
            is_first = known.phone_static in (None, static_key)
            if is_first and store.claim(tx, known, static_key=static_key, rotation=rotation):
                return _claimed(known, static_key, rotation)
            row = store.find(tx, known.id, is_locked=True)
            if row is None:
                return ErrorCode.UNKNOWN
            refusal = self._refusal(row, admission)
            if refusal is None and row.phone_static not in (None, static_key):
                # A stale code is dead for everyone but the phone that claimed with it.
                refusal = ErrorCode.ENDED if admission.is_fresh else ErrorCode.EXPIRED
                if admission.is_fresh:
                    self._contest(tx, row)
            if refusal is None and store.claim(tx, row, static_key=static_key, rotation=rotation):
                return _claimed(row, static_key, rotation)
            return refusal or ErrorCode.BUSY

        claimed = await self._storage.write(unit)
        if isinstance(claimed, ErrorCode):
            self._activations.recent.forget(known.id)
            raise ContactRefused(claimed)
        self._activations.recent.remember(claimed)
        return claimed

    def _refusal(self, row: Activation, admission: Admission) -> ErrorCode | None:
        """Return why the row does not admit this contact, though what was remembered did."""
        if row.is_over:
            return ErrorCode.EXPIRED if row.state is ActivationState.EXPIRED else ErrorCode.ENDED
        if admission.rotation == TYPED_ROTATION and row.typed_failures >= TYPED_FAILURES:
            return ErrorCode.EXPIRED
        # m2 has told the phone one step, and the row has two by now: it comes again and is told so.
        return ErrorCode.BUSY if row.is_two_step and not admission.is_two_step else None

    async def present(self, admission: Admission, phone: PresentPhone) -> Activation:
        """Step (6), after a valid m3: the activation is `present`, or `confirmed` already for a phone that comes
        again. Raises `Ended`; for another phone's keys, after the activation has ended for everyone; and
        Problem(UNAVAILABLE) for a phone that does not know of the second step."""
        cell = device_code_cell(admission.activation.id)
        sealed = await self._sealer.seal(phone.device_code, **cell)

        def unit(tx: Transaction) -> Activation | None:
            known = admission.activation
            seen = self._seen(known, admission, phone, sealed)
            is_late = self._activations.now_ms() >= known.expires_at
            if is_late or seen is None or not store.save(tx, known, seen):
                known = self._require_live(tx, known.id)
                if known.is_two_step and not admission.is_two_step:
                    # m2 told the phone one step: it comes again and is told two.
                    raise Problem(ProblemCode.UNAVAILABLE, "the activation takes two steps by now")
                seen = self._seen(known, admission, phone, sealed)
                if seen is None:
                    self._contest(tx, known)
                    return None
                self._save(tx, known, seen)
            is_return = known.phone_signing is not None
            self._journal.record(tx, facts.present(seen, phone.device, is_return=is_return))
            return replace(seen, version=known.version + 1)

        try:
            activation = await self._storage.write(unit)
        except Problem:
            self._activations.recent.forget(admission.activation.id)
            raise
        if activation is None:
            self._activations.recent.forget(admission.activation.id)
            raise Ended("contested")
        self._activations.recent.remember(activation)
        return activation

    def _seen(
        self, row: Activation, admission: Admission, phone: PresentPhone, sealed: bytes
    ) -> Activation | None:
        """Return the activation with this phone present; None for another phone's keys."""
        known = row.phone_signing
        if row.phone_static != phone.static_key or known not in (None, phone.signing_key):
            return None
        seen = replace(
            row,
            is_two_step=row.is_two_step or admission.is_two_step,
            phone_signing=phone.signing_key,
            phone_rotation=admission.rotation,
            device=phone.device,
            device_code=None if row.state is ActivationState.CONFIRMED else sealed,
            code2=phone.code2,
        )
        return move(seen, ActivationEvent.PRESENT if known is None else ActivationEvent.RETURN)

    async def commit(self, admitted: Activation, order: CommitOrder) -> int:
        """Step (7), after a valid m7: binding, PIN and activation in one transaction. Returns the moment the binding
        was added, Unix milliseconds. Raises `Ended` when the activation is not this phone's to commit any more."""
        now_ms = self._activations.now_ms()
        phone = order.phone
        sealed_psk = await self._bindings.seal_first_key(
            _ref(admitted),
            order.binding_psk,
            static_key=phone.static_key,
            signing_key=phone.signing_key,
            gateway_label=admitted.gateway_label,
        )

        def unit(tx: Transaction) -> None:
            if not store.complete(
                tx,
                admitted.id,
                static_key=phone.static_key,
                signing_key=phone.signing_key,
                now_ms=now_ms,
            ):
                row = self._require_live(tx, admitted.id)
                raise Ended("contested" if row.state is ActivationState.CONFIRMED else "cancelled")
            self._bindings.add(tx, _new_phone(admitted, phone, sealed_psk=sealed_psk, added_at=now_ms))
            order.enrolment.record(tx, pin_key=order.pin_key)
            self._journal.record(tx, facts.active(admitted, phone.device, order.pin_key))

        await self._storage.write(unit)
        self._activations.recent.forget(admitted.id)
        return now_ms

    async def leave(self, activation_id: str) -> None:
        """Tell that the phone's connection was lost, if the activation still goes on."""

        def unit(tx: Transaction) -> None:
            activation = store.find(tx, activation_id)
            if activation is not None and not activation.is_over:
                self._journal.record(tx, facts.away(activation))

        await self._storage.write(unit)

    def _require_live(self, tx: Transaction, activation_id: str) -> Activation:
        row = store.find(tx, activation_id, is_locked=True)
        if row is None or row.is_over:
            raise Ended((row and row.ended_reason) or "cancelled")
        if self._activations.now_ms() >= row.expires_at:
            raise Ended("expired")
        return row

    def _contest(self, tx: Transaction, row: Activation) -> None:
        contested = move(row, ActivationEvent.CONTEST)
        self._save(tx, row, contested)
        self._journal.record(tx, facts.ended(contested, ActivationEvent.CONTEST))

    def _save(self, tx: Transaction, old: Activation, new: Activation) -> None:
        if not store.save(tx, old, new):
            raise Ended("cancelled")


def _claimed(row: Activation, static_key: bytes, rotation: int) -> Activation:
    claimed = replace(row, phone_static=static_key, phone_rotation=rotation, version=row.version + 1)
    return move(claimed, ActivationEvent.CLAIM)


def _ref(admitted: Activation) -> BindingRef:
    return BindingRef(admitted.tenant_id, admitted.binding_id, admitted.user)


def _new_phone(admitted: Activation, phone: PresentPhone, *, sealed_psk: bytes, added_at: int) -> NewPhone:
    return NewPhone(
        ref=_ref(admitted),
        label=admitted.label,
        device=phone.device,
        is_hybrid=admitted.is_hybrid,
        gateway_label=admitted.gateway_label,
        signing_key=phone.signing_key,
        static_key=phone.static_key,
        sealed_psk=sealed_psk,
        added_at=added_at,
        replaces=admitted.replaces,
    )
