"""The demo bank's back end: sessions, the calls to the gateway, the webhook. See README.md for its JSON faces."""

import json
import secrets
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken

from gateway.core.clock import Clock
from gateway.core.encoding import b64url_encode
from gateway.core.secrets import Secret
from gateway.demo.customers import CUSTOMERS, DEMO_PASSWORD, Customer
from gateway.demo.webhook import WebhookRefused, WebhookRepeated, WebhookVerifier

COOKIE = "demo_session"
SESSION_SECONDS = 15 * 60
NOTICES_KEPT = 50


@dataclass(frozen=True, slots=True)
class DemoBankConfig:
    """How the bank reaches the gateway. `api_base` as in http://127.0.0.1:8080; `session_key` 32 random bytes, kept
    over restarts so that customers stay logged in; `pages` the built pages, or None when they are served elsewhere."""

    api_base: str
    api_key: Secret
    webhook_secret: Secret
    session_key: Secret
    clock: Clock
    pages: Path | None


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in customer, from the sealed cookie."""

    customer: Customer
    csrf: str


class DemoBank:
    """The bank's handlers over one configuration."""

    def __init__(self, config: DemoBankConfig) -> None:
        self._config = config
        self._fernet = Fernet(_fernet_key(config.session_key))
        self._verifier = WebhookVerifier(config.webhook_secret.reveal().decode("ascii"))
        self._notices: dict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=NOTICES_KEPT))
        self._http: aiohttp.ClientSession | None = None

    async def connect(self, _: web.Application) -> AsyncIterator[None]:
        """Hold one HTTP client while the application runs."""
        async with aiohttp.ClientSession(
            base_url=self._config.api_base,
            headers={"Authorization": f"Bearer {self._config.api_key.reveal().decode('ascii')}"},
            timeout=aiohttp.ClientTimeout(total=10),
        ) as self._http:
            yield

    # Sessions

    def _open_session(self, request: web.Request) -> Session | None:
        cookie = request.cookies.get(COOKIE, "")
        try:
            plain = self._fernet.decrypt_at_time(
                cookie.encode("utf-8", "surrogateescape"),
                ttl=SESSION_SECONDS,
                current_time=int(self._config.clock.now()),
            )
        except InvalidToken:
            return None
        content = json.loads(plain)
        return Session(CUSTOMERS[content["user"]], content["csrf"])

    def _require_session(self, request: web.Request, *, posts: bool) -> Session:
        session = self._open_session(request)
        if session is None:
            raise web.HTTPUnauthorized(text="log in first")
        given = request.headers.get("X-CSRF-Token", "").encode("utf-8", "surrogateescape")
        if posts and not secrets.compare_digest(given, session.csrf.encode("ascii")):
            raise web.HTTPForbidden(text="the request did not come from the bank's page")
        return session

    def _set_session(self, response: web.StreamResponse, request: web.Request, session: Session) -> None:
        plain = json.dumps({"user": session.customer.user, "csrf": session.csrf}).encode()
        token = self._fernet.encrypt_at_time(plain, current_time=int(self._config.clock.now()))
        response.set_cookie(
            COOKIE,
            token.decode("ascii"),
            path="/demo/",
            httponly=True,
            secure=request.secure,
            samesite="Lax",
        )

    async def session(self, request: web.Request) -> web.Response:
        """GET api/session: who is logged in, or whom one may log in as; an open session is prolonged."""
        session = self._open_session(request)
        if session is None:
            choices = [{"user": customer.user, "name": customer.name} for customer in CUSTOMERS.values()]
            return web.json_response({"customer": None, "choices": choices, "password": DEMO_PASSWORD})
        response = web.json_response(_describe(session))
        self._set_session(response, request, session)
        return response

    async def login(self, request: web.Request) -> web.Response:
        """POST api/login {user, password}."""
        body = await _read_object(request)
        customer = CUSTOMERS.get(str(body.get("user")))
        right = secrets.compare_digest(str(body.get("password")).encode(), DEMO_PASSWORD.encode())
        if customer is None or not right:
            raise web.HTTPUnauthorized(text="the user name or the password is wrong")
        session = Session(customer, b64url_encode(secrets.token_bytes(16)))
        response = web.json_response(_describe(session))
        self._set_session(response, request, session)
        return response

    async def logout(self, request: web.Request) -> web.Response:
        """POST api/logout."""
        self._require_session(request, posts=True)
        response = web.json_response({})
        response.del_cookie(COOKIE, path="/demo/")
        return response

    # Calls to the gateway

    async def _gateway(self, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        if self._http is None:
            raise web.HTTPServiceUnavailable(text="the bank is starting")
        try:
            async with self._http.post(path, json=body, headers={"Idempotency-Key": key}) as answer:
                content = await answer.json(content_type=None)
                if answer.status >= 400:
                    title = content.get("title", "the gateway refused") if isinstance(content, dict) else ""
                    raise web.HTTPBadGateway(text=str(title))
                return dict(content)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise web.HTTPBadGateway(text="the gateway does not answer; try again shortly") from error

    async def start_activation(self, request: web.Request) -> web.Response:
        """POST api/activations {two_step, suite?}: start an activation for the customer who is logged in."""
        session = self._require_session(request, posts=True)
        body = await _read_object(request)
        wish = {
            "user": session.customer.user,
            "label": session.customer.name,
            "two_step": body.get("two_step") is True,
        }
        if body.get("suite") in ("hybrid", "classical"):
            wish["suite"] = body["suite"]
        return web.json_response(
            await self._gateway("/api/v1/activations", wish, _idempotency_key(request)), status=201
        )

    async def page_token(self, request: web.Request) -> web.Response:
        """POST api/page-token: a short-lived token for the customer's list of devices."""
        session = self._require_session(request, posts=True)
        wish = {"user": session.customer.user}
        return web.json_response(
            await self._gateway("/api/v1/page-tokens", wish, _idempotency_key(request)), status=201
        )

    # What the gateway tells the bank

    async def notices(self, request: web.Request) -> web.Response:
        """GET api/notices: what webhooks told of this customer's phones, newest first."""
        session = self._require_session(request, posts=False)
        return web.json_response({"items": list(self._notices[session.customer.user])})

    async def webhook(self, request: web.Request) -> web.Response:
        """POST webhook: a delivery of the gateway."""
        body = await request.read()
        try:
            self._verifier.verify(request.headers, body, now=self._config.clock.now())
        except WebhookRefused as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        except WebhookRepeated:
            return web.Response(status=204)
        content = json.loads(body)
        user = content.get("data", {}).get("user")
        if user in CUSTOMERS:
            notice = {key: content.get(key) for key in ("type", "timestamp", "data")}
            self._notices[user].appendleft({"id": request.headers["webhook-id"], **notice})
        return web.Response(status=204)


def _describe(session: Session) -> dict[str, Any]:
    accounts = [
        {"kind": account.kind, "iban": account.iban, "balance": account.balance, "currency": "EUR"}
        for account in session.customer.accounts
    ]
    customer = {"user": session.customer.user, "name": session.customer.name, "accounts": accounts}
    return {"customer": customer, "csrf": session.csrf}


def _fernet_key(key: Secret) -> bytes:
    return (b64url_encode(key.reveal()) + "=").encode("ascii")


def _idempotency_key(request: web.Request) -> str:
    """The page's own key, so that a click sent twice starts one activation; a fresh one when it sends none."""
    return request.headers.get("Idempotency-Key", "")[:64] or b64url_encode(secrets.token_bytes(16))


async def _read_object(request: web.Request) -> dict[str, Any]:
    try:
        content = await request.json()
    except ValueError as error:
        raise web.HTTPBadRequest(text="send a JSON object") from error
    if request.content_type != "application/json" or not isinstance(content, dict):
        raise web.HTTPBadRequest(text="send a JSON object")
    return content


@web.middleware
async def _answer_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer refusals of the bank's own API as {"error": sentence}."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return web.json_response({"error": error.text}, status=error.status)


def create_demo_bank(config: DemoBankConfig) -> web.Application:
    """Return the bank as an application to be mounted under /demo/."""
    bank = DemoBank(config)
    app = web.Application(middlewares=[_answer_json], client_max_size=64 * 1024)
    app.cleanup_ctx.append(bank.connect)
    app.router.add_get("/api/session", bank.session)
    app.router.add_post("/api/login", bank.login)
    app.router.add_post("/api/logout", bank.logout)
    app.router.add_post("/api/activations", bank.start_activation)
    app.router.add_post("/api/page-token", bank.page_token)
    app.router.add_get("/api/notices", bank.notices)
    app.router.add_post("/webhook", bank.webhook)
    if config.pages is not None:
        pages = config.pages

        async def index(_: web.Request) -> web.FileResponse:
            return web.FileResponse(pages / "index.html")

        app.router.add_get("/", index)
        app.router.add_static("/", pages)
    return app
