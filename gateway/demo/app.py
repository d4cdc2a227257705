"""The demo bank's back end: sessions, the calls to the gateway, the webhook. See README.md for its JSON faces."""

import json
import secrets
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken

from gateway.core.clock import Clock
from gateway.core.encoding import b64url_encode
from gateway.core.secrets import Secret
from gateway.demo.asking import AskingDesk, OrderRefused
from gateway.demo.browsers import describe_browser, describe_place
from gateway.demo.customers import CUSTOMERS, DEMO_PASSWORD, Customer
from gateway.demo.webhook import WebhookRefused, WebhookRepeated, WebhookVerifier
from gateway.demo.wire import answer_json, idempotency_key, lang_of, passed_on, read_object

COOKIE = "demo_session"
PENDING_COOKIE = "demo_login"
SESSION_SECONDS = 5 * 60
"""Without activity (PSD2 RTS article 4(3)(d))."""
PENDING_SECONDS = 10 * 60
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
        self._desk = AskingDesk(self._call, config.clock)

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
        content = self._open_cookie(request, COOKIE, SESSION_SECONDS)
        if content is None or "csrf" not in content:
            return None
        return Session(CUSTOMERS[content["user"]], content["csrf"])

    def _open_cookie(self, request: web.Request, name: str, seconds: int) -> dict[str, str] | None:
        cookie = request.cookies.get(name, "")
        try:
            plain = self._fernet.decrypt_at_time(
                cookie.encode("utf-8", "surrogateescape"),
                ttl=seconds,
                current_time=int(self._config.clock.now()),
            )
        except InvalidToken:
            return None
        content: dict[str, str] = json.loads(plain)
        return content if content.get("for") == name else None

    def _require_session(self, request: web.Request, *, posts: bool) -> Session:
        session = self._open_session(request)
        if session is None:
            raise web.HTTPUnauthorized(text="log in first")
        given = request.headers.get("X-CSRF-Token", "").encode("utf-8", "surrogateescape")
        if posts and not secrets.compare_digest(given, session.csrf.encode("ascii")):
            raise web.HTTPForbidden(text="the request did not come from the bank's page")
        return session

    def _set_session(self, response: web.StreamResponse, request: web.Request, session: Session) -> None:
        content = {"user": session.customer.user, "csrf": session.csrf}
        self._seal_cookie(response, request, COOKIE, content)

    def _seal_cookie(
        self, response: web.StreamResponse, request: web.Request, name: str, content: dict[str, str]
    ) -> None:
        plain = json.dumps({**content, "for": name}).encode()
        token = self._fernet.encrypt_at_time(plain, current_time=int(self._config.clock.now()))
        response.set_cookie(
            name,
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
        response = web.json_response(self._describe(session))
        self._set_session(response, request, session)
        return response

    async def login(self, request: web.Request) -> web.Response:
        """POST api/login {user, password, lang}: a customer with a phone is asked on it (202, with what the page shows
        meanwhile); one without logs in by the password."""
        body = await read_object(request)
        customer = CUSTOMERS.get(str(body.get("user")))
        if customer is not None and await self._desk.has_phone(customer.user):
            return await self._ask_login(request, customer, lang_of(body))
        right = secrets.compare_digest(str(body.get("password")).encode(), DEMO_PASSWORD.encode())
        if customer is None or not right:
            raise web.HTTPUnauthorized(text="the user name or the password is wrong")
        return self._begin_session(request, customer)

    async def _ask_login(self, request: web.Request, customer: Customer, lang: str) -> web.Response:
        fields = {
            "browser": describe_browser(request.headers.get("User-Agent", ""), lang),
            "place": describe_place(request.remote, lang),
        }
        started = await self._desk.ask(customer, "login", fields)
        response = web.json_response(started, status=202)
        # Which login this browser began is sealed in its cookie: nobody else's page can go on with it.
        pending = {"user": customer.user, "approval": started["approval"]["id"]}
        self._seal_cookie(response, request, PENDING_COOKIE, pending)
        return response

    async def finish_login(self, request: web.Request) -> web.Response:
        """POST api/login/finish: open the session once the phone has approved; 409 with the state before."""
        pending = self._open_cookie(request, PENDING_COOKIE, PENDING_SECONDS)
        if pending is None or pending.get("user") not in CUSTOMERS:
            raise web.HTTPUnauthorized(text="begin the login again")
        try:
            state = await self._desk.open_session(pending["approval"], pending["user"])
        except OrderRefused as error:
            raise web.HTTPConflict(text=str(error)) from error
        if state != "approved":
            raise web.HTTPConflict(text=f"the login is {state}")
        response = self._begin_session(request, CUSTOMERS[pending["user"]])
        response.del_cookie(PENDING_COOKIE, path="/demo/")
        return response

    def _begin_session(self, request: web.Request, customer: Customer) -> web.Response:
        session = Session(customer, b64url_encode(secrets.token_bytes(16)))
        is_reported = self._desk.take_report(customer.user)
        response = web.json_response(self._describe(session) | {"reported": is_reported})
        self._set_session(response, request, session)
        return response

    def _describe(self, session: Session) -> dict[str, Any]:
        customer = session.customer
        accounts = [
            {"kind": account.kind, "iban": account.iban, "balance": account.balance, "currency": "EUR"}
            for account in self._desk.accounts(customer)
        ]
        contact = {kind: self._desk.contact(customer, kind) for kind in ("email", "phone")}
        shown = {"user": customer.user, "name": customer.name, "accounts": accounts, "contact": contact}
        return {"customer": shown, "csrf": session.csrf, "idle_s": SESSION_SECONDS}

    async def logout(self, request: web.Request) -> web.Response:
        """POST api/logout."""
        self._require_session(request, posts=True)
        response = web.json_response({})
        response.del_cookie(COOKIE, path="/demo/")
        return response

    # Calls to the gateway

    async def _gateway(self, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        return await self._call("POST", path, body, key)

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None, key: str | None = None
    ) -> dict[str, Any]:
        """Call the gateway with the bank's key. What the customer can do something about (a phone that is missing, too
        many requests, a request that is over) is passed on; anything else is the bank's trouble."""
        if self._http is None:
            raise web.HTTPServiceUnavailable(text="the bank is starting")
        headers = (
            {} if method == "GET" else {"Idempotency-Key": key or b64url_encode(secrets.token_bytes(16))}
        )
        try:
            async with self._http.request(method, path, json=body, headers=headers) as answer:
                content = await answer.json(content_type=None)
                if answer.status >= 400:
                    problem = content if isinstance(content, dict) else {}
                    raise passed_on(answer.status, problem)
                return dict(content)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise web.HTTPBadGateway(text="the gateway does not answer; try again shortly") from error

    async def start_activation(self, request: web.Request) -> web.Response:
        """POST api/activations {two_step, suite?}: start an activation for the customer who is logged in."""
        session = self._require_session(request, posts=True)
        body = await read_object(request)
        wish = {
            "user": session.customer.user,
            "label": session.customer.name,
            "two_step": body.get("two_step") is True,
        }
        if body.get("suite") in ("hybrid", "classical"):
            wish["suite"] = body["suite"]
        if isinstance(body.get("approval"), str):
            wish["approval"] = body["approval"]
        elif await self._desk.has_phone(session.customer.user):
            raise web.HTTPForbidden(text="a further phone needs the word of the one at hand")
        return web.json_response(
            await self._gateway("/api/v1/activations", wish, idempotency_key(request)), status=201
        )

    async def page_token(self, request: web.Request) -> web.Response:
        """POST api/page-token: a short-lived token for the customer's list of devices."""
        session = self._require_session(request, posts=True)
        wish = {"user": session.customer.user}
        return web.json_response(
            await self._gateway("/api/v1/page-tokens", wish, idempotency_key(request)), status=201
        )

    # What customers are asked

    async def transfer(self, request: web.Request) -> web.Response:
        """POST api/transfers {payee, account, amount, currency, purpose}: ask the phone for a payment."""
        session = self._require_session(request, posts=True)
        try:
            fields = self._desk.check_transfer(session.customer, await read_object(request))
        except OrderRefused as refused:
            return web.json_response({"error": "mend this field", "field": str(refused)}, status=400)
        return web.json_response(await self._desk.ask(session.customer, "payment", fields), status=201)

    async def change_contact(self, request: web.Request) -> web.Response:
        """POST api/contact {kind, value}: ask the phone for a change of contact data."""
        session = self._require_session(request, posts=True)
        body = await read_object(request)
        kind, value = str(body.get("kind")), str(body.get("value", "")).strip()
        if kind not in ("email", "phone") or not 3 <= len(value) <= 256:
            return web.json_response({"error": "mend this field", "field": "value"}, status=400)
        previous = self._desk.contact(session.customer, kind)
        fields = {"kind": kind, "value": value, "previous": previous}
        return web.json_response(await self._desk.ask(session.customer, "contact", fields), status=201)

    async def further_phone(self, request: web.Request) -> web.Response:
        """POST api/further-phone {mode: add|move, lang}: ask the phone at hand whether another may be bound."""
        session = self._require_session(request, posts=True)
        body = await read_object(request)
        lang = lang_of(body)
        fields = {
            "mode": "move" if body.get("mode") == "move" else "add",
            "browser": describe_browser(request.headers.get("User-Agent", ""), lang),
            "place": describe_place(request.remote, lang),
        }
        return web.json_response(await self._desk.ask(session.customer, "device", fields), status=201)

    async def settle(self, request: web.Request) -> web.Response:
        """POST api/orders/{id}/settle: how an order stands, by the gateway's word."""
        session = self._require_session(request, posts=True)
        order = await self._desk.settle(request.match_info["id"])
        if order is None or order.user != session.customer.user:
            raise web.HTTPNotFound(text="there is no such order")
        return web.json_response(order.as_json())

    async def transfers(self, request: web.Request) -> web.Response:
        """GET api/transfers: the customer's payments, newest first."""
        session = self._require_session(request, posts=False)
        items = [order.as_json() for order in self._desk.orders(session.customer.user, "payment")]
        return web.json_response({"items": items})

    async def send_message(self, request: web.Request) -> web.Response:
        """POST api/messages {title, body}: what the bank's desk writes to the customer, in the language typed."""
        session = self._require_session(request, posts=True)
        body = await read_object(request)
        text = {"title": str(body.get("title", "")).strip(), "body": str(body.get("body", "")).strip()}
        if not all(text.values()):
            return web.json_response({"error": "mend this field", "field": "title"}, status=400)
        wish = {"user": session.customer.user, "texts": {lang_of(body): text}}
        return web.json_response(
            await self._gateway("/api/v1/messages", wish, idempotency_key(request)), status=201
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
        await self._hear(str(content.get("type")), content.get("data", {}))
        if user in CUSTOMERS:
            notice = {key: content.get(key) for key in ("type", "timestamp", "data")}
            self._notices[user].appendleft({"id": request.headers["webhook-id"], **notice})
        return web.Response(status=204)

    async def _hear(self, kind: str, data: dict[str, Any]) -> None:
        """Carry out what was approved though its page was closed, and keep in mind what was reported."""
        if kind == "approval.reported" and data.get("type") == "login":
            self._desk.note_report(str(data.get("user")))
        if kind.startswith("approval.") and isinstance(data.get("approval"), str):
            try:
                await self._desk.settle(data["approval"])
            except (OrderRefused, web.HTTPException):
                return  # the page, or the next delivery, asks again


def _fernet_key(key: Secret) -> bytes:
    return (b64url_encode(key.reveal()) + "=").encode("ascii")


def create_demo_bank(config: DemoBankConfig) -> web.Application:
    """Return the bank as an application to be mounted under /demo/."""
    bank = DemoBank(config)
    app = web.Application(middlewares=[answer_json], client_max_size=64 * 1024)
    app.cleanup_ctx.append(bank.connect)
    app.router.add_get("/api/session", bank.session)
    app.router.add_post("/api/login", bank.login)
    app.router.add_post("/api/login/finish", bank.finish_login)
    app.router.add_post("/api/logout", bank.logout)
    app.router.add_post("/api/transfers", bank.transfer)
    app.router.add_get("/api/transfers", bank.transfers)
    app.router.add_post("/api/contact", bank.change_contact)
    app.router.add_post("/api/further-phone", bank.further_phone)
    app.router.add_post("/api/orders/{id}/settle", bank.settle)
    app.router.add_post("/api/messages", bank.send_message)
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
