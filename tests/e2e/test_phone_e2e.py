"""What the phone app keeps and tells by itself: interrupted activations, the PIN changed by keyboard, its own name, a
bank removed."""

from collections.abc import Callable

from album import Album
from gateway_process import GatewayProcess
from people import GOOD_PIN, Desktop, Phone
from playwright.sync_api import expect

MakeDesktop = Callable[..., Desktop]
MakePhone = Callable[..., Phone]
UNDER_WAY = "is under way"


def wrong(code: str) -> str:
    """Return other digits than those."""
    return f"{(int(code.replace(' ', '')) + 1) % 10**8:08d}"


def begin(gateway: GatewayProcess, desktop: Desktop, phone: Phone, user: str = "Claire Martin") -> str:
    """Have the phone show the digits of a fresh activation; return them."""
    desktop.log_in(gateway.address, user)
    desktop.add_phone()
    phone.scan(desktop.photograph(wait_for_turn=False))
    code = phone.bind_to_code()
    expect(desktop.page.locator("#digits")).to_be_visible(timeout=20_000)
    return code


def test_phone_offers_no_activation_that_was_shown_to_be_over(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    phone.open(slow_turning.address)
    desktop.type_device_code(wrong(begin(slow_turning, desktop, phone)))
    expect(phone.page.get_by_text("2 tries left")).to_be_visible()
    phone.page.reload()
    expect(phone.page.get_by_text("2 tries left")).to_be_visible(timeout=20_000)
    code = phone.device_code()
    for left in ("One try left", "Three wrong codes"):
        desktop.type_device_code(wrong(code))
        expect(desktop.page.get_by_text(left).first).to_be_visible(timeout=15_000)
    expect(phone.button("to start")).to_be_visible(timeout=15_000)
    phone.page.reload()
    expect(phone.button("scan")).to_be_visible()
    expect(phone.page.get_by_text(UNDER_WAY)).to_have_count(0)


def test_reload_takes_up_the_activation_in_front_and_others_can_be_discarded(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    older, newer, phone = make_desktop("en"), make_desktop("en"), make_phone("en")
    phone.open(slow_turning.address)
    begin(slow_turning, older, phone)
    phone.page.get_by_role("button", name="Back", exact=True).click()
    expect(phone.page.get_by_text(UNDER_WAY)).to_have_count(1)
    expect(phone.page.get_by_text("Begun at")).to_have_count(1)
    newer.type_device_code(begin(slow_turning, newer, phone, "Thomas Leroy"))
    expect(phone.heading("choose")).to_be_visible(timeout=20_000)
    phone.page.reload()
    expect(phone.heading("choose")).to_be_visible(timeout=20_000)
    phone.page.get_by_role("button", name="Back", exact=True).click()
    banners = phone.page.locator(".notice", has_text=UNDER_WAY)
    expect(banners).to_have_count(2)
    expect(banners.first).to_contain_text("Thomas Leroy")
    album = Album("en-light", phone)
    album.look(phone, "phone-interrupted")
    banners.last.get_by_role("button", name="Discard").click()
    album.look(phone, "phone-discard", whole=False)
    phone.page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(banners).to_have_count(1)
    expect(phone.page.get_by_text("was discarded.")).to_be_visible()
    album.look(phone, "phone-discarded")
    album.assert_clean()
    expect(older.page.get_by_role("heading", name="This was cancelled")).to_be_visible(timeout=15_000)
    banners.get_by_role("button", name="Resume").click()
    phone.choose_pin()
    phone.finish()


def test_phone_is_named_changes_its_pin_by_keyboard_and_says_what_was_removed(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    page = phone.page
    phone.open(slow_turning.address)
    desktop.log_in(slow_turning.address, "Amelia Clarke")
    desktop.add_phone()
    phone.scan(desktop.photograph(wait_for_turn=False))
    page.locator("summary", has_text="This phone’s name").click(timeout=25_000)
    name = page.get_by_role("textbox", name="This phone’s name")
    expect(name).to_have_value("Chrome on Linux")
    album = Album("en-light", phone)
    album.look(phone, "phone-confirm-name")
    name.fill("Amelia’s own")
    desktop.type_device_code(phone.bind_to_code())
    phone.choose_pin()
    phone.finish()
    desktop.back_to_devices()
    expect(desktop.page.locator("[data-binding]")).to_contain_text("Amelia’s own", timeout=15_000)

    page.get_by_text("Amelia Clarke").click()
    phone.button("change pin").click()
    expect(phone.heading("present pin")).to_be_visible()
    for digit in "518273":
        page.get_by_role("button", name=digit, exact=True).click()
    expect(page.get_by_text("4 tries left")).to_be_visible(timeout=15_000)
    page.keyboard.type(GOOD_PIN)
    expect(page.get_by_role("heading", name="Choose a new PIN")).to_be_visible(timeout=15_000)
    phone.type_pin(GOOD_PIN)
    expect(page.get_by_text("That is your PIN already")).to_be_visible()
    album.look(phone, "phone-change-pin-same")
    album.assert_clean()
    page.keyboard.type("518273")
    expect(phone.heading("again")).to_be_visible()
    page.keyboard.type("518273")
    phone.button("done").click(timeout=15_000)

    bank = page.locator("h1").inner_text()
    page.get_by_role("button", name="Remove this bank").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status").filter(has_text=f"{bank} was removed from this phone.")).to_be_visible(
        timeout=15_000
    )
    phone.button("scan").click()
    expect(page.get_by_text("was removed from this phone")).to_have_count(0)
