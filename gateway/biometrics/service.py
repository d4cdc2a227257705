"""The rules of the biometric factor: enrolment, removal, and the check of an assertion. Called by the channel part for
what the phone wants, by the devices when a binding ends, and by approvals for answers. It learns public keys and sign
counts alone; whether the PIN was proved before a change is the channel's to see."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.biometrics import store
from gateway.biometrics.models import (
    BiometricRefused,
    BiometricRules,
    CheckedAssertion,
    Credential,
    has_risen,
)
from gateway.core.clock import Clock
from gateway.core.events import AuditWord, Fact, Journal
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.protocol import messages
from gateway.protocol.keys import sha256
from gateway.protocol.proof import BiometricProof, CoseBytes
from gateway.protocol.webauthn import check_assertion, check_registration
from gateway.storage.engine import Storage


class Asserted(Protocol):
    """What is settled of a `CheckedAssertion`."""

    @property
    def proof(self) -> BiometricProof: ...
    @property
    def sign_count(self) -> int: ...


class BiometricService:
    """Credentials of bindings. One for the process."""

    def __init__(self, *, storage: Storage, journal: Journal, clock: Clock, rules: BiometricRules) -> None:
        self._storage = storage
        self._journal = journal
        self._clock = clock
        self._origins = rules.origins
        self.policy = rules.policy

    def find(self, tx: Transaction, ref: BindingRef) -> Credential | None:
        """Return the credential in force; None while policy is off."""
        if self.policy == "off":
            return None
        return store.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)

    async def read(self, ref: BindingRef) -> Credential | None:
        """Return the credential in force, as `find`."""
        return await self._storage.read(lambda tx: self.find(tx, ref))

    def enrolled(self, tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str]) -> frozenset[str]:
        """Return which of some bindings may answer by biometrics."""
        if self.policy == "off":
            return frozenset()
        return store.find_enrolled(tx, tenant_id=tenant_id, binding_ids=binding_ids)

    async def enrol(
        self, ref: BindingRef, *, challenge: bytes, client_data: bytes, attestation_object: bytes
    ) -> Credential:
        """Put a new credential in force, in the place of an older one, after a proof of the PIN in the same channel.
        `challenge` was given to this phone and is used once. Raises `BiometricRefused`, `WebAuthnRefused`."""
        self.check_allowed()
        made = check_registration(
            client_data=client_data,
            attestation_object=attestation_object,
            challenge=challenge,
            origins=self._origins,
        )
        credential = Credential(
            binding_id=ref.binding_id,
            tenant_id=ref.tenant_id,
            credential=made.credential,
            key=made.key,
            sign_count=made.sign_count,
            aaguid=made.aaguid,
            added_at=int(self._clock.now() * 1000),
        )

        def unit(tx: Transaction) -> None:
            was_there = store.put(tx, credential)
            state = "replaced" if was_there else "added"
            data = {"state": state, "key": sha256(credential.key).hex(), "model": credential.aaguid.hex()}
            self._tell(tx, ref, AuditWord.PHONE_BIOMETRIC_ENROL, data)

        await self._storage.write(unit)
        return credential

    async def remove(self, ref: BindingRef) -> None:
        """Erase the credential at the customer's wish; nothing happens where there is none. Raises `BiometricRefused`
        where policy wants one."""
        if self.policy == "required":
            raise BiometricRefused("the bank wants this phone to have a credential")
        await self._storage.write(
            lambda tx: self._remove(
                tx, store.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id), ref, "customer"
            )
        )

    def erase(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
        """Erase the credential of a removed binding. The removal is told by who removes it."""
        store.delete(tx, tenant_id=tenant_id, binding_id=binding_id)

    def check_allowed(self) -> None:
        """Raises `BiometricRefused` while policy is off."""
        if self.policy == "off":
            raise BiometricRefused("the bank does not take biometrics")

    async def check(
        self, ref: BindingRef, assertion: messages.Assertion, *, challenge: bytes
    ) -> CheckedAssertion:
        """Check an assertion by the binding's credential over a challenge (`approval.biometric_challenge`). A sign
        count that has not risen says that the credential was copied: it is erased, and the bank is told. `accept`
        follows in the transaction of what was asserted. Raises `BiometricRefused`, `WebAuthnRefused`."""
        credential = await self.read(ref)
        if credential is None or credential.credential != assertion.credential:
            raise BiometricRefused("not the credential of this phone")
        sign_count = check_assertion(
            client_data=assertion.client_data,
            authenticator_data=assertion.authenticator_data,
            signature=assertion.signature,
            key=credential.key,
            challenge=challenge,
            origins=self._origins,
        )
        if not has_risen(credential.sign_count, sign_count):
            await self._storage.write(lambda tx: self._remove(tx, credential, ref, "sign-count"))
            raise BiometricRefused("its sign count has not risen")
        proof = BiometricProof(
            credential=assertion.credential,
            key=CoseBytes(credential.key),
            client_data=assertion.client_data,
            authenticator_data=assertion.authenticator_data,
            signature=assertion.signature,
        )
        return CheckedAssertion(proof, sign_count)

    def accept(self, tx: Transaction, ref: BindingRef, checked: Asserted) -> None:
        """Store the sign count of an assertion that counts. Raises `BiometricRefused` when the credential was changed
        meanwhile, or another assertion came in between."""
        now = store.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
        if now is None or now.credential != checked.proof.credential or now.key != checked.proof.key:
            raise BiometricRefused("the credential was changed meanwhile")
        if not has_risen(now.sign_count, checked.sign_count):
            raise BiometricRefused("another assertion came in between")
        if not store.set_sign_count(tx, now, checked.sign_count):
            raise BiometricRefused("another assertion came in between")

    def _remove(self, tx: Transaction, credential: Credential | None, ref: BindingRef, reason: str) -> None:
        """Erase this credential, unless it is no longer the one in force."""
        now = store.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
        if credential is None or now is None or now.credential != credential.credential:
            return
        store.delete(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
        self._tell(tx, ref, AuditWord.PHONE_BIOMETRIC_REMOVE, {"state": "removed", "reason": reason})

    def _tell(self, tx: Transaction, ref: BindingRef, word: AuditWord, extra: Mapping[str, str]) -> None:
        fact = Fact(
            tenant_id=ref.tenant_id,
            word=word,
            subject=ref.binding_id,
            data={"binding": ref.binding_id, "user": ref.user, **extra},
            event="binding.biometric-changed",
            topics=(ref.topic,),
            webhook=True,
        )
        self._journal.record(tx, fact)
