"""T23: the limiter, the database or the key store is down, and checks might be skipped: everything fails closed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attack_kit import begin, bind_phone, refusal
from gateway_kit import PIN, GatewayKit

from gateway.http.health import FRESH_S
from gateway.http.limits import RateLimiter
from gateway.phone.errors import ConnectionLost, GatewayProblem, GatewayRefused, PhoneError
from gateway.protocol.errors import ErrorCode
from hsm_adapters.errors import HsmUnavailable


async def readiness(kit: GatewayKit) -> tuple[int, dict[str, str]]:
    """Return the status of /readyz and each check's state, found anew."""
    kit.clock.advance(FRESH_S)
    async with kit.session.get(f"{kit.now.url}/readyz") as answer:
        return answer.status, dict((await answer.json())["checks"])


async def statuses(kit: GatewayKit, activation: str, binding: str, token: str, code: str) -> dict[str, int]:
    """Ask for everything that would grant something; return the status of each."""
    wishes: list[tuple[str, str, Any, str]] = [
        ("POST", "/api/v1/activations", {"user": "u", "label": "l"}, kit.api_key),
        ("GET", f"/api/v1/activations/{activation}", None, kit.api_key),
        ("GET", f"/api/v1/activations/{activation}/code", None, token),
        ("POST", f"/api/v1/activations/{activation}/confirm", {"code": code}, token),
        ("POST", "/api/v1/page-tokens", {"user": "u"}, kit.api_key),
        ("GET", "/api/v1/bindings", None, kit.api_key),
        ("POST", f"/api/v1/bindings/{binding}/unblock-pin", {}, kit.api_key),
        ("DELETE", f"/api/v1/bindings/{binding}", None, kit.api_key),
        ("GET", "/api/v1/audit", None, kit.api_key),
    ]
    found = {}
    for method, path, body, bearer in wishes:
        headers = {"Authorization": f"Bearer {bearer}"}
        async with kit.session.request(method, kit.now.url + path, json=body, headers=headers) as answer:
            found[f"{method} {path}"] = answer.status
            text = await answer.text()
            assert "Traceback" not in text and "sqlite" not in text.lower()
    return found


async def test_with_the_database_gone_nothing_is_granted(kit: GatewayKit) -> None:
    """Cached or not: credentials that are believed for seconds open nothing, since every answer needs the database."""
    phone, channel = await bind_phone(kit)
    [binding] = await kit.bindings()
    started = await kit.begin(user="second")
    activation, token = started["activation"]["id"], started["page_token"]
    link = (await kit.code(activation))["link"]
    contact = await kit.phone("Second").begin_link(link)
    await kit.call("GET", f"/api/v1/activations/{activation}", token=token)
    assert (await readiness(kit))[0] == 200
    await kit.now.installation.storage.close()
    found = await statuses(kit, activation, binding["id"], token, contact.device_code)
    # A code that stands drawn in memory grants nothing by itself; the phone that scans it is refused below.
    found.pop(f"GET /api/v1/activations/{activation}/code")
    assert set(found.values()) == {503}, found
    await kit.call("GET", "/api/v1/bindings", token="tsk_" + "A" * 43, status=503)
    status, checks = await readiness(kit)
    assert status == 503
    assert checks["database"] != "ok" and checks["hsm"] == "ok"
    async with kit.session.get(f"{kit.now.url}/healthz") as answer:
        assert answer.status == 200, "alive, though it can't serve"
    assert await refusal(kit.phone("Third").begin_link(link)) is ErrorCode.BUSY
    for attempt in (channel.prove_pin(PIN), channel.rename("x"), channel.remove()):
        with pytest.raises(GatewayProblem) as problem:
            await attempt
        assert problem.value.problem == "unavailable"
    await channel.close()
    assert await refusal(phone.open(channel.binding.binding_id)) is ErrorCode.BUSY
    await kit.restart()
    assert (await kit.activation(activation))["state"] == "present"
    assert [item["name"] for item in await kit.bindings()] == [binding["name"]]


async def test_with_the_key_store_gone_nothing_is_granted(kit: GatewayKit) -> None:
    """What needs no key goes on; what needs one is refused, and no try is taken for it."""
    phone, channel = await bind_phone(kit)
    started = await kit.begin(user="second")
    activation, token = started["activation"]["id"], started["page_token"]
    link = (await kit.code(activation))["link"]
    contact = await kit.phone("Second").begin_link(link)
    await kit.now.installation.adapter.close()
    status, checks = await readiness(kit)
    assert status == 503
    assert checks["hsm"] != "ok" and checks["database"] == "ok"
    await kit.call("POST", "/api/v1/activations", {"user": "u", "label": "l"}, status=503)
    confirm = f"/api/v1/activations/{activation}/confirm"
    for code in (contact.device_code, "00000000"):
        await kit.call("POST", confirm, {"code": code}, token=token, status=503)
    now = await kit.activation(activation)
    assert (now["state"], now["tries_left"]) == ("present", 3)
    assert await refusal(kit.phone("Third").begin_link(link)) is ErrorCode.BUSY
    assert (await kit.activation(activation))["state"] == "present", (
        "nor is it contested by who cannot be checked"
    )
    with pytest.raises(GatewayProblem):
        await channel.prove_pin(PIN)
    await channel.close()
    assert await refusal(phone.open(channel.binding.binding_id)) is ErrorCode.BUSY
    await kit.restart()
    await (await phone.open(channel.binding.binding_id)).prove_pin(PIN)


async def test_a_key_store_that_fails_in_the_middle_binds_nobody(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails once, at each of its calls in turn, during a first contact: never a binding without its checks."""
    adapter = type(kit.now.installation.adapter)
    calls: list[str] = []
    failing = [0]

    def watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        async def call(self: Any, *given: Any) -> Any:
            calls.append(name)
            if len(calls) == failing[0]:
                raise HsmUnavailable("gone for a moment")
            return await original(self, *given)

        return call

    for name in ("ecdh", "wrap", "unwrap", "generate_wrapped", "ecdh_wrapped"):
        monkeypatch.setattr(adapter, name, watched(name, getattr(adapter, name)))

    async def attempt(user: str, fail_at: int = 0) -> bool:
        activation, link = await begin(kit, user=user)
        calls.clear()
        failing[0] = fail_at
        try:
            contact = await kit.phone(user).begin_link(link)
            await kit.confirm(activation, contact.device_code)
            await contact.wait_confirmed()
            await contact.enrol(PIN)
        except (PhoneError, AssertionError):
            return False
        finally:
            failing[0] = 0
        return True

    assert await attempt("control")
    needed = len(calls)
    assert needed >= 6
    for number in range(1, needed + 1):
        is_bound = await attempt(f"user-{number}", fail_at=number)
        bound = await kit.bindings(f"?user=user-{number}")
        assert len(bound) == is_bound, (number, calls)
        assert not is_bound, "every call is needed"


async def test_a_limiter_that_is_full_or_broken_lets_nobody_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its table of callers full, callers it does not know are refused; when it fails, everybody is."""
    monkeypatch.setattr("gateway.app.RateLimiter", partial(RateLimiter, max_callers=4))
    limits = {"max_connections": 10}
    async with GatewayKit.running(tmp_path, trusted_proxies=["127.0.0.1"], **limits) as kit:
        await kit.bindings()

        async def look(caller: int) -> int:
            headers = {"X-Forwarded-For": f"203.0.113.{caller}"}
            async with kit.session.get(f"{kit.now.url}/phone/v1/typed/AAAAA", headers=headers) as answer:
                return answer.status

        found = [await look(caller) for caller in range(1, 9)]
        assert found[-1] == 503 and set(found) == {404, 503}
        assert await look(1) == 404, "the control: who is known is served"

        def broken(*_: Any) -> Any:
            raise RuntimeError("the limiter is broken")

        monkeypatch.setattr(RateLimiter, "take", broken)
        assert await look(1) >= 500
        answer = await kit.call("POST", "/api/v1/activations", {"user": "u", "label": "l"}, status=None)
        assert answer["status"] >= 500
        with pytest.raises((ConnectionLost, GatewayRefused)):
            await (await kit.phone()._tools.network.connect()).send(b"x")
        monkeypatch.undo()
    async with GatewayKit.running(tmp_path / "new") as fresh:
        assert await fresh.bindings() == []
