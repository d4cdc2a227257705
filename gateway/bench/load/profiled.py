"""The gateway with a ledger of its processor time: `python -m gateway.bench.load.profiled FILE serve` is `tessera
serve` that writes FILE, seconds by part, when it stops; SIGUSR1 has it begin anew. The parts are named in PARTS."""

import signal
import sys
from pathlib import Path

import gateway.activation.channel
import gateway.activation.conversation
import gateway.activation.views
import gateway.approvals.answers
import gateway.approvals.offline
import gateway.audit.store
import gateway.pin.service
from gateway.activation.codes import CodeService
from gateway.activation.contacts import ContactService
from gateway.activation.service import ActivationService
from gateway.approvals.answers import AnswerService
from gateway.approvals.channel import ApprovalPart
from gateway.approvals.offline import OfflineService
from gateway.approvals.service import ApprovalService
from gateway.bench.load.ledger import Ledger
from gateway.bus.journal import RecordingJournal
from gateway.http.channel import PhoneDoor
from gateway.http.edge import Edge
from gateway.http.endpoint import Endpoint
from gateway.http.sse import EventStreams
from gateway.pin.service import PinService
from gateway.protocol import oprf
from gateway.protocol.noise import Handshake
from gateway.protocol.session import Session
from gateway.storage.backends import SqliteBackend
from gateway.storage.engine import Storage
from hsm_adapters.registry import find_adapter

PARTS = {
    "crypto": "handshake, signatures, OPRF, seals",
    "storage": "SQL and commits",
    "audit": "the chain and its rows",
    "journal": "events and webhooks as they are written",
    "codes": "drawing the code",
    "channel": "the phone's conversation",
    "services": "rules of activation, PIN and approvals",
    "streams": "the page's events",
    "http-layer": "edge, authentication, limits, bodies",
}
"""What is not entered is aiohttp and the event loop."""


def install(ledger: Ledger) -> None:
    """Wrap the entry points of the parts."""
    for name in ("_begin", "_fill", "_read_one"):
        ledger.wrap(Storage, name, "storage")
    ledger.wrap(SqliteBackend, "run", "storage")
    ledger.wrap(RecordingJournal, "record", "journal")
    ledger.wrap(gateway.audit.store, "append", "audit")
    _install_crypto(ledger)
    for name in ("start", "read", "confirm"):
        ledger.wrap_coroutine(ActivationService, name, "services")
    for name in ("admit", "claim", "present", "commit"):
        ledger.wrap_coroutine(ContactService, name, "services")
    for name in ("begin_enrolment", "evaluate"):
        ledger.wrap_coroutine(PinService, name, "services")
    for name in ("create", "read"):
        ledger.wrap_coroutine(ApprovalService, name, "services")
    ledger.wrap_coroutine(AnswerService, "answer", "services")
    ledger.wrap_coroutine(OfflineService, "answer", "services")
    ledger.wrap(ApprovalPart, "on_event", "channel")
    for name in ("_find_asked", "_tell_asked"):
        ledger.wrap_coroutine(ApprovalPart, name, "channel")
    ledger.wrap_coroutine(CodeService, "show", "codes")
    ledger.wrap(gateway.activation.views, "code_view", "codes")
    ledger.wrap_coroutine(PhoneDoor, "handle", "channel")
    ledger.wrap_coroutine(EventStreams, "stream_events", "streams")
    ledger.wrap_coroutine(Endpoint, "__call__", "http-layer")
    ledger.wrap_coroutine(Edge, "middleware", "http-layer")
    ledger.wrap_coroutine(Edge, "add_headers", "http-layer")


def _install_crypto(ledger: Ledger) -> None:
    adapter = find_adapter("software:file=keys?key-source=file:key")
    ledger.wrap_steps(Handshake, "read", "crypto")
    ledger.wrap_steps(Handshake, "write", "crypto")
    for name in ("encrypt", "decrypt", "export"):
        ledger.wrap(Session, name, "crypto")
    for module in (
        gateway.activation.channel,
        gateway.activation.conversation,
        gateway.approvals.answers,
        gateway.pin.service,
    ):
        ledger.wrap(module, "verify", "crypto")
    ledger.wrap(gateway.approvals.offline, "check_offline_answer", "crypto")
    for name in ("evaluation_peers", "recover"):
        ledger.wrap(oprf, name, "crypto")
    for name in ("wrap", "unwrap", "ecdh", "ecdh_wrapped", "generate_wrapped"):
        ledger.wrap_coroutine(adapter, name, "crypto")


def main() -> None:
    """Run `tessera` with the arguments after FILE."""
    path = Path(sys.argv.pop(1))
    ledger = Ledger()
    install(ledger)
    signal.signal(signal.SIGUSR1, lambda *_: ledger.clear())
    from gateway.cli import (
        main as tessera,
    )  # only now: it takes the functions that were wrapped by their names

    try:
        tessera(prog_name="tessera")
    finally:
        ledger.save(path)


if __name__ == "__main__":
    main()
