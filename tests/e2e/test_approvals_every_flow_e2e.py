"""Every flow of a bound phone, in each language, with each trouble in its middle: both pages say that the connection is
lost, what was answered meanwhile is kept, and it ends as it should without starting over. The tests of one language and
trouble share a customer and run in the order of this file: a binding is slow."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from devtools import Pusher, add_fingerprint_reader
from gateway_process import GatewayProcess
from people import PATIENCE_MS, Desktop, Lang, Person, Phone, meet
from playwright.sync_api import Browser, Playwright, expect
from troubles import MakeTrouble, Trouble, maker_of

TROUBLES: list[Trouble] = ["network lost", "gateway killed"]
LANGS: list[Lang] = ["fr", "en"]
USER = "Claire Martin"


@dataclass
class Customer:
    """A customer with a bound phone, logged in on a desktop; `spare` is a phone that is not bound."""

    gateway: GatewayProcess
    desktop: Desktop
    phone: Phone
    spare: Phone
    trouble: MakeTrouble

    def begin_payment(self, amount: str) -> None:
        """Ask for a payment, and see that both pages have it."""
        self.desktop.begin_payment(amount=amount)
        self.desktop.expect_waiting()
        self.phone.expect_ask()

    def swap_phones(self) -> None:
        """Go on with the other phone."""
        self.phone, self.spare = self.spare, self.phone

    def expect_both_lost(self, desktop: Desktop) -> None:
        """See that both pages say that their connection is lost."""
        self.phone.expect_said("lost on phone")
        desktop.expect_said("lost on desktop")


def bind_with_fingerprint(desktop: Desktop, phone: Phone) -> None:
    """Bind a phone, and set up the fingerprint that it offers then."""
    phone.scan(desktop.photograph(wait_for_turn=False))
    desktop.type_device_code(phone.bind_to_code())
    phone.choose_pin()
    phone.button("set up finger").click(timeout=20_000)
    phone.button("done").first.click(timeout=20_000)
    expect(phone.heading("your banks")).to_be_visible()
    expect(desktop.heading("ready")).to_be_visible(timeout=20_000)


@pytest.fixture(
    scope="module",
    params=[pytest.param(each, id="-".join(each)) for each in itertools.product(TROUBLES, LANGS)],
)
def customer(
    request: pytest.FixtureRequest,
    playwright: Playwright,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Customer]:
    """One customer for each trouble and language."""
    trouble, lang = request.param
    folder = tmp_path_factory.mktemp("every-flow")
    (folder / "gateway").mkdir()
    gateway = GatewayProcess(folder / "gateway", TESSERA_ROTATION_S="60")
    desktop = Desktop.open(browser, lang)
    phone, spare = (Phone(playwright, folder / name, lang) for name in ("phone", "spare"))
    gateway.start()
    try:
        for each in (phone, spare):
            add_fingerprint_reader(each)
        meet(desktop, phone, gateway.address, USER)
        bind_with_fingerprint(desktop, phone)
        yield Customer(gateway, desktop, phone, spare, maker_of(trouble, gateway))
    finally:
        gateway.stop()
        for context in (desktop.page.context, phone.context, spare.context):
            context.close()


@pytest.fixture(autouse=True)
def _nothing_waits(customer: Customer, people: list[Person]) -> None:
    """Report what both show; leave no request of a test that failed to the next."""
    people += [customer.desktop, customer.phone]
    if customer.phone.heading("your banks").is_visible():
        return
    for item in customer.gateway.as_bank("GET", "/api/v1/approvals?state=pending")["items"]:
        customer.gateway.as_bank("POST", f"/api/v1/approvals/{item['id']}/cancel")
    customer.phone.open(customer.gateway.address)


@pytest.fixture
def login(customer: Customer, browser: Browser, people: list[Person]) -> Iterator[Desktop]:
    """A desktop that nobody is logged in on, whose login the phone shows."""
    desktop = Desktop.open(browser, customer.desktop.lang)
    people.append(desktop)
    desktop.begin_login(customer.gateway.address, USER)
    customer.phone.expect_ask()
    yield desktop
    desktop.page.context.close()


def test_login(customer: Customer, login: Desktop) -> None:
    phone, number = customer.phone, login.number()
    with customer.trouble(login, phone):
        customer.expect_both_lost(login)
        phone.approve(number=number)
        phone.expect_said("answer is kept")
    phone.expect_end("approved")
    login.expect_logged_in()


def test_refusal(customer: Customer) -> None:
    desktop, phone = customer.desktop, customer.phone
    customer.begin_payment("3")
    with customer.trouble(desktop, phone):
        customer.expect_both_lost(desktop)
        phone.button("refuse").click()
        phone.expect_said("answer is kept")
    phone.expect_end("refused")
    desktop.expect_end("refused")
    desktop.button("restart").click()
    expect(desktop.page.locator("#f-amount")).to_have_value("3")


def test_payment(customer: Customer) -> None:
    desktop, phone = customer.desktop, customer.phone
    customer.begin_payment("5")
    with customer.trouble(desktop, phone):
        customer.expect_both_lost(desktop)
        phone.approve()
        phone.expect_said("answer is kept")
    phone.expect_end("approved")
    desktop.expect_transfer("approved")


def test_wrong_number(customer: Customer, login: Desktop) -> None:
    phone, number = customer.phone, login.number()
    offered = phone.page.locator("ts-number-choice button").all_inner_texts()
    with customer.trouble(login, phone):
        customer.expect_both_lost(login)
        phone.approve(number=next(int(each) for each in offered if int(each) != number))
        phone.expect_said("answer is kept")
    phone.expect_end("failed")
    login.expect_end("failed")


def test_offline_by_colour_code(customer: Customer) -> None:
    desktop, phone = customer.desktop, customer.phone
    phone.context.set_offline(True)
    desktop.begin_payment(amount="7.77" if desktop.lang == "en" else "7,77")
    desktop.show_offline_code()
    picture = desktop.photograph(wait_for_turn=False)
    try:
        with customer.trouble(desktop):
            desktop.type_offline_answer(phone.answer_offline(picture))
            desktop.expect_said("nothing was sent")
        desktop.button("confirm").click()
        desktop.expect_transfer("approved")
        phone.button("done").click()
    finally:
        phone.context.set_offline(False)


def test_push(customer: Customer) -> None:
    desktop, phone = customer.desktop, customer.phone
    pusher = Pusher(phone)
    phone.page.goto("about:blank")  # the app is closed
    desktop.begin_payment(amount="6")
    desktop.expect_waiting()
    with customer.trouble(desktop, phone):
        desktop.expect_said("lost on desktop")
        assert pusher.deliver() == {"Title": phone.text("notice"), "Body": phone.text("notice text")}
        phone.open(customer.gateway.address)
    phone.approve()
    phone.expect_end("approved")
    desktop.expect_transfer("approved")


def test_message(customer: Customer) -> None:
    desktop, phone = customer.desktop, customer.phone
    title, body = "Carte 4711", "Elle est en route."
    desktop.page.evaluate("location.hash = '#/messages'")
    desktop.page.get_by_text(desktop.text("desk")).click()
    desktop.page.locator("#f-title").fill(title)
    desktop.page.locator("#f-body").fill(body)
    phone.page.get_by_role("button", name=phone.text("messages")).click()
    welcome, message = (
        phone.page.locator("ts-messages details", has_text=text) for text in (phone.text("welcome"), title)
    )
    expect(welcome).to_contain_text(phone.text("unread"))
    with customer.trouble(desktop, phone):
        desktop.button("send").click()
        desktop.expect_said("bank is away")
        expect(desktop.page.locator("#f-body")).to_have_value(body)
        welcome.locator("summary").click()  # what has been fetched can be read
        expect(welcome.locator(".body")).to_be_visible()
        expect(welcome).to_contain_text(phone.text("unread"))  # the bank could not be told
        welcome.locator("summary").click()
    desktop.button("send").click()
    desktop.expect_said("message sent")
    for each in (message, welcome):
        each.locator("summary").click(timeout=PATIENCE_MS)
        expect(each.locator(".body")).to_be_visible()
        expect(each).not_to_contain_text(phone.text("unread"))
    expect(desktop.page.locator("tessera-messages details.unread")).to_have_count(0, timeout=PATIENCE_MS)
    phone.button("leave").click()


def test_fingerprint(customer: Customer) -> None:
    desktop, phone = customer.desktop, customer.phone
    customer.begin_payment("5")
    with customer.trouble(desktop, phone):
        customer.expect_both_lost(desktop)
        phone.read_on()
        phone.button("approve by finger").click()
        phone.expect_said("answer is kept")
    phone.expect_end("approved")
    desktop.expect_transfer("approved")


@pytest.mark.parametrize("mode", ["move", "add"])
def test_another_phone_by_the_word_of_the_first(customer: Customer, people: list[Person], mode: str) -> None:
    desktop, phone, new = customer.desktop, customer.phone, customer.spare
    people.append(new)
    new.open(customer.gateway.address)
    desktop.page.evaluate("location.hash = '#/devices'")
    desktop.page.get_by_role("link", name=desktop.text(mode), exact=True).click()
    desktop.expect_waiting()
    phone.expect_ask()
    with customer.trouble(desktop, phone, new):
        customer.expect_both_lost(desktop)
        phone.approve()
        phone.expect_said("answer is kept")
    phone.expect_end("approved")
    bind_with_fingerprint(desktop, new)
    desktop.back_to_devices()
    phones = 2 if mode == "add" else 1
    expect(desktop.page.locator("[data-binding]")).to_have_count(phones, timeout=15_000)
    customer.swap_phones()


def test_report(customer: Customer, login: Desktop) -> None:
    phone, other = customer.phone, customer.spare
    other.expect_ask()
    with customer.trouble(login, phone, other):
        customer.expect_both_lost(login)
        phone.button("report").click()
        phone.expect_said("answer is kept")
    phone.expect_end("reported")
    login.expect_end("reported")
    expect(other.page.locator("ts-ask [data-end=reported][data-here=no]")).to_be_visible(timeout=PATIENCE_MS)
