"""A small bank for the tests of evidence: a real audit log with checkpoints by a real key store, in which entries about
others stand between, and a phone that answers as the protocol says."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biometrics_kit import Authenticator, encode
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import create_engine

from gateway.audit import store
from gateway.audit.service import Checkpointer
from gateway.audit.trail import AuditTrail
from gateway.core.clock import ManualClock
from gateway.core.ids import encode_id
from gateway.core.secrets import system_random
from gateway.core.transaction import Transaction
from gateway.evidence.service import EvidenceService
from gateway.keys.ring import KeyRing
from gateway.keys.service import default_store_uri, ensure_keys
from gateway.protocol import approval as signing
from gateway.protocol.keys import sha256, sign
from gateway.protocol.messages import Decision, Factor
from gateway.protocol.proof import BiometricProof, CoseBytes, OfflineProof, PinProof, Proof, encode_proof
from gateway.protocol.wiretypes import (
    AuthenticatorBytes,
    Bytes16,
    Bytes32,
    Bytes64,
    Bytes65,
    ClientDataBytes,
    CredentialBytes,
    DerSignatureBytes,
)
from gateway.storage.engine import Storage
from gateway.storage.schema import metadata
from hsm_adapters.software import SoftwareAdapter

TENANT = "ten_AAAAAAAAAAAAAAAAAAAAAA"
OTHER = "ten_BBBBBBBBBBBBBBBBBBBBBA"
SECRET = "somebody-else"
TABLES = [store.audit_entries, store.audit_head, store.audit_checkpoints, store.audit_vouchers]
PAYMENT = signing.PaymentFields(
    amount="1250.00", currency="EUR", payee="Zoë Müller", account="FR76 3000", purpose="Rent\nMay"
)


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def fresh() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Phone:
    """One bound phone: g_D, a PIN's key, a credential."""

    binding: bytes = field(default_factory=lambda: system_random(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=fresh)
    pin_key: ec.EllipticCurvePrivateKey = field(default_factory=fresh)
    device: Authenticator = field(default_factory=Authenticator)

    @property
    def id(self) -> str:
        return encode_id("bnd", self.binding)

    def answer(
        self,
        statement: bytes,
        *,
        decision: Decision = "approve",
        factor: Factor = "pin",
        number: int | None = None,
    ) -> Proof:
        """Answer by channel."""
        h = system_random(32)
        signed = signing.answer_input(
            statement,
            decision=decision,
            factor=factor,
            number=number,
            binding_id=self.binding,
            handshake_hash=h,
        )
        pin = biometric = None
        if factor == "pin":
            nonce = system_random(16)
            by_pin = sign(self.pin_key, signing.pin_input(signed, handshake_hash=h, nonce=nonce))
            pin = PinProof(nonce=Bytes16(nonce), key=Bytes65(point(self.pin_key)), signature=Bytes64(by_pin))
        if factor == "biometric":
            got = self.device.get(signing.biometric_challenge(signed))
            biometric = BiometricProof(
                credential=CredentialBytes(self.device.credential),
                key=CoseBytes(encode(self.device.cose())),
                client_data=ClientDataBytes(got["client_data"]),
                authenticator_data=AuthenticatorBytes(got["authenticator_data"]),
                signature=DerSignatureBytes(got["signature"]),
            )
        return Proof(
            binding=Bytes16(self.binding),
            key=Bytes65(point(self.key)),
            decision=decision,
            factor=factor,
            number=number,
            h=Bytes32(h),
            signature=Bytes64(sign(self.key, signed)),
            pin=pin,
            biometric=biometric,
            offline=None,
        )

    def answer_offline(self) -> Proof:
        """Answer by digits."""
        return Proof(
            binding=Bytes16(self.binding),
            key=Bytes65(point(self.key)),
            decision="approve",
            factor="pin",
            number=None,
            h=None,
            signature=None,
            pin=None,
            biometric=None,
            offline=OfflineProof(counter=7, digits="07123456"),
        )


@dataclass
class Record:
    id: str
    statement: bytes
    proof: bytes | None = None


@dataclass
class Tenant:
    id: str


@dataclass
class Bank:
    """The gateway's side."""

    path: Path
    storage: Storage
    adapter: SoftwareAdapter
    checkpointer: Checkpointer
    clock: ManualClock
    chain: store.AuditChain = field(default_factory=store.AuditChain)
    records: dict[tuple[str, str], Record] = field(default_factory=dict)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, folder: Path) -> AsyncIterator["Bank"]:
        path = folder / "evidence.db"
        engine = create_engine(f"sqlite:///{path}")
        metadata.create_all(engine, tables=TABLES)
        engine.dispose()
        storage = Storage(f"sqlite:///{path}")
        adapter = await SoftwareAdapter.create(default_store_uri(str(folder)))
        await ensure_keys(adapter)
        clock = ManualClock()
        checkpointer = Checkpointer(
            storage=storage, adapter=adapter, ring=KeyRing(adapter, clock), clock=clock
        )
        try:
            yield cls(path, storage, adapter, checkpointer, clock)
        finally:
            await adapter.close()
            await storage.close()

    @property
    def service(self) -> EvidenceService:
        trail = AuditTrail(storage=self.storage, adapter=self.adapter, signing=self.checkpointer)
        return EvidenceService(storage=self.storage, records=self, trail=trail, banks=self)

    def find_record(self, tx: Transaction, tenant_id: str, approval_id: str) -> Record | None:
        return self.records.get((tenant_id, approval_id))

    async def list(self) -> list[Tenant]:
        return [Tenant(OTHER), Tenant(TENANT)]

    async def tell(self, word: str, subject: str, *, tenant: str = TENANT, **data: Any) -> None:
        at_ms = int(self.clock.now() * 1000)
        await self.storage.write(
            lambda tx: self.chain.append(
                tx, tenant_id=tenant, word=word, subject=subject, data=data, at_ms=at_ms
            )
        )
        self.clock.advance(1)

    async def bustle(self, count: int = 3) -> None:
        """Others do something."""
        for n in range(count):
            tenant = (TENANT, OTHER)[n % 2]
            await self.tell(
                "phone:pin:prove", encode_id("bnd", system_random(16)), tenant=tenant, user=SECRET
            )

    async def bind(self, phone: Phone) -> None:
        await self.tell("phone:binding:add", phone.id, binding=phone.id, key=sha256(point(phone.key)).hex())

    async def enrol(self, phone: Phone) -> None:
        cose = encode(phone.device.cose())
        await self.tell("phone:biometric:enrol", phone.id, state="added", key=sha256(cose).hex())

    async def ask(self, fields: signing.Fields = PAYMENT) -> Record:
        """Ask the customer."""
        raw, now = system_random(16), int(self.clock.now())
        statement = signing.make_statement(
            fields,
            id=raw,
            bank="Banque du Nord",
            user="user-1",
            created=now,
            expires=now + 60,
            nonce=system_random(16),
        )
        record = Record(encode_id("apr", raw), statement)
        self.records[TENANT, record.id] = record
        await self.tell("bank:approval:create", record.id, statement=sha256(statement).hex())
        return record

    async def take(self, record: Record, proof: Proof) -> None:
        """Take an answer as good, as approvals do after their checks."""
        record.proof = encode_proof(proof)
        words = {"approve": "approve", "refuse": "refuse", "report": "report"}
        await self.tell(
            f"phone:approval:{words[proof.decision]}",
            record.id,
            statement=sha256(record.statement).hex(),
            proof=sha256(record.proof).hex(),
            binding=encode_id("bnd", proof.binding),
            decision=proof.decision,
            factor=proof.factor,
            via="channel" if proof.offline is None else "offline",
        )

    async def story(self, phone: Phone, factor: Factor | None, **answer: Any) -> Record:
        """A phone is bound; much later it is asked and answers, while others go about their business."""
        await self.bustle()
        await self.bind(phone)
        await self.enrol(phone)
        await self.bustle()
        await self.checkpointer.checkpoint()
        await self.bustle(5)
        await self.checkpointer.checkpoint()
        record = await self.ask()
        await self.bustle()
        await self.tell("phone:approval:wrong", record.id, left=4)
        proof = (
            phone.answer_offline()
            if factor is None
            else phone.answer(record.statement, factor=factor, **answer)
        )
        await self.take(record, proof)
        await self.bustle(2)
        return record
