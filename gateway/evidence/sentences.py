"""What a verified evidence file says, in plain sentences: who, what, when, by what; what that proves, and what it does
not. Pure text; the command line prints it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import structs

from gateway.evidence.verify import Verified

_DECISIONS = {"approve": "approved", "refuse": "refused", "report": 'reported: "I did not ask for this"'}
_FACTORS = {
    "possession": "the phone alone",
    "pin": "the phone and its PIN",
    "biometric": "the phone and the fingerprint or face of its user",
}


def fingerprint(point: bytes) -> str:
    """Return the SHA-256 of a public key (a P-256 point, 65 bytes) as SubjectPublicKeyInfo, in hexadecimal: what
    `tessera keys show` calls public_key_sha256."""
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def describe(found: Verified) -> str:
    """Return the whole report."""
    blocks = (
        ["The evidence holds: nothing in this file was changed."],
        list(_facts(found)),
        ["What it proves:", *(f" - {line}" for line in _proves(found))],
        ["What it does not prove:", *(f" - {line}" for line in _leaves_open(found))],
    )
    return "\n\n".join("\n".join(block) for block in blocks)


def _facts(found: Verified) -> Iterator[str]:
    statement, proof = found.statement, found.evidence.approval.proof
    yield f"Bank        {statement.bank} ({found.created.entry.tenant})"
    yield f"Customer    {statement.user}"
    yield f"Request     {found.evidence.approval.id}, {statement.type}, made {_moment(statement.created * 1000)}"
    for name, value in structs.asdict(statement.fields).items():
        yield f"  {name:<10}{_quoted(value)}"
    yield f"Answer      {_DECISIONS[proof.decision]}, {_moment(found.answered.entry.at)}{_lateness(found)}"
    yield f"By          {_FACTORS[proof.factor]}, {_way(found)}"
    yield f"Phone       {found.answered.data.get('binding')}, bound {_moment(found.bound.entry.at)}"
    yield f"  key       SHA-256 {found.bound.data.get('key')}"
    for sequence, made_at in found.checkpoints:
        yield f"Signed log  up to entry {sequence}, {_moment(made_at)}"
    for label, point in found.keys.items():
        yield f"Audit key   {label}, SHA-256 {fingerprint(point)}"


def _way(found: Verified) -> str:
    proof = found.evidence.approval.proof
    if proof.offline is not None:
        return "offline, by eight digits that were typed on the bank's page"
    number = "" if proof.number is None else f", with the number {proof.number} of the bank's page"
    page = "" if found.origin is None else f", asked for by {found.origin}"
    return f"over the phone's encrypted channel{number}{page}"


def _lateness(found: Verified) -> str:
    late = found.answered.entry.at // 1000 - found.statement.expires
    return "" if late <= 0 else f", {late} s AFTER its end"


def _proves(found: Verified) -> Iterator[str]:
    proof = found.evidence.approval.proof
    if proof.offline is None:
        yield (
            "The signing key that this phone has held since it was bound signed exactly the words above, together with "
            "the decision, the factor and the channel. With one byte changed the signature would not verify."
        )
    else:
        yield (
            "The bank's log says that digits were typed which this phone makes, from exactly the words above and its "
            "PIN, and nothing else."
        )
    if proof.pin is not None:
        yield (
            "A key that comes out of the right PIN alone, on this phone and with the gateway's help, signed the same. "
            "That this is the PIN's key of this phone is the gateway's word, which the log holds."
        )
    if proof.biometric is not None:
        yield (
            "The phone's own credential, enrolled before with the PIN, signed the same, and says that the phone had "
            "recognised its user."
        )
    yield (
        "The bank's audit log held the phone's key, then this request, then this answer, in this order and no later "
        f"than {_moment(found.checkpoints[-1][1])}. Nobody without the audit key can have put them there since."
    )


def _leaves_open(found: Verified) -> Iterator[str]:
    if found.is_pinned:
        yield "That the audit key you gave is the bank's: that is as good as where you have it from."
    else:
        yield (
            "That the audit key above is the bank's. Compare its SHA-256 with the one that the bank publishes, or give "
            "the published key: --audit-key FILE. Until then, whoever wrote this file may have made the log himself."
        )
    if found.evidence.approval.proof.offline is not None:
        yield (
            "That the bank did not make the digits: it has the keys that they are checked with. An offline answer is "
            "as good as the bank's log."
        )
    yield "Who held the phone, and that the bank knew whose phone it bound."
    yield "That the gateway's clock was right: the times are its own."
    yield "What else the log holds. `tessera audit verify` on the bank's side checks the whole of it."


def _moment(at_ms: int) -> str:
    try:
        return (
            datetime.fromtimestamp(at_ms / 1000, UTC)
            .isoformat(" ", timespec="seconds")
            .replace("+00:00", " UTC")
        )
    except (OverflowError, ValueError, OSError):
        return f"at {at_ms} ms of Unix time"


def _quoted(value: str) -> str:
    """Lines of a text stay under one another, so that none can pass for a line of the report."""
    return ("\n" + " " * 12).join(value.split("\n"))
