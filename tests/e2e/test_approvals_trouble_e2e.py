"""Requests whose network fails, or whose gateway is killed, in the middle: both sides go on by themselves."""

from collections.abc import Callable

import pytest
from gateway_process import GatewayProcess
from people import Desktop, Lang, Phone, bind, meet
from playwright.sync_api import expect

MakeDesktop = Callable[..., Desktop]
MakePhone = Callable[..., Phone]
USER = "Claire Martin"
PATIENCE_MS = 40_000


@pytest.fixture
def bank(own_gateway: Callable[..., GatewayProcess]) -> GatewayProcess:
    """A gateway of the test's own, to be killed."""
    return own_gateway()


def bound(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, lang: Lang = "en"
) -> tuple[Desktop, Phone]:
    """Bring a customer to a bound phone, logged in."""
    desktop, phone = make_desktop(lang), make_phone(lang)
    meet(desktop, phone, bank.address, USER)
    bind(desktop, phone)
    return desktop, phone


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_login_through_a_killed_gateway(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, lang: Lang
) -> None:
    _, phone = bound(bank, make_desktop, make_phone, lang)
    desktop = make_desktop(lang)
    desktop.begin_login(bank.address, USER)
    number = desktop.number()
    phone.expect_ask()
    bank.restart()
    phone.approve(number=number)
    expect(phone.page.locator("ts-ask [data-end=approved]")).to_be_visible(timeout=PATIENCE_MS)
    expect(desktop.button("log out")).to_be_visible(timeout=PATIENCE_MS)


def test_payment_answered_while_the_phone_has_lost_its_network(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = bound(bank, make_desktop, make_phone)
    desktop.begin_payment(amount="5")
    phone.expect_ask()
    phone.context.set_offline(True)
    phone.read_on()
    phone.context.set_offline(False)
    phone.approve()
    expect(phone.page.locator("ts-ask [data-end=approved]")).to_be_visible(timeout=PATIENCE_MS)
    desktop.expect_transfer("approved")


def test_request_made_while_the_phone_was_away_is_there_when_it_comes_back(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = bound(bank, make_desktop, make_phone)
    phone.context.set_offline(True)
    desktop.begin_payment(amount="5")
    desktop.page.wait_for_timeout(1_000)
    phone.context.set_offline(False)
    phone.approve()
    phone.expect_end("approved")
    desktop.expect_transfer("approved")


def test_offline_answer_outlives_a_killed_gateway(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = bound(bank, make_desktop, make_phone)
    phone.context.set_offline(True)
    desktop.begin_payment(amount="5")
    desktop.show_offline_code()
    picture = desktop.photograph(wait_for_turn=False)
    bank.restart()
    digits = phone.answer_offline(picture)
    desktop.type_offline_answer(digits)
    desktop.expect_transfer("approved")


def test_desktop_that_lost_its_network_goes_on_with_the_answer(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    _, phone = bound(bank, make_desktop, make_phone)
    desktop = make_desktop("en")
    desktop.begin_login(bank.address, USER)
    number = desktop.number()
    desktop.page.context.set_offline(True)
    phone.approve(number=number)
    phone.expect_end("approved")
    desktop.page.context.set_offline(False)
    expect(desktop.button("log out")).to_be_visible(timeout=PATIENCE_MS)
