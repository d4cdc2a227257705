"""A bank, its customer and bound phones for the rules of approvals: a real database, real signatures, and the others
that approvals lean on (PINs, biometrics, wake-ups, notices) remembered in memory."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handsets import USER, Evaluation, Handset
from msgspec import UNSET, UnsetType
from rules_kit import TENANT, OpenSealer, Rules

from gateway.approvals import store
from gateway.approvals.answers import AnswerService
from gateway.approvals.asking import ApprovalOrder
from gateway.approvals.models import Approval, Counter
from gateway.approvals.offline import OfflineService
from gateway.approvals.policy import NewPhone, Policy
from gateway.approvals.service import ApprovalService
from gateway.approvals.tally import Wrong
from gateway.biometrics.models import CheckedAssertion
from gateway.core.ids import decode_id
from gateway.core.principals import PagePrincipal
from gateway.core.secrets import system_random
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.protocol import approval as signing
from gateway.protocol import messages
from gateway.protocol.approval import Fields, LoginFields, PaymentFields, StatementType
from gateway.protocol.errors import SignatureInvalid
from gateway.protocol.keys import sign, verify
from gateway.protocol.messages import Decision, Factor
from gateway.protocol.offline import (
    OfflineKeys,
)
from gateway.protocol.proof import BiometricProof, CoseBytes
from gateway.protocol.wiretypes import (
    AuthenticatorBytes,
    Bytes16,
    Bytes64,
    ClientDataBytes,
    CredentialBytes,
    DerSignatureBytes,
)

PAYMENT = PaymentFields(
    amount="250.00", currency="EUR", payee="Zoë Müller", account="FR76 3000", purpose="Rent"
)
LOGIN = LoginFields(browser="Firefox on Linux", place="Lille")
OLD = Policy(new_phone=NewPhone(hours=0))
"""A policy under which phones of any age are alike."""


@dataclass(frozen=True)
class OfflineVerifier:
    """What offline answers are checked against."""

    opened: bytes
    sealed: bytes


@dataclass
class Others:
    """PINs, biometrics, phones, wake-ups, notices and page tokens, each as its port has it."""

    phones: list[Handset] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    told_wrong: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    woken: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    is_pin_changed: bool = False
    name: str = "Banque du Nord"

    # Phones
    def find(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> Handset | None:
        return next((each for each in self.phones if each.id == binding_id and tenant_id == TENANT), None)

    def is_active(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> bool:
        phone = self.find(tx, tenant_id=tenant_id, binding_id=binding_id)
        return phone is not None and phone.state == "active"

    def of_user(self, tx: Transaction, *, tenant_id: str, user: str) -> Sequence[Handset]:
        return [
            each
            for each in self.phones
            if tenant_id == TENANT and each.user == user and each.state != "removed"
        ]

    async def offline_keys(self, *, tenant_id: str, binding_id: str) -> Sequence[OfflineKeys]:
        return self.phone(binding_id).keys()

    def phone(self, binding_id: str) -> Handset:
        return next(each for each in self.phones if each.id == binding_id)

    # PINs
    def check_approval(self, evaluation: Evaluation, *, signed: bytes, signature: bytes) -> None:
        verify(evaluation.pin_key, signature, signed)

    def restore(self, tx: Transaction, owner: BindingRef, evaluation: Evaluation) -> None:
        if self.is_pin_changed:
            raise SignatureInvalid("the PIN was changed meanwhile")
        tx.on_commit(lambda: self.restored.append(owner.binding_id))

    def tell_wrong(self, tx: Transaction, owner: BindingRef, evaluation: Evaluation) -> None:
        tx.on_commit(lambda: self.told_wrong.append(owner.binding_id))

    async def offline_verifier(self, owner: BindingRef) -> OfflineVerifier | None:
        verifier = self.phone(owner.binding_id).verifier
        return None if verifier is None else OfflineVerifier(verifier, b"sealed" + verifier)

    def is_verifier(self, tx: Transaction, owner: BindingRef, sealed: bytes) -> bool:
        verifier = self.phone(owner.binding_id).verifier
        return verifier is not None and sealed == b"sealed" + verifier

    # Biometrics
    def enrolled(self, tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(each.id for each in self.phones if each.has_biometric and each.id in binding_ids)

    async def check(
        self, ref: BindingRef, assertion: messages.Assertion, *, challenge: bytes
    ) -> CheckedAssertion:
        if assertion.client_data != challenge:
            raise SignatureInvalid("not over this challenge")
        return CheckedAssertion(
            BiometricProof(
                credential=assertion.credential,
                key=CoseBytes(b"key"),
                client_data=assertion.client_data,
                authenticator_data=assertion.authenticator_data,
                signature=assertion.signature,
            ),
            1,
        )

    def accept(self, tx: Transaction, ref: BindingRef, checked: CheckedAssertion) -> None:
        tx.on_commit(lambda: self.accepted.append(ref.binding_id))

    # The rest
    def wake(
        self, tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str], cause: str, expires_at: int
    ) -> None:
        tx.on_commit(lambda: self.woken.append((tuple(binding_ids), cause)))

    def warn_of_block(self, tx: Transaction, ref: BindingRef, *, phone: str) -> None:
        tx.on_commit(lambda: self.warned.append(phone))


@dataclass(frozen=True)
class Token:
    text: str
    principal: PagePrincipal


class Tokens:
    """Page tokens that open nothing."""

    def make(self, *, tenant_id: str, approval_id: str, needed_until_ms: int) -> Token:
        return Token("ptk", PagePrincipal(tenant_id, "ptk_1", None, None, needed_until_ms, approval_id))

    def store(self, tx: Transaction, token: Token) -> None:
        return None


class Tenants:
    """One bank, by whichever id."""

    def __init__(self, bank: Others) -> None:
        self._bank = bank

    async def find(self, tenant_id: str) -> Others:
        return self._bank


@dataclass
class Stage:
    """The ground of one test; `drawing` draws the codes, the same service or another node's."""

    rules: Rules
    others: Others
    service: ApprovalService
    answers: AnswerService
    offline: OfflineService
    drawing: OfflineService

    @classmethod
    @contextlib.asynccontextmanager
    async def on(cls, folder: Path) -> "AsyncIterator[Stage]":
        async with Rules.on(folder) as rules:
            yield cls.of(rules, Others())

    @classmethod
    def of(cls, rules: Rules, others: Others) -> "Stage":
        """Put the services on a database; several nodes share `others`."""
        service = ApprovalService(
            storage=rules.storage,
            journal=rules.journal,
            clock=rules.clock,
            random=system_random,
            tenants=Tenants(others),
            phones=others,
            tokens=Tokens(),
            biometrics=others,
            wakes=others,
        )
        answers = AnswerService(
            storage=rules.storage,
            journal=rules.journal,
            approvals=service,
            phones=others,
            pins=others,  # type: ignore[arg-type]
            biometrics=others,
            warnings=others,
        )
        offline = OfflineService(
            storage=rules.storage,
            journal=rules.journal,
            random=system_random,
            sealer=OpenSealer(),
            approvals=service,
            answers=answers,
            phones=others,
            pins=others,  # type: ignore[arg-type]
        )
        return cls(rules, others, service, answers, offline, drawing=offline)

    def bind(self, *, age_h: float = 1_000, **members: object) -> Handset:
        """Bind a phone; long ago, unless told otherwise."""
        phone = Handset(added_at=self.service.now_ms() - int(age_h * 3_600_000), **members)  # type: ignore[arg-type]
        self.others.phones.append(phone)
        return phone

    async def ask(self, fields: Fields = PAYMENT, *, user: str = USER, **order: object) -> Approval:
        """Ask, as the bank does."""
        made, _ = await self.service.create(ApprovalOrder(TENANT, user, fields, **order))  # type: ignore[arg-type]
        return made

    async def policy(self, kind: StatementType, policy: Policy) -> None:
        await self.service.set_policy(tenant_id=TENANT, kind=kind, policy=policy)

    async def read(self, approval: Approval) -> Approval:
        found = await self.rules.storage.read(lambda tx: store.find(tx, approval.id))
        assert found is not None
        return found

    async def counter(self, phone: Handset) -> Counter:
        found = await self.rules.storage.read(
            lambda tx: store.find_counters(tx, tenant_id=TENANT, binding_ids=[phone.id])
        )
        return found.get(phone.id) or Counter(phone.id, TENANT)

    def sign(
        self,
        phone: Handset,
        approval: Approval,
        decision: Decision = "approve",
        *,
        factor: Factor | None = None,
        number: int | None = None,
        handshake_hash: bytes = b"h" * 32,
        evaluation: Evaluation | None = None,
        statement: bytes | None = None,
    ) -> messages.Answer:
        """Answer as the phone does: by PIN, unless told otherwise."""
        used: Factor = factor or ("pin" if decision == "approve" else "possession")
        signed = signing.answer_input(
            statement or approval.statement,
            decision=decision,
            factor=used,
            number=number,
            binding_id=phone.raw,
            handshake_hash=handshake_hash,
        )
        by_pin: Bytes64 | UnsetType = UNSET
        if used == "pin" and evaluation is not None:
            claim = signing.pin_input(signed, handshake_hash=handshake_hash, nonce=evaluation.nonce)
            by_pin = Bytes64(sign(evaluation.key, claim))
        assertion: messages.Assertion | UnsetType = UNSET
        if used == "biometric":
            assertion = messages.Assertion(
                credential=CredentialBytes(b"credential"),
                client_data=ClientDataBytes(signing.biometric_challenge(signed)),
                authenticator_data=AuthenticatorBytes(b"data"),
                signature=DerSignatureBytes(b"signature"),
            )
        return messages.Answer(
            id=Bytes16(decode_id("apr", approval.id)),
            decision=decision,
            factor=used,
            number=number,
            signature=Bytes64(sign(phone.key, signed)),
            pin_signature=by_pin,
            assertion=assertion,
        )

    async def send(
        self,
        phone: Handset,
        message: messages.Answer,
        *,
        handshake_hash: bytes = b"h" * 32,
        evaluation: Evaluation | None = None,
    ) -> Approval | Wrong | None:
        """Hand an answer in, as the channel does."""
        return await self.answers.answer(
            phone.ref, message, handshake_hash=handshake_hash, evaluation=evaluation
        )

    async def decide(
        self,
        phone: Handset,
        approval: Approval,
        decision: Decision = "approve",
        *,
        factor: Factor | None = None,
        number: int | None = None,
        is_right: bool = True,
    ) -> Approval | Wrong | None:
        """Sign and send: with the PIN, right or wrong, where the factor is the PIN."""
        by_pin = (factor or ("pin" if decision == "approve" else "possession")) == "pin"
        evaluation = phone.evaluate(is_right=is_right) if by_pin else None
        message = self.sign(phone, approval, decision, factor=factor, number=number, evaluation=evaluation)
        return await self.send(phone, message, evaluation=evaluation)


async def show(stage: Stage, approval: Approval, phone: Handset | None = None) -> bytes:
    """Have the code of a request drawn; return what it carries."""
    binding_id = None if phone is None else phone.id
    view = await stage.drawing.show(tenant_id=TENANT, approval_id=approval.id, binding_id=binding_id)
    return view.payload


async def type_in(stage: Stage, approval: Approval, digits: str) -> Approval:
    """Type digits on the page."""
    return await stage.offline.answer(tenant_id=TENANT, approval_id=approval.id, digits=digits)


def other_than(digits: str, step: int = 1) -> str:
    """Return digits that are wrong, with the same counter."""
    return digits[:2] + f"{(int(digits[2:]) + step) % 10**6:06d}"


def wrong(outcome: object) -> Wrong:
    """Return an answer that was not right."""
    assert isinstance(outcome, Wrong)
    return outcome


def right(outcome: object) -> Approval:
    """Return the request after an answer that counts, or had counted."""
    assert isinstance(outcome, Approval)
    return outcome
