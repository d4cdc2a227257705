"""`tessera serve` and `tessera keys` on real PKCS#11 modules, as an operator has them: a module in another process that
is killed and comes back, a PIN that is wrong and then mended, keys by label and by URI."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hsm_modules import P11_KIT, PIN, RemoteModule, needs, uri_of
from serve_kit import Start, readiness, start
from token_kit import Spy, TokenStand, all_ok, tessera

from gateway.keys.labels import audit_label, wrap_label
from hsm_adapters.uri import KeyUri

__all__ = ["start"]

PROMPT = b"PIN of the HSM: "
HOOK = {"url": "https://bank.example/hook", "events": []}


@pytest.fixture
def token(tmp_path: Path) -> TokenStand:
    """A SoftHSM token."""
    return TokenStand.make(tmp_path)


@pytest.fixture
def remote(token: TokenStand) -> Iterator[RemoteModule]:
    """The same token in another process."""
    needs(P11_KIT, "p11-kit")
    with RemoteModule(token.folder, token.found).running() as running:
        yield running


def test_a_module_that_is_killed_is_told_of_and_taken_up_again(
    start: Start, token: TokenStand, remote: RemoteModule
) -> None:
    bank = token.make_bank()  # beside the server: p11-kit 0.24 carries no ECDH, which a tenant's key is for
    served = start(TESSERA_HSM=uri_of(P11_KIT, token.folder), **remote.environment)
    readiness(served, all_ok)
    status, made, _ = bank.call(served, "POST", "/api/v1/webhooks", HOOK)
    assert status == 201
    assert made["secret"].startswith("whsec_")

    remote.kill()
    checks = readiness(served, lambda checks: checks["hsm"] != "ok")
    code, _, sentence = checks["hsm"].partition(": ")
    assert code in ("hsm-unavailable", "hsm-token-not-present")
    assert sentence.startswith(("The HSM ", "The token ", "No token matches the key URI"))
    assert checks["database"] == "ok"
    assert served.get("/readyz")[0] == 503
    assert served.get("/healthz")[0] == 200
    status, problem, headers = bank.call(served, "POST", "/api/v1/webhooks", HOOK, Idempotency_Key="again")
    assert (status, problem["code"], headers["Retry-After"]) == (503, "unavailable", "5")
    assert headers["Content-Type"] == "application/problem+json"
    _, listed, _ = bank.call(served, "GET", "/api/v1/webhooks")
    assert [item["id"] for item in listed["items"]] == [made["id"]], "nothing was written"

    remote.start()
    readiness(served, all_ok)
    status, again, _ = bank.call(served, "POST", "/api/v1/webhooks", HOOK, Idempotency_Key="again")
    assert status == 201
    assert again["id"] != made["id"]
    code, output = served.stop()
    assert code == 0
    assert "Traceback" not in output
    verified = json.loads(token.run("audit", "verify", "--json"))
    assert verified["checkpoints"] >= 1
    assert verified["whole"] is True


@pytest.mark.parametrize("is_ended", [False, True])
def test_a_module_that_is_silent_at_the_start_is_waited_for(
    start: Start, token: TokenStand, remote: RemoteModule, is_ended: bool
) -> None:
    token.make_bank()
    remote.send(signal.SIGSTOP)
    served = start(TESSERA_HSM=uri_of(P11_KIT, token.folder), **remote.environment)
    checks = readiness(served, lambda checks: "hsm" in checks)
    assert checks["hsm"].startswith("hsm-unavailable: The ")
    assert served.get("/readyz")[0] == 503
    if is_ended:
        begun = time.monotonic()
        code, output = served.stop()
        assert code == 0
        assert time.monotonic() - begun < 8
        assert "Traceback" not in output
        remote.send(signal.SIGCONT)
        return
    remote.send(signal.SIGCONT)
    readiness(served, all_ok)
    assert served.stop()[0] == 0


def test_a_module_that_falls_silent_does_not_hold_the_end_up(
    start: Start, token: TokenStand, remote: RemoteModule
) -> None:
    token.make_bank()
    served = start(TESSERA_HSM=uri_of(P11_KIT, token.folder), **remote.environment)
    readiness(served, all_ok)
    remote.send(signal.SIGSTOP)
    time.sleep(2)
    assert served.stop()[0] == 0
    remote.send(signal.SIGCONT)


def test_a_wrong_pin_is_sent_once_however_long_the_gateway_waits(start: Start, token: TokenStand) -> None:
    token.run("migrate")
    token.run("keys", "init")
    spy = Spy(token)
    token.write_pin("00000000")
    served = start(TESSERA_HSM=spy.uri, **token.found, **spy.environment)
    checks = readiness(served, lambda checks: "hsm" in checks)
    assert checks["hsm"].startswith("hsm-pin-refused: ")
    before = spy.count("C_Initialize")
    while spy.count("C_Initialize") < before + 3:  # each try loads the module anew
        assert served.process.poll() is None
        time.sleep(0.1)
    assert spy.count("C_Login") == 1
    status, body = served.get("/api/v1/webhooks")
    assert (status, json.loads(body)["code"]) == (503, "unavailable")
    token.write_pin()
    readiness(served, all_ok)
    assert spy.count("C_Login") == 2
    code, output = served.stop()
    assert code == 0
    assert PIN not in output and "00000000" not in output
    assert output.count('"event":"the key store is open"') == 1


def test_keys_are_made_listed_and_shown(token: TokenStand) -> None:
    token.run("keys", "init")
    first = json.loads(token.run("keys", "list", "--json"))["keys"]
    token.run("keys", "init")
    assert json.loads(token.run("keys", "list", "--json"))["keys"] == first, "it only adds"
    by_label = {key["label"]: key for key in first}
    assert {audit_label(), wrap_label()} <= set(by_label)
    assert not [label for label in by_label if label.endswith("/keys")], (
        "companions are not keys of their own"
    )
    for label, key in by_label.items():
        assert KeyUri.parse(key["uri"]).path == {"token": "tessera", "object": label, "type": key_type(key)}
        assert len(bytes.fromhex(key["id"])) == 16
    key = by_label[audit_label()]
    key_id = bytes.fromhex(key["id"])
    by_id = str(KeyUri("pkcs11", {"token": "tessera"}, {}, key_id))
    by_object = str(KeyUri("pkcs11", {"object": audit_label()}, {}))
    for name in (audit_label(), key["uri"], by_id, by_object):
        assert json.loads(token.run("keys", "show", name, "--json")) == key
    assert "BEGIN PUBLIC KEY" in token.run("keys", "show", audit_label())
    other = by_label[wrap_label()]["id"]
    mixed = str(KeyUri("pkcs11", {"object": audit_label()}, {}, bytes.fromhex(other)))
    for named, code in (
        ("pkcs11:id=%00", "key-not-found"),
        ("pkcs11:object=nobody", "key-not-found"),
        ("nobody", "key-not-found"),
        (mixed, "hsm-invalid-request"),
        ("pkcs11:token=tessera", "hsm-invalid-request"),
    ):
        done = tessera("keys", "show", named, environment=token.environment())
        assert (done.returncode, f"[{code}]" in done.stderr) == (1, True), named


def key_type(key: dict[str, str]) -> str:
    """Return what RFC 7512 calls a key of this kind."""
    return "private" if key["public_key_pem"] else "secret-key"


def test_the_pin_comes_from_the_environment(token: TokenStand) -> None:
    uri = token.uri.replace(f"file:{token.folder / 'pin'}", "env:HSM_PIN")
    done = tessera("keys", "init", environment={**token.environment(uri), "HSM_PIN": PIN})
    assert done.returncode == 0, done.stderr
    done = tessera("keys", "list", environment=token.environment(uri))
    assert done.returncode == 1
    assert "HSM_PIN is not set" in done.stderr


def test_the_pin_is_asked_at_the_terminal(token: TokenStand) -> None:
    uri = token.uri.replace(f"file:{token.folder / 'pin'}", "prompt:")
    person, terminal = pty.openpty()
    own = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "keys", "init"],
        env={**own, **token.environment(uri)},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as asked:
        os.close(terminal)
        assert asked.stderr is not None
        question = asked.stderr.read(len(PROMPT))  # what is typed sooner is thrown away
        os.write(person, f"{PIN}\n".encode())
        printed, said = asked.communicate(timeout=60)
    os.close(person)
    assert question == PROMPT
    assert asked.returncode == 0, said
    assert wrap_label().encode() in printed
    assert PIN.encode() not in printed + said
    assert PROMPT not in said, "it is asked once"
    done = tessera("keys", "list", environment=token.environment(uri), stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "there is none" in done.stderr


@pytest.mark.parametrize("arguments", [("keys", "list"), ("keys", "init"), ("serve",), ("check-config",)])
def test_a_pin_in_the_uri_is_refused(token: TokenStand, arguments: tuple[str, ...]) -> None:
    uri = token.uri.replace(f"pin-source=file:{token.folder / 'pin'}", f"pin-value={PIN}")
    done = tessera(*arguments, environment=token.environment(uri))
    assert done.returncode == 1
    assert "must not carry a PIN" in done.stdout + done.stderr
    assert "hsm-uri" in done.stdout + done.stderr
    assert PIN not in done.stdout + done.stderr
