"""The demo bank's back end: sessions, what customers are asked, the webhook. See README.md for its JSON faces."""

import json
import secrets
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.encoding import b64url_encode
from gateway.core.secrets import Secret
from gateway.demo.asking import LOGIN_SECONDS, AskingDesk
from gateway.demo.browsers import describe_browser, describe_place
from gateway.demo.cookies import CookieSealer
from gateway.demo.customers import CUSTOMERS, DEMO_PASSWORD, Customer
from gateway.demo.forms import check_contact, check_message, check_payment
from gateway.demo.gateway_api import GatewayApi
from gateway.demo.ledger import LedgerFile
from gateway.demo.webhook import WebhookRefused, WebhookRepeated, WebhookVerifier
from gateway.demo.wire import Refusal, answer_json, idempotency_key, lang_of, read_object, wrong_field

COOKIE = "demo_session"
PENDING_COOKIE = "demo_login"
SESSION_SECONDS = 5 * 60
"""Without activity (PSD2 RTS article 4(3)(d))."""
NOTICES_KEPT = 50


@dataclass(frozen=True, slots=True)
class DemoBankConfig:
    """How the bank reaches the gateway. `api_base` as in http://127.0.0.1:8080; `session_key` 32 random bytes, kept
    over restarts so that customers stay logged in; `ledger` the file of its books, or None to keep them in memory;
    `pages` the built pages, or None when they are served elsewhere."""

    api_base: str
    api_key: Secret
    webhook_secret: Secret
    session_key: Secret
    clock: Clock
    pages: Path | None
    ledger: Path | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in customer, from the sealed cookie."""

    customer: Customer
    csrf: str


class DemoBank:
    """The bank's handlers over one configuration."""

    def __init__(self, config: DemoBankConfig) -> None:
        self._config = config
        self._cookies = CookieSealer(config.session_key, config.clock)
        self._verifier = WebhookVerifier(config.webhook_secret.reveal().decode("ascii"))
        self._notices: dict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=NOTICES_KEPT))
        self._gateway = GatewayApi(config.api_base, config.api_key)
        self._desk = AskingDesk(self._gateway, file=LedgerFile(config.ledger), clock=config.clock)

    def connect(self, app: web.Application) -> AsyncIterator[None]:
        """Hold what the bank needs while the application runs."""
        return self._gateway.connect(app)

    # Sessions

    def _open_session(self, request: web.Request) -> Session | None:
        content = self._cookies.open(request, COOKIE, seconds=SESSION_SECONDS)
        if content is None or content.get("user") not in CUSTOMERS:
            return None
        return Session(CUSTOMERS[content["user"]], content["csrf"])

    def _require_session(self, request: web.Request, *, posts: bool) -> Session:
        session = self._open_session(request)
        if session is None:
            raise Refusal(401, "log in first")
        given = request.headers.get("X-CSRF-Token", "").encode("utf-8", "surrogateescape")
        if posts and not secrets.compare_digest(given, session.csrf.encode("ascii")):
            raise Refusal(403, "the request did not come from the bank's page")
        return session

    def _set_session(self, response: web.StreamResponse, request: web.Request, session: Session) -> None:
        content = {"user": session.customer.user, "csrf": session.csrf}
        self._cookies.seal(response, request=request, name=COOKIE, content=content)

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
            raise Refusal(401, "the user name or the password is wrong")
        return self._begin_session(request, customer)

    async def _ask_login(self, request: web.Request, customer: Customer, lang: str) -> web.Response:
        fields = _whence(request, lang)
        started = await self._desk.ask(customer, kind="login", fields=fields, key=idempotency_key(request))
        response = web.json_response(started, status=202)
        # Which login this browser began is sealed in its cookie: nobody else's page can go on with it.
        pending = {"user": customer.user, "approval": started["approval"]["id"]}
        self._cookies.seal(response, request=request, name=PENDING_COOKIE, content=pending)
        return response

    async def finish_login(self, request: web.Request) -> web.Response:
        """POST api/login/finish: open the session once the phone has approved; 409 with the state before."""
        pending = self._cookies.open(request, PENDING_COOKIE, seconds=LOGIN_SECONDS)
        if pending is None or pending.get("user") not in CUSTOMERS:
            raise Refusal(401, "begin the login again")
        await self._desk.use_login(pending["approval"], pending["user"])
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

    # Phones

    async def start_activation(self, request: web.Request) -> web.Response:
        """POST api/activations {two_step, suite?, approval?}: start an activation for the customer who is logged in; a
        customer who has a phone needs its word, an approved request for a further one."""
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
            raise Refusal(403, "a further phone needs the word of the one at hand")
        started = await self._gateway.post("/api/v1/activations", wish, key=idempotency_key(request))
        return web.json_response(started, status=201)

    async def page_token(self, request: web.Request) -> web.Response:
        """POST api/page-token: a short-lived token for the customer's phones and messages."""
        session = self._require_session(request, posts=True)
        wish = {"user": session.customer.user}
        issued = await self._gateway.post("/api/v1/page-tokens", wish, key=idempotency_key(request))
        return web.json_response(issued, status=201)

    # What customers are asked

    async def _ask(
        self, request: web.Request, session: Session, *, kind: str, fields: dict[str, str]
    ) -> web.Response:
        key = idempotency_key(request)
        return web.json_response(
            await self._desk.ask(session.customer, kind=kind, fields=fields, key=key), status=201
        )

    async def transfer(self, request: web.Request) -> web.Response:
        """POST api/transfers {payee, account, amount, currency, purpose}: ask the phone for a payment."""
        session = self._require_session(request, posts=True)
        body = await read_object(request)
        await self._desk.settle_all(session.customer.user)
        fields = check_payment(body, available=self._desk.available(session.customer))
        return await self._ask(request, session, kind="payment", fields=fields)

    async def change_contact(self, request: web.Request) -> web.Response:
        """POST api/contact {kind, value}: ask the phone for a change of contact data."""
        session = self._require_session(request, posts=True)
        body = await read_object(request)
        kind = str(body.get("kind"))
        if kind not in ("email", "phone"):
            raise wrong_field("kind")
        previous = self._desk.contact(session.customer, kind)
        fields = {"kind": kind, "value": check_contact(body, kind=kind), "previous": previous}
        return await self._ask(request, session, kind="contact", fields=fields)

    async def further_phone(self, request: web.Request) -> web.Response:
        """POST api/further-phone {mode: add|move, lang}: ask the phone at hand whether another may be bound."""
        session = self._require_session(request, posts=True)
        body = await read_object(request)
        mode = "move" if body.get("mode") == "move" else "add"
        fields = {"mode": mode, **_whence(request, lang_of(body))}
        return await self._ask(request, session, kind="device", fields=fields)

    async def settle(self, request: web.Request) -> web.Response:
        """POST api/orders/{id}/settle: how an order stands, by the gateway's word."""
        session = self._require_session(request, posts=True)
        order = await self._desk.settle(request.match_info["id"])
        if order is None or order.user != session.customer.user:
            raise Refusal(404, "there is no such order")
        return web.json_response(order.as_json())

    async def transfers(self, request: web.Request) -> web.Response:
        """GET api/transfers: the customer's payments, newest first."""
        session = self._require_session(request, posts=False)
        await self._desk.settle_all(session.customer.user)
        items = [order.as_json() for order in self._desk.orders(session.customer.user, "payment")]
        return web.json_response({"items": items})

    async def send_message(self, request: web.Request) -> web.Response:
        """POST api/messages {title, body, lang}: what the bank's desk writes to the customer, in one language."""
        session = self._require_session(request, posts=True)
        body = await read_object(request)
        wish = {"user": session.customer.user, "texts": {lang_of(body): check_message(body)}}
        sent = await self._gateway.post("/api/v1/messages", wish, key=idempotency_key(request))
        return web.json_response(sent, status=201)

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
        data = content.get("data", {})
        user = data.get("user")
        try:
            await self._hear(str(content.get("type")), data)
        except Refusal as refusal:
            if refusal.status in (429, 502, 503):
                # What was approved could not be looked up: the gateway is to tell it again.
                self._verifier.forget(request.headers["webhook-id"])
                raise
        if user in CUSTOMERS:
            notice = {key: content.get(key) for key in ("type", "timestamp", "data")}
            self._notices[user].appendleft({"id": request.headers["webhook-id"], **notice})
        return web.Response(status=204)

    async def _hear(self, kind: str, data: dict[str, Any]) -> None:
        """Carry out what was approved though its page was closed, and keep in mind what was reported."""
        if kind == "approval.reported" and data.get("type") == "login":
            self._desk.note_report(str(data.get("user")))
        if kind.startswith("approval.") and isinstance(data.get("approval"), str):
            await self._desk.settle(data["approval"])


def _whence(request: web.Request, lang: str) -> dict[str, str]:
    """Return what the phone is told of the browser that asks."""
    return {
        "browser": describe_browser(request.headers.get("User-Agent", ""), lang),
        "place": describe_place(request.remote, lang),
    }


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
