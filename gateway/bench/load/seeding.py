"""Bound phones by the thousand without their activations: rows written through the stores, with keys that the phones of
the bench know. One phone's keys serve all, since a gateway's work for a contact does not depend on them; each has a
customer of its own. Their PINs stand in rows that no PIN fits, unless one is enrolled, as the phone and the gateway
would do it between them."""

from dataclasses import dataclass

from gateway.bench.load.customers import PIN
from gateway.bench.load.installation import BankAccount
from gateway.core.clock import Clock, SystemClock
from gateway.core.ids import ID_BYTES, encode_id
from gateway.core.secrets import RandomSource, system_random
from gateway.core.subjects import BindingRef, DeviceFacts
from gateway.core.transaction import Transaction
from gateway.devices import store as binding_store
from gateway.devices.cells import psk_cell
from gateway.devices.models import Binding, BindingState
from gateway.installation import Installation
from gateway.keys.sealer import SealedAgreementKeys
from gateway.keys.service import ensure_tenant_key
from gateway.phone.models import Binding as PhoneBinding
from gateway.phone.models import PhoneKeys
from gateway.pin import store as pin_store
from gateway.pin.models import Pin, PinPolicy, PinState
from gateway.pin.service import Enrolment, PinService
from gateway.protocol import oprf
from gateway.protocol.pin import offline_verifier, oprf_input, pin_key
from gateway.protocol.primitives import wrap_p256

BATCH = 500
PSK_BYTES = 32
AGE_S = 8 * 86_400
"""How long ago they were bound: beyond the first hours of a new phone, whose approvals are limited."""
_DEVICE = DeviceFacts(name="Bench phone", model="Bench", platform="cli", os="linux", app="bench/1", lang="en")


@dataclass(frozen=True, slots=True)
class SeededPhone:
    """One bound phone: its id at the gateway, and what it knows itself."""

    binding_id: str
    own: PhoneBinding

    @property
    def user(self) -> str:
        """The bank's name for its customer, who has no other phone."""
        return self.binding_id


@dataclass(frozen=True, slots=True)
class _Enrolled:
    """A phone's rows, its PIN enrolled."""

    ref: BindingRef
    binding: Binding
    enrolment: Enrolment
    pin_key: bytes
    verifier: bytes


@dataclass(frozen=True, slots=True)
class Seeder:
    """Makes phones of one tenant."""

    installation: Installation
    tenant_id: str
    host: str
    gateway_label: str
    gateway_public: bytes
    keys: PhoneKeys
    pins: PinService
    clock: Clock
    random: RandomSource

    @classmethod
    async def prepare(cls, installation: Installation, account: BankAccount, *, host: str) -> "Seeder":
        """Find the tenant's agreement key, and make the phones' keys."""
        info = await ensure_tenant_key(installation.adapter, account.tenant_id)
        clock, random = SystemClock(), system_random
        pins = PinService(
            storage=installation.storage,
            journal=installation.journal,
            keys=SealedAgreementKeys(installation.adapter),
            ring=installation.ring,
            sealer=installation.sealer,
            clock=clock,
            random=random,
            policy=PinPolicy(),
        )
        return cls(
            installation,
            account.tenant_id,
            host,
            info.label,
            info.public_key or b"",
            PhoneKeys.generate(random),
            pins,
            clock,
            random,
        )

    async def seed(self, count: int) -> list[SeededPhone]:
        """Write that many bindings, each with a PIN that nothing proves, and return their phones."""
        phones = [self._phone() for _ in range(count)]
        for start in range(0, count, BATCH):
            rows = [(await self._binding(phone), self._pin(phone)) for phone in phones[start : start + BATCH]]
            await self.installation.storage.write(lambda tx, rows=rows: _insert(tx, rows))  # type: ignore[misc]
        return phones

    async def seed_enrolled(self, count: int) -> list[SeededPhone]:
        """Write that many bindings, each with an OPRF key of its own under which its phone proves PIN, and return their
        phones. Takes some milliseconds a phone."""
        phones = [self._phone() for _ in range(count)]
        for start in range(0, count, BATCH):
            made = [await self._enrolled(phone) for phone in phones[start : start + BATCH]]
            await self.installation.storage.write(lambda tx, made=made: self._enrol(tx, made))  # type: ignore[misc]
        return phones

    async def _enrolled(self, phone: SeededPhone) -> "_Enrolled":
        """Blind, evaluate and finalise as phone and gateway do, and return what is stored of it."""
        raw = phone.own.binding_id
        blinded = oprf.blind(oprf_input(PIN, binding_id=raw), self.random)
        enrolment = await self.pins.begin_enrolment(binding_id=phone.binding_id, blinded=blinded.element)
        output = blinded.finalize(enrolment.element)
        key = pin_key(output, device_secret=self.keys.device_secret, binding_id=raw)
        public = wrap_p256(key).public
        verifier = offline_verifier(self.keys.device_secret, binding_id=raw, pin=PIN)
        sealed = await self.pins.seal_verifier(self._ref(phone), verifier, pin_key=public)
        return _Enrolled(self._ref(phone), await self._binding(phone), enrolment, public, sealed)

    def _enrol(self, tx: Transaction, made: "list[_Enrolled]") -> None:
        for each in made:
            binding_store.insert(tx, each.binding)
            self.pins.enrol(
                tx, owner=each.ref, enrolment=each.enrolment, pin_key=each.pin_key, verifier=each.verifier
            )

    def _phone(self) -> SeededPhone:
        raw = self.random(ID_BYTES)
        now = int(self.clock.now())
        own = PhoneBinding(
            binding_id=raw,
            activation_id=bytes(ID_BYTES),
            host=self.host,
            tenant="Bench bank",
            label="Current account",
            name=_DEVICE.name,
            gateway_public=self.gateway_public,
            keys=self.keys,
            state="active",
            index=0,
            psk=self.random(PSK_BYTES),
            hybrid_due=now + 86_400,
            digits=len(PIN),
            added=now,
        )
        return SeededPhone(encode_id("bnd", raw), own)

    def _ref(self, phone: SeededPhone) -> BindingRef:
        return BindingRef(self.tenant_id, phone.binding_id, phone.user)

    async def _binding(self, phone: SeededPhone) -> Binding:
        now_ms = int(self.clock.now() * 1000)
        signing_key, static_key = self.keys.signing_pair().public, self.keys.static_pair().public
        cell = psk_cell(
            self._ref(phone),
            0,
            static_key=static_key,
            signing_key=signing_key,
            gateway_label=self.gateway_label,
        )
        sealed = await self.installation.sealer.seal(phone.own.psk, **cell)
        return Binding(
            id=phone.binding_id,
            tenant_id=self.tenant_id,
            user=phone.user,
            label=phone.own.label,
            device=_DEVICE,
            state=BindingState.ACTIVE,
            is_hybrid=True,
            gateway_label=self.gateway_label,
            signing_key=signing_key,
            static_key=static_key,
            index=0,
            psk=sealed,
            psk_next=None,
            added_at=now_ms - AGE_S * 1000,
            hybrid_at=now_ms,
            last_seen_at=now_ms,
        )

    def _pin(self, phone: SeededPhone) -> Pin:
        public = self.keys.signing_pair().public
        return Pin(
            binding_id=phone.binding_id,
            tenant_id=self.tenant_id,
            state=PinState.OPEN,
            digits=len(PIN),
            left=PinPolicy().tries,
            round=0,
            blocked_until_ms=None,
            told=False,
            oprf_blob=bytes(64),
            oprf_public=public,
            pin_key=public,
            verifier=None,
            version=1,
        )


def _insert(tx: Transaction, rows: list[tuple[Binding, Pin]]) -> None:
    for binding, pin in rows:
        binding_store.insert(tx, binding)
        pin_store.insert(tx, pin)
