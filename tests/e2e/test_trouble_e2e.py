"""The ways an activation goes wrong, in two real browsers: each ends in a clear message with a next step, or goes on by
itself, and nothing half-bound is left."""

import time
from collections.abc import Callable

import pytest
from album import Album
from camera import write_film
from gateway_process import GatewayProcess
from people import GOOD_PIN, Desktop, Phone, meet
from playwright.sync_api import WebSocketRoute, expect

MakeDesktop = Callable[..., Desktop]
MakePhone = Callable[..., Phone]
OwnGateway = Callable[..., GatewayProcess]


def begin(gateway: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone) -> tuple[Desktop, Phone]:
    """Bring both to the code on the screen."""
    desktop, phone = make_desktop("en"), make_phone("en")
    meet(desktop, phone, gateway.address)
    return desktop, phone


def see(person: Desktop | Phone, name: str) -> None:
    """Put one page into the album, and have axe look at it."""
    album = Album("en-light")
    album.look(person, name)
    album.assert_clean()


def test_code_that_has_turned_is_refused_and_the_activation_lives_on(
    own_gateway: OwnGateway, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = begin(own_gateway(TESSERA_ROTATION_S="2"), make_desktop, make_phone)
    picture = desktop.photograph()
    time.sleep(5)
    phone.scan(picture)
    expect(phone.page.get_by_role("heading", name="This code has moved on")).to_be_visible(timeout=20_000)
    expect(desktop.symbol("colour")).to_be_visible()
    see(phone, "phone-moved-on")


def test_second_phone_ends_the_activation_on_every_screen(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = begin(slow_turning, make_desktop, make_phone)
    thief = make_phone("en")
    thief.open(slow_turning.address)
    picture = desktop.photograph(wait_for_turn=False)
    phone.scan(picture)
    phone.bind_to_code()
    thief.scan(picture)
    expect(desktop.page.get_by_role("heading", name="A second phone scanned this code")).to_be_visible(
        timeout=25_000
    )
    for screen in (phone, thief):
        expect(screen.page.get_by_role("button", name="Back to start")).to_be_visible(timeout=20_000)
    desktop.button("restart").click()
    expect(desktop.symbol("colour")).to_be_visible(timeout=15_000)


def test_three_wrong_device_codes_end_it_on_both_screens(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = begin(slow_turning, make_desktop, make_phone)
    phone.scan(desktop.photograph(wait_for_turn=False))
    right = phone.bind_to_code().replace(" ", "")
    wrong = f"{(int(right) + 1) % 10**8:08d}"
    for left in ("2 tries left", "One try left"):
        desktop.type_device_code(wrong)
        expect(desktop.page.get_by_text(left)).to_be_visible()
    expect(phone.page.get_by_text("1 try left")).to_be_visible()
    desktop.type_device_code(wrong)
    expect(desktop.page.get_by_role("heading", name="Three wrong codes")).to_be_visible()
    expect(phone.page.get_by_role("button", name="Back to start")).to_be_visible(timeout=15_000)
    expect(phone.page.locator("[data-code]")).to_have_count(0)


def test_digits_confirmed_without_a_network_stay_for_another_try(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = begin(slow_turning, make_desktop, make_phone)
    phone.scan(desktop.photograph(wait_for_turn=False))
    code = phone.bind_to_code()
    expect(desktop.page.locator("#digits")).to_be_visible(timeout=20_000)
    desktop.page.context.set_offline(True)
    expect(desktop.page.get_by_text("The connection is lost. We try again by ourselves.")).to_be_visible()
    desktop.type_device_code(code)
    expect(desktop.page.locator("#problem")).to_have_text(
        "There is no connection. As far as we know, nothing was sent. Check your network, then try again."
    )
    expect(desktop.page.locator("#digits")).to_have_value(code)
    desktop.page.context.set_offline(False)
    desktop.button("confirm").click()
    expect(desktop.heading("pin on phone")).to_be_visible(timeout=20_000)


def test_cancel_on_the_phone_is_told_on_the_desktop(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = begin(slow_turning, make_desktop, make_phone)
    phone.scan(desktop.photograph(wait_for_turn=False))
    phone.bind_to_code()
    expect(desktop.page.locator("#digits")).to_be_visible(timeout=20_000)
    phone.page.get_by_role("button", name="Cancel this activation").click()
    phone.page.get_by_role("dialog").get_by_role("button", name="Cancel this activation").click()
    expect(desktop.page.get_by_role("heading", name="This was cancelled")).to_be_visible(timeout=15_000)
    expect(phone.button("scan")).to_be_visible()
    desktop.button("restart").click()
    expect(desktop.symbol("colour")).to_be_visible(timeout=15_000)


def test_activation_that_nobody_scans_ends_by_itself(
    own_gateway: OwnGateway, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    gateway = own_gateway(TESSERA_ACTIVATION_LIFE_S="60", TESSERA_ROTATION_S="60")
    desktop, phone = begin(gateway, make_desktop, make_phone)
    picture = desktop.photograph(wait_for_turn=False)
    expect(desktop.page.get_by_role("heading", name="The time is up")).to_be_visible(timeout=90_000)
    phone.scan(picture)
    expect(phone.page.get_by_role("button", name="Back to start")).to_be_visible(timeout=25_000)
    see(desktop, "desktop-end-expired")
    see(phone, "phone-end-expired")
    desktop.button("restart").click()
    expect(desktop.symbol("colour")).to_be_visible(timeout=15_000)


def test_camera_that_is_absent_or_refused_leaves_other_ways(
    slow_turning: GatewayProcess, make_phone: MakePhone
) -> None:
    without = make_phone("en", camera="absent")
    without.open(slow_turning.address)
    without.button("scan").click()
    expect(without.page.get_by_role("heading", level=1)).to_be_visible()
    expect(without.page.get_by_text("camera").first).to_be_visible(timeout=15_000)
    expect(
        without.page.get_by_role("button", name="Type a code").or_(
            without.page.get_by_role("button", name="Type the code")
        )
    ).to_be_visible()
    see(without, "phone-camera-absent")

    refused = make_phone("fr", camera="denied")
    refused.open(slow_turning.address)
    refused.button("scan").click()
    expect(refused.page.get_by_role("button", name="Réessayer")).to_be_visible(timeout=15_000)


def test_weak_and_mistyped_pins_are_refused_with_the_reason(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = begin(slow_turning, make_desktop, make_phone)
    phone.scan(desktop.photograph(wait_for_turn=False))
    desktop.type_device_code(phone.bind_to_code())
    expect(phone.heading("choose")).to_be_visible(timeout=20_000)
    for pin, reason in (
        ("123456", "Digits in a row"),
        ("000000", "All digits are the same"),
        ("121212", "A repeated pair"),
        ("240687", "reads as a date"),
    ):
        phone.type_pin(pin)
        expect(phone.page.get_by_text(reason)).to_be_visible()
    phone.type_pin("739154")
    expect(phone.heading("again")).to_be_visible()
    phone.type_pin("739155")
    expect(phone.page.get_by_text("The two are not the same")).to_be_visible()
    phone.choose_pin()
    phone.finish()


@pytest.mark.parametrize("moment", ["code on the screen", "device code shown", "device code typed"])
def test_gateway_killed_in_the_middle_takes_up_where_it_was(
    own_gateway: OwnGateway, make_desktop: MakeDesktop, make_phone: MakePhone, moment: str
) -> None:
    gateway = own_gateway(TESSERA_ROTATION_S="60")
    desktop, phone = begin(gateway, make_desktop, make_phone)
    if moment == "code on the screen":
        gateway.restart()
    phone.scan(desktop.photograph(wait_for_turn=False))
    code = phone.bind_to_code()
    if moment == "device code shown":
        desktop.page.locator("#digits").fill(code[:4])
        gateway.restart()
        expect(phone.page.locator("[data-code]")).not_to_have_attribute("data-code", code, timeout=40_000)
        code = phone.device_code()
        expect(desktop.page.locator("#digits")).to_be_visible(timeout=20_000)
        expect(desktop.page.get_by_text("The phone shows new digits")).to_be_visible(timeout=20_000)
        expect(desktop.page.locator("#digits")).to_have_value("")
    desktop.type_device_code(code)
    if moment == "device code typed":
        expect(phone.heading("choose")).to_be_visible(timeout=20_000)
        gateway.restart()
    phone.choose_pin()
    expect(desktop.heading("ready")).to_be_visible(timeout=45_000)
    phone.finish()


class Cutter:
    """Stands between the phone and its gateway's channel; cuts the connection once, at the given message."""

    def __init__(self, direction: str, number: int) -> None:
        self.direction, self.number = direction, number
        self.has_cut = False

    def route(self, near: WebSocketRoute) -> None:
        """Carry one connection."""
        far = near.connect_to_server()
        count = {"sent": 0, "received": 0}

        def passes(direction: str) -> bool:
            count[direction] += 1
            if self.has_cut or direction != self.direction or count[direction] != self.number:
                return True
            self.has_cut = True
            near.close(code=1011)
            far.close(code=1011)
            return False

        near.on_message(lambda message: far.send(message) if passes("sent") else None)
        far.on_message(lambda message: near.send(message) if passes("received") else None)


@pytest.mark.parametrize(
    ("direction", "number"),
    [(direction, number) for direction in ("sent", "received") for number in (1, 2, 3, 4)]
    + [("received", 5)],
)
def test_network_lost_at_any_message_binds_all_the_same(
    slow_turning: GatewayProcess,
    make_desktop: MakeDesktop,
    make_phone: MakePhone,
    direction: str,
    number: int,
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    cutter = Cutter(direction, number)
    phone.page.route_web_socket("**/phone/v1/channel", cutter.route)
    meet(desktop, phone, slow_turning.address)
    phone.scan(desktop.photograph(wait_for_turn=False))
    phone.bind_to_code()
    expect(phone.page.get_by_text("Reconnecting")).to_have_count(0, timeout=20_000)
    desktop.type_device_code(phone.device_code())
    phone.choose_pin()
    expect(desktop.heading("ready")).to_be_visible(timeout=40_000)
    phone.finish()
    assert cutter.has_cut


def test_phone_app_opens_without_a_network_once_loaded(
    slow_turning: GatewayProcess, make_phone: MakePhone
) -> None:
    phone = make_phone("fr")
    phone.open(slow_turning.address)
    phone.page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    phone.page.reload()
    phone.context.set_offline(True)
    phone.page.reload()
    expect(phone.button("scan")).to_be_visible()
    phone.context.set_offline(False)


def test_reload_in_the_middle_carries_on(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = begin(slow_turning, make_desktop, make_phone)
    phone.scan(desktop.photograph(wait_for_turn=False))
    right = phone.bind_to_code().replace(" ", "")
    desktop.type_device_code(f"{(int(right) + 1) % 10**8:08d}")
    expect(desktop.page.get_by_text("2 tries left")).to_be_visible()
    desktop.page.reload()
    expect(desktop.page.get_by_text("2 tries left")).to_be_visible()
    expect(desktop.page.get_by_text("The phone shows new digits")).to_have_count(0)
    phone.page.reload()
    expect(desktop.page.get_by_text("The phone shows new digits")).to_be_visible(timeout=20_000)
    desktop.type_device_code(phone.device_code())
    phone.choose_pin()
    expect(desktop.heading("ready")).to_be_visible(timeout=20_000)
    phone.finish()


def test_phone_that_comes_anew_in_two_steps_finds_its_own_second_code(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    desktop.log_in(slow_turning.address)
    phone.open(slow_turning.address)
    desktop.add_phone(two_step=True)
    phone.scan(desktop.photograph(wait_for_turn=False))
    desktop.type_device_code(phone.bind_to_code())
    phone.button("code2 scan").wait_for(timeout=20_000)
    expect(desktop.page.locator("[data-kind=code2] svg")).to_be_visible()
    with desktop.page.expect_response(lambda response: "/code?form=" in response.url, timeout=20_000):
        phone.page.reload()
    phone.button("code2 scan").wait_for(timeout=20_000)
    expect(desktop.page.locator("[data-kind=code2] svg")).to_be_visible()
    write_film(phone.film, desktop.photograph(wait_for_turn=False))
    phone.button("code2 scan").click()
    phone.choose_pin()
    expect(desktop.heading("ready")).to_be_visible(timeout=20_000)
    phone.finish()


def test_pin_that_the_bank_unblocked_is_taken_when_the_customer_looks(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = begin(slow_turning, make_desktop, make_phone)
    phone.scan(desktop.photograph(wait_for_turn=False))
    desktop.type_device_code(phone.bind_to_code())
    phone.choose_pin()
    phone.finish()
    desktop.back_to_devices()
    binding = desktop.page.locator("[data-binding]").first.get_attribute("data-binding")
    phone.page.get_by_text("Claire Martin").click()
    phone.button("change pin").click()
    for told in ("4 tries left", "3 tries left", "2 tries left", "1 try left", "Your PIN opens again at"):
        phone.type_pin("518273")
        expect(phone.page.get_by_text(told)).to_be_visible(timeout=15_000)
    slow_turning.as_bank("POST", f"/api/v1/bindings/{binding}/unblock-pin")
    phone.page.go_back()
    phone.button("change pin").click()
    phone.type_pin(GOOD_PIN)
    expect(phone.page.get_by_role("heading", name="Choose a new PIN")).to_be_visible(timeout=15_000)
