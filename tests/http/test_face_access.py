"""Who may call what, from where, how often; and the headers that every answer wears."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from face_kit import BANK_ORIGIN, PAGE_TOKEN, Face, running_face

from gateway.core.errors import Problem, ProblemCode
from gateway.http.auth import BELIEVED_S
from gateway.settings import RateLimit


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with running_face(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer x",
        "Basic dXNlcjpwYXNz",
        f"Bearer tsk_{43 * 'a'}",
        f"Bearer tsk_{44 * 'a'}",
    ],
)
async def test_no_good_credential_is_401(face: Face, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    status, body, answered = await face.ask("GET", "/t/key-only", token=None, headers=headers)
    assert (status, body["code"]) == (401, "unauthenticated")
    assert answered["WWW-Authenticate"].startswith("Bearer")


async def test_key_speaks_for_its_tenant(face: Face) -> None:
    status, body, _ = await face.ask("GET", "/t/key-only")
    assert (status, body["secret"]) == (200, face.tenant)


async def test_scope_is_asked_for(face: Face) -> None:
    _, narrow = await face.new_key("activations:write")
    status, body, _ = await face.ask("GET", "/t/key-only", token=narrow)
    assert (status, body["code"]) == (403, "forbidden")
    assert "audit:read" in body["detail"]
    status, _, _ = await face.ask("POST", "/t/orders", token=narrow, json={"name": "x"})
    assert status == 201


async def test_kinds_of_credentials_do_not_replace_each_other(face: Face) -> None:
    assert (await face.ask("GET", "/t/key-only", token=PAGE_TOKEN))[0] == 403
    assert (await face.ask("GET", "/t/page-only"))[0] == 403
    assert (await face.ask("GET", "/t/page-only", token=PAGE_TOKEN))[0] == 200
    assert (await face.ask("GET", "/t/either", token=PAGE_TOKEN))[0] == 200


async def test_revoked_key_dies_within_the_time_it_is_believed(face: Face) -> None:
    key_id, key = await face.new_key("*")
    assert (await face.ask("GET", "/t/either", token=key))[0] == 200
    await face.api_keys.revoke(key_id)
    face.clock.advance(BELIEVED_S)
    assert (await face.ask("GET", "/t/either", token=key))[0] == 401


async def test_keys_and_tokens_end(face: Face) -> None:
    _, key = await face.new_key("*", life_days=1)
    assert (await face.ask("GET", "/t/either", token=key))[0] == 200
    assert (await face.ask("GET", "/t/either", token=PAGE_TOKEN))[0] == 200
    face.clock.advance(899.9)
    assert (await face.ask("GET", "/t/either", token=PAGE_TOKEN))[0] == 200
    face.clock.advance(0.1)  # believed for seconds, but never past its own end
    assert (await face.ask("GET", "/t/either", token=PAGE_TOKEN))[0] == 401
    face.clock.advance(86_400 - 900)
    assert (await face.ask("GET", "/t/either", token=key))[0] == 401


async def test_good_credential_is_not_looked_up_for_every_request(face: Face) -> None:
    for _ in range(20):
        assert (await face.ask("GET", "/t/either", token=PAGE_TOKEN))[0] == 200
    assert face.pages.asked == 1


async def test_last_use_is_noted_once_a_minute(face: Face) -> None:
    key_id, key = await face.new_key("*")

    async def last_used() -> int | None:
        return next(each.last_used_at for each in await face.api_keys.list(face.tenant) if each.id == key_id)

    assert await last_used() is None
    await face.ask("GET", "/t/either", token=key)
    first = await last_used()
    assert first == int(face.clock.now() * 1000)
    face.clock.advance(30)
    await face.ask("GET", "/t/either", token=key)
    assert await last_used() == first
    face.clock.advance(31)
    await face.ask("GET", "/t/either", token=key)
    assert await last_used() == int(face.clock.now() * 1000)


async def test_key_text_is_not_in_the_database(face: Face, tmp_path: Path) -> None:
    await face.storage.close()
    stored = await asyncio.to_thread(
        lambda: b"".join(path.read_bytes() for path in tmp_path.glob("face.db*"))
    )
    assert face.key.encode() not in stored
    assert face.tenant.encode() in stored


async def test_limit_counts_down_and_comes_back(face: Face) -> None:
    for left in (2, 1, 0):
        status, _, headers = await face.ask("GET", "/t/tight")
        assert status == 200
        assert headers["RateLimit-Policy"] == '"tight";q=3;w=60'
        assert headers["RateLimit"].startswith(f'"tight";r={left};t=')
    status, body, headers = await face.ask("GET", "/t/tight")
    assert (status, body["code"]) == (429, "rate-limited")
    assert headers["RateLimit"].startswith('"tight";r=0;')
    wait = int(headers["Retry-After"])
    assert 1 <= wait <= 21
    assert (await face.ask("GET", "/t/either"))[0] == 200, "another limit"
    _, other = await face.new_key("*")
    assert (await face.ask("GET", "/t/tight", token=other))[0] == 200, "another caller"
    face.clock.advance(wait)
    assert (await face.ask("GET", "/t/tight"))[0] == 200
    assert (await face.ask("GET", "/t/tight"))[0] == 429


async def test_guesses_of_a_bank_count_by_what_is_guessed_at(tmp_path: Path) -> None:
    async with running_face(tmp_path, limits={"guess": RateLimit(2, 60)}) as face:
        for name in ("a", "b", "c"):
            assert [(await face.ask("POST", f"/t/guess/{name}"))[0] for _ in range(3)] == [204, 204, 429]
        for statuses in ([204, 204], [429, 429]):
            assert [(await face.ask("POST", f"/t/guess/{n}", token=PAGE_TOKEN))[0] for n in "de"] == statuses


async def test_bank_may_not_guess_without_bound_at_ever_new_things(tmp_path: Path) -> None:
    async with running_face(tmp_path, limits={"default": RateLimit(4, 60)}) as face:
        statuses = [(await face.ask("POST", f"/t/guess/{number}"))[0] for number in range(6)]
        assert statuses == 4 * [204] + 2 * [429]


async def test_forbidden_requests_count_too(face: Face) -> None:
    _, narrow = await face.new_key("activations:write")
    statuses = [(await face.ask("GET", "/t/tight-scope", token=narrow))[0] for _ in range(5)]
    assert statuses == 3 * [403] + 2 * [429]


async def test_clock_set_back_neither_locks_callers_out_nor_keeps_a_revoked_key_alive(face: Face) -> None:
    key_id, key = await face.new_key("*")
    for _ in range(3):
        assert (await face.ask("GET", "/t/tight", token=key))[0] == 200
    face.clock.step(-3600)
    face.clock.advance(21)
    assert (await face.ask("GET", "/t/tight", token=key))[0] == 200
    await face.api_keys.revoke(key_id)
    face.clock.step(-3600)
    face.clock.advance(BELIEVED_S)
    assert (await face.ask("GET", "/t/either", token=key))[0] == 401


async def test_callers_that_cannot_be_counted_are_refused(face: Face) -> None:
    for number in range(60):
        try:
            face.limiter.take("x", f"caller {number}", RateLimit(10, 3600))
        except Problem as problem:
            assert problem.kind is ProblemCode.UNAVAILABLE
            break
    else:
        pytest.fail("the table has no bound")
    assert (await face.ask("GET", "/t/either"))[0] == 503
    face.clock.advance(3600)
    assert (await face.ask("GET", "/t/either"))[0] == 200


async def test_guessing_credentials_is_limited_by_address(tmp_path: Path) -> None:
    async with running_face(tmp_path, limits={"public": RateLimit(5, 60)}) as face:
        assert (await face.ask("GET", "/t/either"))[0] == 200
        statuses = [(await face.ask("GET", "/t/either", token=f"ptk_{n:043}"))[0] for n in range(8)]
        assert statuses == 5 * [401] + 3 * [429]
        assert face.pages.asked == 5, "the database is not asked past the limit"
        face.clock.advance(BELIEVED_S)
        assert (await face.ask("GET", "/t/either"))[0] == 200, "a key that was good before is not held back"


async def test_good_credentials_of_one_address_do_not_use_up_its_quota(tmp_path: Path) -> None:
    async with running_face(tmp_path, limits={"public": RateLimit(2, 60)}) as face:
        for _ in range(5):
            _, key = await face.new_key("*")
            assert (await face.ask("GET", "/t/either", token=key))[0] == 200


async def test_credentials_that_could_not_be_looked_up_are_no_guesses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(_: bytes) -> None:
        raise Problem(ProblemCode.UNAVAILABLE, "the database does not answer")

    async with running_face(tmp_path, limits={"public": RateLimit(2, 60)}) as face:
        with monkeypatch.context() as patched:
            patched.setattr(face.pages, "find_principal", down)
            assert [(await face.ask("GET", "/t/either", token=PAGE_TOKEN))[0] for _ in range(4)] == 4 * [503]
        assert (await face.ask("GET", "/t/either", token=PAGE_TOKEN))[0] == 200


async def test_address_is_the_proxys_word_only_from_a_trusted_proxy(face: Face, tmp_path: Path) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Proto": "https"}
    _, body, _ = await face.ask("GET", "/t/hello", headers=forwarded)
    assert body["name"] == "127.0.0.1"
    folder = tmp_path / "proxied"
    folder.mkdir()
    async with running_face(folder, trusted_proxies=["127.0.0.1"]) as proxied:
        _, body, headers = await proxied.ask("GET", "/t/hello", headers=forwarded)
        assert body["name"] == "198.51.100.7", "the entry that the proxy itself added"
        assert headers["X-Request-Id"]
        _, body, _ = await proxied.ask("GET", "/t/hello", headers={"X-Forwarded-For": "nonsense"})
        assert body["name"] == "127.0.0.1"


async def test_every_answer_wears_the_security_headers(face: Face) -> None:
    for path in ("/t/hello", "/nowhere", "/t/fail/any", "/healthz", "/openapi.json", "/a"):
        _, _, headers = await face.ask("GET", path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Strict-Transport-Security"].startswith("max-age=")
        assert headers["Cache-Control"] == "no-store"
        assert len(headers["X-Request-Id"]) == 16
        assert "Server" not in headers


async def test_allowed_origin_may_ask_and_read(face: Face) -> None:
    asked = {
        "Origin": BANK_ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,idempotency-key",
    }
    status, _, headers = await face.ask("OPTIONS", "/t/page-orders", token=None, headers=asked)
    assert status == 204
    assert headers["Access-Control-Allow-Origin"] == BANK_ORIGIN
    assert headers["Access-Control-Allow-Methods"] == "POST"
    assert "Authorization" in headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in headers
    _, _, headers = await face.ask("GET", "/t/either", headers={"Origin": BANK_ORIGIN})
    assert headers["Access-Control-Allow-Origin"] == BANK_ORIGIN
    assert headers["Vary"] == "Origin"
    assert {"Date", "RateLimit"} <= set(headers["Access-Control-Expose-Headers"].split(", "))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://bank.example.evil.example", ""])
async def test_other_origins_may_not(face: Face, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    status, _, headers = await face.ask("OPTIONS", "/t/page-orders", token=None, headers=asked)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in headers
    _, _, headers = await face.ask("GET", "/t/either", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in headers


async def test_routes_that_are_not_for_pages_have_no_cors(face: Face) -> None:
    _, _, headers = await face.ask("GET", "/t/key-only", headers={"Origin": BANK_ORIGIN})
    assert "Access-Control-Allow-Origin" not in headers
    assert (await face.ask("OPTIONS", "/t/key-only", token=None, headers={"Origin": BANK_ORIGIN}))[0] == 405
