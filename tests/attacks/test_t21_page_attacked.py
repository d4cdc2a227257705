"""T21: the pages are attacked: script injection, a foreign site that posts or reads, framing."""

import contextlib
import re
from collections.abc import AsyncIterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import gateway_kit
import pytest
from attack_kit import gateway_without_phones, shout
from gateway_kit import GatewayKit

from gateway.app import create_app
from gateway.demo_setup import mount_demo

BANK, EVIL = "https://bank.example", "https://evil.example"
SCRIPT = "<script>alert(1)</script>"
PAGES = ["/phone/", "/demo/", "/docs/"]


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewayKit]:
    """The gateway with the demo bank under /demo/, as `tessera serve --demo` mounts it."""
    async with gateway_without_phones() as base:
        mounts = partial(mount_demo, base=base)
        monkeypatch.setattr(gateway_kit, "create_app", partial(create_app, mounts=mounts))
        async with GatewayKit.running(tmp_path, demo=True, cors_origins=[BANK]) as kit:
            yield kit


async def ask(
    kit: GatewayKit, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
) -> tuple[int, Any, str]:
    """Return status, headers and text; the bearer is sent only when the headers have it."""
    async with kit.session.request(
        method, kit.now.url + path, headers=headers, allow_redirects=False, **more
    ) as answer:
        return answer.status, answer.headers, await answer.text(errors="replace")


def policy_of(headers: Any) -> dict[str, list[str]]:
    """Return the content security policy as a table."""
    parts = [part.split() for part in headers["Content-Security-Policy"].split(";")]
    return {part[0]: part[1:] for part in parts if part}


class Inline(HTMLParser):
    """Collects what a strict policy would refuse in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._inside = tag
        if tag == "script":
            self.scripts += 1
            if not given.get("src"):
                self.found.append("a script without src")
        if tag in ("style", "iframe", "object", "embed", "base"):
            self.found.append(tag)
        for name, value in given.items():
            if name == "style" or name.startswith("on") or value.strip().lower().startswith("javascript:"):
                self.found.append(f"{tag} {name}")
            if name in ("src", "href") and re.match(r"\A([a-z]+:)?//", value):
                self.found.append(f"{tag} from {value}")

    def handle_data(self, data: str) -> None:
        if self._inside == "script" and data.strip():
            self.found.append("an inline script")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def inline_in(html: str) -> list[str]:
    parser = Inline()
    parser.feed(html)
    return parser.found


def test_the_search_for_inline_code_finds_it() -> None:
    """The control of the next test."""
    for bad in (
        SCRIPT,
        '<a onclick="x()">',
        '<p style="color:red">',
        "<style>p{}</style>",
        '<a href="javascript:x">',
        '<script src="//evil.example/x.js"></script>',
        "<base href='https://evil.example/'>",
    ):
        assert inline_in(bad), bad


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_has_a_strict_policy_and_no_inline_code(site: GatewayKit, path: str) -> None:
    status, headers, html = await ask(site, "GET", path)
    assert status == 200, "the web files are not built: run make setup"
    assert inline_in(html) == []
    policy = policy_of(headers)
    assert policy["default-src"] == ["'self'"]
    assert set(policy["script-src"]) <= {"'self'", "'wasm-unsafe-eval'"}
    assert policy["style-src"] == ["'self'"]
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    assert policy["form-action"] == ["'self'"]
    assert "unsafe-inline" not in str(policy) and "*" not in str(policy)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    for script in re.findall(r'src="([^"]+\.js)"', html):
        found, script_headers, _ = await ask(site, "GET", script if script[0] == "/" else path + script)
        assert found == 200
        ruled = policy_of(script_headers)
        assert ruled == policy or ruled["default-src"] == ["'none'"], (
            "a worker is ruled by its script's policy"
        )


async def test_no_other_answer_can_run_or_frame_anything(site: GatewayKit) -> None:
    paths = ["/healthz", "/openapi.json", "/problems/not-found", "/nothing", "/api/v1/bindings", "/a", "/"]
    paths += [
        "/phone/v1/config",
        "/demo/api/session",
        "/demo/nothing",
        f"/problems/{SCRIPT}",
        f"/phone/{SCRIPT}",
    ]
    for path in paths:
        _, headers, text = await ask(site, "GET", path)
        policy = policy_of(headers)
        assert policy["frame-ancestors"] == ["'none'"], path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert "text/html" not in headers.get("Content-Type", ""), path
        assert policy["default-src"] == ["'none'"], path
        assert SCRIPT not in text, path


async def test_names_with_markup_come_back_as_data(site: GatewayKit) -> None:
    """Whatever a bank or a phone calls itself or its customer is JSON, and never stands in a picture."""
    user = f"u{SCRIPT}"
    started = await site.begin(user=user, label=SCRIPT)
    for form in ("qr", "colour"):
        shown = await site.code(started["activation"]["id"], form=form)
        assert "<script" not in str(shown) and "alert" not in str(shown)
    bearer = {"Authorization": f"Bearer {site.api_key}"}
    _, headers, _ = await ask(
        site, "GET", f"/api/v1/activations/{started['activation']['id']}", headers=bearer
    )
    assert headers["Content-Type"].startswith("application/json")


async def test_a_foreign_page_can_neither_post_nor_read(site: GatewayKit) -> None:
    """It has no bearer, and cookies are worth nothing at the API; with a stolen one it still may not read from its own
    origin, and a form cannot send JSON."""
    body = {"user": "victim", "label": "x"}
    for headers in ({"Origin": EVIL}, {"Origin": EVIL, "Cookie": f"tessera={site.api_key}; demo_session=x"}):
        status, answered, _ = await ask(site, "POST", "/api/v1/activations", headers=headers, json=body)
        assert status == 401
        assert "Access-Control-Allow-Origin" not in answered
    bearer = {"Authorization": f"Bearer {site.api_key}"}
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        sent = {**bearer, "Origin": EVIL, "Content-Type": media_type}
        status, _, _ = await ask(site, "POST", "/api/v1/activations", headers=sent, data=b'{"user":"u"}')
        assert status == 415
    activation = (await site.begin())["activation"]["id"]
    for origin, allowed in ((BANK, True), (EVIL, False), ("null", False), (BANK + ".evil.example", False)):
        path = f"/api/v1/activations/{activation}"
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        status, answered, _ = await ask(site, "OPTIONS", path, headers=asked)
        assert (status, answered.get("Access-Control-Allow-Origin")) == (
            (204, origin) if allowed else (403, None)
        )
        _, answered, _ = await ask(site, "GET", path, headers={**bearer, "Origin": origin})
        assert answered.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        assert "Access-Control-Allow-Credentials" not in answered
    for path in ("/api/v1/activations", "/api/v1/audit", "/api/v1/webhooks", "/phone/v1/config"):
        _, answered, _ = await ask(site, "GET", path, headers={**bearer, "Origin": BANK})
        assert "Access-Control-Allow-Origin" not in answered, "not for pages at all"


async def test_a_foreign_page_cannot_act_in_the_demo_banks_session(site: GatewayKit) -> None:
    """The customer is logged in; the browser would send the cookie along if it were not SameSite."""
    status, headers, _ = await ask(
        site, "POST", "/demo/api/login", data=b'{"user":"claire","password":"tessera"}'
    )
    assert status == 400, "a form of a foreign page logs nobody in"
    credentials = {"user": "claire", "password": "tessera"}
    status, headers, text = await ask(site, "POST", "/demo/api/login", json=credentials)
    assert status == 200
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/demo/" in cookie
    session = {"Cookie": cookie.partition(";")[0]}
    for path in ("activations", "page-token", "logout"):
        for token in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "A" * 22}, {"X-CSRF-Token": "\u00e9"}):
            sent = {**session, **token, "Origin": EVIL}
            status, _, _ = await ask(site, "POST", f"/demo/api/{path}", headers=sent, json={})
            assert status == 403, (path, token)
    raw = b"POST /demo/api/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX-CSRF-Token: \xff\xfe\r\nCookie: "
    assert (
        b" 403 " in (await shout(site, raw + session["Cookie"].encode() + b"\r\n\r\n")).partition(b"\r\n")[0]
    )
    csrf = re.search(r'"csrf": ?"([^"]+)"', text)
    assert csrf is not None
    sent = {**session, "X-CSRF-Token": csrf.group(1)}
    status, _, _ = await ask(site, "POST", "/demo/api/logout", headers=sent, json={})
    assert status == 200, "the control: the bank's own page may"


async def test_a_forged_session_cookie_is_nobody(site: GatewayKit) -> None:
    for cookie in ("x", "A" * 200, "gAAAAA" + "A" * 94, "\u00e9"):
        with contextlib.suppress(ValueError):
            status, _, text = await ask(
                site, "GET", "/demo/api/session", headers={"Cookie": f"demo_session={cookie}"}
            )
            assert status == 200
            assert '"customer": null' in text
    raw = b"GET /demo/api/notices HTTP/1.1\r\nHost: x\r\nCookie: demo_session=\xff\xfe\r\n\r\n"
    assert b" 401 " in (await shout(site, raw)).partition(b"\r\n")[0]


async def test_a_stolen_page_token_serves_until_its_end_and_no_further(site: GatewayKit) -> None:
    """The limit that THREAT_MODEL.md admits: nobody can revoke it, and 900 s are its life unless the bank says less."""
    stolen = (await site.call("POST", "/api/v1/page-tokens", {"user": "claire"}, status=201))["page_token"]
    site.clock.advance(899)
    await site.call("GET", "/api/v1/bindings", token=stolen)
    await site.call("GET", "/api/v1/audit", token=stolen, status=403)
    site.clock.advance(2)
    await site.call("GET", "/api/v1/bindings", token=stolen, status=401)
