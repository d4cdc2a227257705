"""Networks that fail at other moments than test_approvals_every_flow_e2e.py's: both sides go on by themselves."""

from collections.abc import Callable

import pytest
from gateway_process import GatewayProcess
from people import PATIENCE_MS, Desktop, Phone, bind, meet
from playwright.sync_api import Route, expect

MakeDesktop = Callable[..., Desktop]
MakePhone = Callable[..., Phone]
USER = "Claire Martin"


@pytest.fixture
def bank(own_gateway: Callable[..., GatewayProcess]) -> GatewayProcess:
    """A gateway of the test's own, to be killed."""
    return own_gateway()


def bound(bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone) -> tuple[Desktop, Phone]:
    """Bring a customer to a bound phone, logged in."""
    desktop, phone = make_desktop("en"), make_phone("en")
    meet(desktop, phone, bank.address, USER)
    bind(desktop, phone)
    return desktop, phone


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


def test_payment_whose_answer_was_lost_is_asked_once(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = bound(bank, make_desktop, make_phone)

    def lose_answer(route: Route) -> None:
        if route.request.method == "GET":
            route.continue_()
            return
        route.fetch()
        route.abort()

    desktop.page.route("**/demo/api/transfers", lose_answer)
    desktop.begin_payment(amount="5")
    desktop.expect_said("bank is away")
    phone.expect_ask()
    desktop.page.unroute("**/demo/api/transfers")
    desktop.button("pay").click()
    desktop.expect_waiting()
    phone.approve()
    phone.expect_end("approved")
    desktop.expect_transfer("approved")
    expect(desktop.page.locator("[data-transfer]")).to_have_count(1)


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
