"""What the server says of itself: OpenAPI document, health, metrics, web files."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from face_kit import BANK_ORIGIN, Face, running_face
from openapi_spec_validator import OpenAPIV31SpecValidator
from yarl import URL

from gateway.core.errors import Problem, ProblemCode
from gateway.http.edge import PAGE_CSP
from gateway.http.health import FRESH_S


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    root = tmp_path / "dist"
    files = {
        "phone/index.html": "<!doctype html><title>phone</title>",
        "phone/sw.js": "self.x = 1;",
        "phone/assets/index-AbCd12_9.js": "export const long = '" + "x" * 500 + "';",
        "phone/reader.wasm": "\0asm",
        "phone/manifest.webmanifest": "{}",
        "docs/index.html": "<!doctype html><title>docs</title>",
        "embed/tessera.js": "window.x = 1;",
        "secret.txt": "not served",
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.fixture
async def face(tmp_path: Path, dist: Path) -> AsyncIterator[Face]:
    async with running_face(tmp_path, web_dist=dist) as running:
        yield running


async def test_document_is_valid_openapi_31(face: Face) -> None:
    status, document, _ = await face.ask("GET", "/openapi.json", token=None)
    assert status == 200
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


async def test_document_tells_the_route_table(face: Face) -> None:
    _, document, _ = await face.ask("GET", "/openapi.json", token=None)
    order = document["paths"]["/t/orders"]["post"]
    assert order["security"] == [{"apiKey": []}]
    assert order["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Order"
    }
    assert {"201", "400", "401", "403", "413", "415", "429", "500", "503"} <= order["responses"].keys()
    assert "Idempotency-Key" in [parameter["name"] for parameter in order["parameters"]]
    assert "activations:write" in order["description"]
    numbers = document["paths"]["/t/numbers"]["get"]
    assert {parameter["name"] for parameter in numbers["parameters"]} == {"cursor", "limit"}
    assert document["paths"]["/t/hello"]["get"]["security"] == []
    assert document["components"]["schemas"]["Order"]["additionalProperties"] is False
    codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert codes == [kind.code for kind in ProblemCode]


async def test_alive_while_not_ready(tmp_path: Path) -> None:
    async def database() -> None:
        raise Problem(ProblemCode.UNAVAILABLE, "the database does not answer")

    async def hsm() -> None:
        raise RuntimeError("inner words")

    async def fine() -> None:
        return None

    async with running_face(tmp_path, checks={"database": database, "hsm": hsm, "migrations": fine}) as face:
        assert (await face.ask("GET", "/healthz", token=None))[0] == 200
        status, body, _ = await face.ask("GET", "/readyz", token=None)
        assert status == 503
        began = body["failing_since"]["hsm"]
        assert body == {
            "ready": False,
            "checks": {
                "database": "the database does not answer",
                "hsm": "failed: RuntimeError",
                "migrations": "ok",
            },
            "failing_since": {"database": began, "hsm": began},
        }
        face.clock.advance(60)
        _, body, _ = await face.ask("GET", "/readyz", token=None)
        assert body["failing_since"] == {"database": began, "hsm": began}, "since the first look"


async def test_ready_when_every_check_passes(face: Face) -> None:
    status, body, _ = await face.ask("GET", "/readyz", token=None)
    assert (status, body["ready"]) == (200, True)


async def test_readiness_is_looked_up_once_a_second(tmp_path: Path) -> None:
    looks = []

    async def database() -> None:
        looks.append(1)
        await asyncio.sleep(0)

    async with running_face(tmp_path, checks={"database": database}) as face:
        await asyncio.gather(*(face.ask("GET", "/readyz", token=None) for _ in range(20)))
        assert len(looks) == 1
        face.clock.advance(FRESH_S)
        assert (await face.ask("GET", "/readyz", token=None))[0] == 200
        assert len(looks) == 2


async def test_metrics_count_by_route_and_never_by_path(face: Face) -> None:
    await face.ask("DELETE", "/t/nothing/telling-id")
    await face.ask("GET", "/telling-path")
    status, body, headers = await face.ask("GET", "/metrics", token=None)
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    text = body.decode()
    assert 'tessera_http_requests_total{route="DELETE /t/nothing/{id}",status="204"} 1.0' in text
    assert 'tessera_http_requests_total{route="no route",status="404"} 1.0' in text
    assert "telling" not in text


async def test_metrics_ask_for_their_token(tmp_path: Path) -> None:
    async with running_face(tmp_path, metrics_token="m" * 30) as face:
        assert (await face.ask("GET", "/metrics", token=None))[0] == 401
        assert (await face.ask("GET", "/metrics", token="n" * 30))[0] == 401
        assert (await face.ask("GET", "/metrics", token="m" * 30))[0] == 200


async def test_metrics_without_token_are_for_loopback(tmp_path: Path) -> None:
    async with running_face(tmp_path, trusted_proxies=["127.0.0.1"]) as face:
        headers = {"X-Forwarded-For": "203.0.113.5"}
        assert (await face.ask("GET", "/metrics", token=None, headers=headers))[0] == 403


async def test_pages_come_with_the_strict_policy(face: Face) -> None:
    status, body, headers = await face.ask("GET", "/phone/", token=None)
    assert (status, body) == (200, b"<!doctype html><title>phone</title>")
    assert headers["Content-Security-Policy"] == PAGE_CSP
    assert headers["Cache-Control"] == "no-cache"
    for forbidden in ("unsafe-inline", "unsafe-eval';", "http:", "*"):
        assert forbidden not in PAGE_CSP.replace("'wasm-unsafe-eval'", "")


async def test_files_are_asked_for_again_by_their_tag(face: Face, dist: Path) -> None:
    _, _, headers = await face.ask("GET", "/phone/sw.js", token=None)
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    asked = {"If-None-Match": headers["ETag"]}
    assert (await face.ask("GET", "/phone/sw.js", token=None, headers=asked))[0] == 304
    (dist / "phone" / "sw.js").write_text("self.x = 22;")
    status, body, _ = await face.ask("GET", "/phone/sw.js", token=None, headers=asked)
    assert (status, body) == (200, b"self.x = 22;")


async def test_hashed_names_are_kept_for_ever_and_compressed(face: Face) -> None:
    async with face.session.get(
        f"{face.url}/phone/assets/index-AbCd12_9.js",
        headers={"Accept-Encoding": "gzip"},
        auto_decompress=False,
    ) as answer:
        assert answer.headers["Cache-Control"].endswith("immutable")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert b"x" * 500 in gzip.decompress(await answer.read())
    _, _, headers = await face.ask("GET", "/phone/reader.wasm", token=None)
    assert headers["Content-Type"] == "application/wasm"
    _, _, headers = await face.ask("GET", "/phone/manifest.webmanifest", token=None)
    assert headers["Content-Type"] == "application/manifest+json"


async def test_elements_load_on_any_page(face: Face) -> None:
    _, _, headers = await face.ask("GET", "/embed/tessera.js", token=None, headers={"Origin": BANK_ORIGIN})
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.mark.parametrize(
    "tail",
    [
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "assets/../../secret.txt",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        ".hidden",
        "a\\..\\secret.txt",
        "assets",
        "none.js",
        "sw.js%00",
    ],
)
async def test_nothing_outside_the_folder_is_served(face: Face, tail: str) -> None:
    async with face.session.get(URL(f"{face.url}/phone/{tail}", encoded=True)) as answer:
        assert answer.status in (400, 404)
        assert b"not served" not in await answer.read()


async def test_short_paths_lead_on(face: Face) -> None:
    for path, place in (("/a", "/phone/"), ("/phone", "/phone/"), ("/docs", "/docs/"), ("/", "/docs/")):
        status, _, headers = await face.ask("GET", path, token=None)
        assert (status, headers["Location"]) == (302, place)
