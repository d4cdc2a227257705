"""What the scripted gateway asks and writes: requests with their tries, messages, the count of offline answers. It
checks each answer as a gateway does."""

import secrets
from dataclasses import dataclass, field

from gateway.protocol import keys, messages, oprf
from gateway.protocol.approval import Fields, PaymentFields, answer_input, make_statement, pin_input
from gateway.protocol.errors import SignatureInvalid
from gateway.protocol.offline import STANDING
from gateway.protocol.primitives import P256, KeyPair
from gateway.protocol.wiretypes import Bytes16, StatementBytes

NOW = 1_800_000_000
PAYMENT = PaymentFields(
    amount="1234567.50",
    currency="EUR",
    payee="Ätna & Söhne",
    account="FR76 3000 4000",
    purpose="Invoice 7\nRest",
)
_END_OF: dict[messages.Decision, messages.ApprovalEnd] = {
    "approve": "approved",
    "refuse": "refused",
    "report": "reported",
}


TRIES = 5


@dataclass
class BoundPhone:
    """A binding: keys, ratchet {index: psk}, PIN."""

    static: bytes
    signing: bytes
    ratchet: dict[int, bytes]
    oprf_key: KeyPair
    pin_key: bytes
    name: str
    verifier: bytes
    suspended: bool = False
    left: int = TRIES


@dataclass(frozen=True)
class Evaluated:
    """What an answer is checked against: the phone's keys, the last evaluation, and the channel."""

    signing: bytes
    pin_key: bytes
    nonce: bytes
    binding_id: bytes
    h: bytes


@dataclass
class Requests:
    """The bank's side of one binding."""

    asks: dict[bytes, messages.Ask] = field(default_factory=dict)
    numbers: dict[bytes, int] = field(default_factory=dict)
    ends: dict[bytes, messages.ApprovalEnd] = field(default_factory=dict)
    tries: int = 5
    until: int | None = None
    inbox: list[messages.InboxMessage] = field(default_factory=list)
    counter: int = 0
    answers: list[messages.Answer] = field(default_factory=list)

    def ask(
        self,
        fields: Fields = PAYMENT,
        *,
        factors: tuple[messages.Factor, ...] = ("pin",),
        number: int | None = None,
        is_typed: bool = False,
        statement: bytes | None = None,
        now: int = NOW,
    ) -> messages.Ask:
        """Ask something; the message waits for every channel that opens."""
        id = secrets.token_bytes(16)
        raw = statement or make_statement(
            fields, id=id, bank="Example Bank", user="user-1", created=now, expires=now + 60, nonce=bytes(16)
        )
        numbers = () if number is None or is_typed else (number, 11, 99)
        asked = messages.Ask(
            id=Bytes16(id),
            statement=StatementBytes(raw),
            factors=factors,
            number="none" if number is None else "type" if is_typed else "choose",
            numbers=numbers,
            time=now,
        )
        self.asks[id] = asked
        if number is not None:
            self.numbers[id] = number
        return asked

    def write(self, title: str, body: str) -> bytes:
        """Write a message."""
        id = secrets.token_bytes(16)
        written = messages.InboxMessage(
            id=Bytes16(id), title=title, body=body, at=NOW, expires=None, read=False
        )
        self.inbox.insert(0, written)
        return id

    @property
    def unread(self) -> int:
        return sum(not item.read for item in self.inbox)

    def opened(self) -> list[messages.GatewayMessage]:
        """What a channel is told on opening."""
        told: list[messages.GatewayMessage] = [ask for id, ask in self.asks.items() if id not in self.ends]
        if self.inbox:
            told.append(messages.Unread(count=self.unread))
        return told

    def reply(self, message: messages.PhoneMessage, given: Evaluated) -> messages.GatewayMessage | None:
        """Answer a message about requests and messages; None for any other."""
        match message:
            case messages.Answer():
                return self._answer(message, given)
            case messages.Approvals():
                items = [self._past(id, end) for id, end in reversed(self.ends.items())]
                first = next((n for n, item in enumerate(items, 1) if item.id == message.before), 0)
                page = tuple(items[first : first + 2])
                return messages.ApprovalPage(items=page, more=len(items) > first + 2)
            case messages.Inbox():
                first = next((n for n, item in enumerate(self.inbox, 1) if item.id == message.before), 0)
                return messages.InboxPage(
                    items=tuple(self.inbox[first : first + 2]),
                    more=len(self.inbox) > first + 2,
                    unread=self.unread,
                )
            case messages.InboxRead():
                self.inbox = [
                    messages.InboxMessage(
                        id=item.id,
                        title=item.title,
                        body=item.body,
                        at=item.at,
                        expires=None,
                        read=item.read or item.id == message.id,
                    )
                    for item in self.inbox
                ]
                return messages.Unread(count=self.unread)
            case messages.OfflineCounter():
                self.counter = max(self.counter, message.value)
                return messages.OfflineCounted(value=max(0, self.counter - STANDING))
            case _:
                return None

    def _past(self, id: bytes, end: messages.ApprovalEnd) -> messages.PastApproval:
        asked = self.asks[id]
        return messages.PastApproval(
            id=asked.id, statement=asked.statement, state=end, at=NOW + 30, here=True
        )

    def _answer(self, message: messages.Answer, given: Evaluated) -> messages.GatewayMessage:
        self.answers.append(message)
        if message.id in self.ends:
            return messages.Answered(id=message.id, state=self.ends[message.id])
        asked = self.asks[message.id]
        signed = answer_input(
            asked.statement,
            decision=message.decision,
            factor=message.factor,
            number=message.number,
            binding_id=given.binding_id,
            handshake_hash=given.h,
        )
        try:
            keys.verify(given.signing, message.signature, signed)
            if message.decision == "approve":
                assert message.factor in asked.factors
                if message.number != self.numbers.get(bytes(message.id)):
                    raise SignatureInvalid("number")
            if message.factor == "pin":
                assert message.pin_signature
                claim = pin_input(signed, handshake_hash=given.h, nonce=given.nonce)
                keys.verify(given.pin_key, message.pin_signature, claim)
        except SignatureInvalid:
            self.tries -= 1
            if self.tries == 0:
                self.ends[bytes(message.id)] = "failed"
            return messages.AnswerWrong(
                id=message.id, left=self.tries, until=self.until, bank=False, last=False
            )
        self.ends[bytes(message.id)] = _END_OF[message.decision]
        return messages.Answered(id=message.id, state=self.ends[message.id])


def evaluate_blinded(key: KeyPair, blinded: bytes) -> bytes:
    """The gateway's half of the OPRF."""
    answers = [P256().exchange(key, keys.parse_point(peer)) for peer in oprf.evaluation_peers(blinded)]
    return oprf.recover(answers[0], answers[1], key.public)
