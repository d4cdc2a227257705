"""A customer logs in and pays with the bound phone: real browsers, the demo bank, every way that a request can end."""

import re
import time
from collections.abc import Callable

import pytest
from devtools import Pusher, add_fingerprint_reader
from gateway_process import GatewayProcess
from people import Desktop, Lang, Phone, bind, meet
from playwright.sync_api import expect

MakeDesktop = Callable[..., Desktop]
MakePhone = Callable[..., Phone]
LANGS: list[Lang] = ["en", "fr"]
CUSTOMERS = {"en": "Amelia Clarke", "fr": "Claire Martin"}


@pytest.fixture
def bank(own_gateway: Callable[..., GatewayProcess]) -> GatewayProcess:
    """A gateway of the test's own: customers there have no phone but this test's."""
    return own_gateway()


def bound(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, lang: Lang
) -> tuple[Desktop, Phone]:
    """Bring a customer to a bound phone, logged in."""
    desktop, phone = make_desktop(lang), make_phone(lang)
    meet(desktop, phone, bank.address, CUSTOMERS[lang])
    bind(desktop, phone)
    return desktop, phone


@pytest.mark.parametrize("lang", LANGS)
def test_login_by_phone_with_the_number_and_the_bank_is_told(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, lang: Lang
) -> None:
    _, phone = bound(bank, make_desktop, make_phone, lang)
    desktop = make_desktop(lang)
    desktop.begin_login(bank.address, CUSTOMERS[lang])
    number = desktop.number()
    phone.expect_ask()
    expect(phone.page.locator("ts-ask")).to_contain_text("Banque des Halles")
    expect(phone.page.locator("ts-statement")).to_contain_text(re.compile(r"(Chrome|Chromium) \d+"))
    expect(phone.page.locator("ts-number-choice button")).to_have_count(3)
    phone.approve(number=number)
    answered = time.monotonic()
    desktop.expect_logged_in()
    phone.expect_end("approved")
    assert time.monotonic() - answered < 15
    expect(desktop.page.get_by_text(CUSTOMERS[lang])).to_be_visible()


@pytest.mark.parametrize("lang", LANGS)
def test_payment_shows_what_the_bank_sent_and_its_result(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, lang: Lang
) -> None:
    desktop, phone = bound(bank, make_desktop, make_phone, lang)
    desktop.begin_payment(amount="812.34", purpose="Facture 2026-114\nmerci")
    phone.expect_ask()
    said = phone.page.locator("ts-statement")
    expect(said).to_contain_text("€812.34" if lang == "en" else re.compile(r"812,34\s€"))
    expect(said).to_contain_text("Électricité de Provence")
    expect(said).to_contain_text("FR76 3000 4000 0312 3456 7890 143")
    expect(said).to_contain_text("Facture 2026-114")
    phone.approve()
    phone.expect_end("approved")
    desktop.expect_transfer("approved")
    phone.button("past").click()
    expect(phone.page.locator("ts-approvals")).to_contain_text("Électricité de Provence")


def test_long_text_must_be_read_to_its_end(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = bound(bank, make_desktop, make_phone, "en")
    desktop.begin_payment(amount="1", purpose="\n".join(f"line {number} of many" for number in range(60)))
    phone.expect_ask()
    expect(phone.button("read on")).to_be_visible()
    expect(phone.button("approve by pin")).to_be_hidden()
    phone.approve()
    phone.expect_end("approved")
    desktop.expect_transfer("approved")


def test_wrong_number_ends_the_login_on_both(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    _, phone = bound(bank, make_desktop, make_phone, "en")
    desktop = make_desktop("en")
    desktop.begin_login(bank.address, CUSTOMERS["en"])
    number = desktop.number()
    phone.expect_ask()
    offered = [int(text) for text in phone.page.locator("ts-number-choice button").all_inner_texts()]
    assert number in offered
    phone.approve(number=next(each for each in offered if each != number))
    desktop.expect_end("failed")
    phone.expect_end("failed")


def test_refused_then_reported_and_the_next_login_asks_for_more(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    _, phone = bound(bank, make_desktop, make_phone, "en")
    desktop = make_desktop("en")
    desktop.begin_login(bank.address, CUSTOMERS["en"])
    phone.expect_ask()
    phone.button("report").click()
    phone.expect_end("reported")
    desktop.expect_end("reported")
    # Two in a row would have to wait; the report alone counts two, so the next login comes half a minute later.
    desktop.page.wait_for_timeout(31_000)
    desktop.begin_login(bank.address, CUSTOMERS["en"])
    number = desktop.number()
    phone.expect_ask()
    expect(phone.page.locator("ts-number-choice button")).to_have_count(0)
    phone.page.locator("ts-number-choice input").fill(str(number))
    phone.read_on()
    phone.button("approve by pin").click()
    phone.type_pin("739154")
    phone.expect_end("approved")
    desktop.expect_logged_in()
    expect(desktop.page.get_by_text("A login in your name was reported")).to_be_visible()
    desktop.begin_payment(amount="3")
    phone.expect_ask()
    phone.button("refuse").click()
    phone.expect_end("refused")
    desktop.expect_end("refused")


@pytest.mark.parametrize("lang", LANGS)
def test_offline_by_colour_code_and_eight_digits(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, lang: Lang
) -> None:
    desktop, phone = bound(bank, make_desktop, make_phone, lang)
    phone.close_and_come_back()
    phone.context.set_offline(True)
    for attempt in ("first", "second"):  # the counter moves on
        desktop.begin_payment(amount="7.77", purpose=attempt)
        desktop.show_offline_code()
        digits = phone.answer_offline(desktop.photograph(wait_for_turn=False))
        expect(phone.page.get_by_text("Électricité de Provence")).to_be_visible()
        phone.button("done").click()
        desktop.type_offline_answer(digits)
        desktop.expect_transfer("approved")


def test_offline_digits_that_are_wrong_take_a_try(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = bound(bank, make_desktop, make_phone, "en")
    phone.context.set_offline(True)
    desktop.begin_payment(amount="7.77")
    desktop.show_offline_code()
    desktop.type_offline_answer("00000000")
    expect(desktop.page.get_by_text("4 tries left.")).to_be_visible()
    wrong_pin = phone.answer_offline(desktop.photograph(wait_for_turn=False), pin="285714")
    desktop.type_offline_answer(wrong_pin)
    expect(desktop.page.get_by_text("3 tries left.")).to_be_visible()
    phone.page.get_by_role("button", name="Type the PIN again").click()
    phone.type_pin("739154")
    again = phone.page.locator("[data-answer]")
    expect(again).not_to_have_attribute("data-answer", wrong_pin)
    digits = again.get_attribute("data-answer") or ""
    phone.context.set_offline(False)
    phone.expect_ask()  # it has told the gateway how many answers it made
    desktop.type_offline_answer(digits)
    desktop.expect_transfer("approved")


def test_message_of_the_bank_arrives_and_is_read(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = bound(bank, make_desktop, make_phone, "en")
    inbox = phone.page.get_by_role("button", name=re.compile("^Messages"))
    expect(inbox).to_contain_text("1 unread message", timeout=15_000)  # the welcome
    desktop.page.evaluate("location.hash = '#/messages'")
    desktop.page.get_by_text("The bank’s desk").click()
    desktop.page.locator("#f-title").fill("Your new card")
    desktop.page.locator("#f-body").fill("It is on its way.\nKeep the old one until then.")
    desktop.page.get_by_role("button", name="Send").click()
    expect(desktop.page.locator("tessera-messages")).to_contain_text("Your new card", timeout=15_000)
    expect(inbox).to_contain_text("2 unread messages", timeout=15_000)
    inbox.click()
    phone.page.get_by_text("Your new card").click()
    expect(phone.page.get_by_text("Keep the old one until then.")).to_be_visible()
    expect(desktop.page.locator("tessera-messages")).to_contain_text("1 unread message", timeout=15_000)


@pytest.mark.parametrize("mode", ["add", "move"])
def test_another_phone_by_the_word_of_the_first(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, mode: str
) -> None:
    desktop, old = bound(bank, make_desktop, make_phone, "en")
    new = make_phone("en")
    new.open(bank.address)
    desktop.back_to_devices()
    desktop.page.get_by_role("link", name=desktop.text(mode), exact=True).click()
    old.approve()
    old.expect_end("approved")
    expect(desktop.symbol("colour")).to_be_visible(timeout=20_000)
    expect(old.page.get_by_text("Active", exact=True)).to_be_visible()  # until the new one is
    bind(desktop, new)
    phones = 2 if mode == "add" else 1
    desktop.back_to_devices()
    expect(desktop.page.locator("[data-binding]")).to_have_count(phones, timeout=15_000)
    if mode == "move":
        expect(old.page.get_by_text("Active", exact=True)).to_be_hidden(timeout=15_000)
        return
    desktop.begin_payment(amount="5")  # both are asked, the first answer counts, the other is told
    old.expect_ask()
    new.approve()
    new.expect_end("approved")
    expect(old.page.locator("ts-ask [data-end=approved][data-here=no]")).to_be_visible(timeout=15_000)
    desktop.expect_transfer("approved")


def test_fingerprint_in_place_of_the_pin(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    phone = make_phone("en")
    add_fingerprint_reader(phone)
    desktop = make_desktop("en")
    meet(desktop, phone, bank.address, CUSTOMERS["en"])
    phone.scan(desktop.photograph())
    desktop.type_device_code(phone.bind_to_code())
    phone.choose_pin()
    phone.page.get_by_role("button", name=re.compile("fingerprint or face", re.IGNORECASE)).first.click(
        timeout=20_000
    )
    phone.page.get_by_role("button", name=re.compile("^Done|^Continue")).first.click(timeout=20_000)
    desktop.begin_payment(amount="5")
    phone.expect_ask()
    phone.button("approve by finger").click(timeout=20_000)
    phone.expect_end("approved")
    desktop.expect_transfer("approved")


def test_wake_up_shows_a_notice_that_tells_nothing(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    _, phone = bound(bank, make_desktop, make_phone, "fr")
    pusher = Pusher(phone)
    phone.page.goto("about:blank")  # no page is open: the notice is what is left
    assert pusher.deliver() == {"Title": phone.text("notice"), "Body": phone.text("notice text")}
