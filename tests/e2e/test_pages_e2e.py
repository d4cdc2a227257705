"""Every page in both languages, light and dark: axe finds nothing serious, no policy is broken, and a picture is left
in tests/e2e/screenshots for a person to look at."""

import re
from collections.abc import Callable

import pytest
from album import Album
from camera import write_film
from gateway_process import GatewayProcess
from people import GOOD_PIN, Desktop, Lang, Phone
from playwright.sync_api import expect

MakeDesktop = Callable[..., Desktop]
MakePhone = Callable[..., Phone]
OTHER_PIN = "846205"
LOOKS = pytest.mark.parametrize(
    ("lang", "scheme"), [("fr", "light"), ("en", "dark"), ("fr", "dark"), ("en", "light")]
)


@LOOKS
def test_pages_on_the_way_are_accessible_and_have_their_pictures(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, lang: Lang, scheme: str
) -> None:
    desktop, phone = make_desktop(lang, scheme=scheme), make_phone(lang, scheme=scheme)
    album = Album(f"{lang}-{scheme}", desktop, phone)
    see_the_start(album, desktop, phone, slow_turning.address)
    see_the_codes(album, desktop, phone)
    see_the_second_code_and_the_pin(album, desktop, phone)
    see_the_bound_phone(album, desktop, phone)
    see_a_suspended_phone(album, desktop, phone, slow_turning)
    album.assert_clean()


def see_the_start(album: Album, desktop: Desktop, phone: Phone, address: str) -> None:
    """The bank's own pages; the phone app before anything is bound."""
    desktop.page.goto(f"{address}/demo/")
    expect(desktop.button("login")).to_be_visible()
    album.look(desktop, "desktop-login")
    desktop.log_in(address, "Thomas Leroy")
    desktop.page.get_by_role("link", name=re.compile("Accounts|Comptes")).click()
    album.look(desktop, "desktop-accounts")
    desktop.page.get_by_role("link", name=desktop.text("devices")).click()
    expect(desktop.page.get_by_role("link", name=desktop.text("add"), exact=True)).to_be_visible()
    album.look(desktop, "desktop-devices")

    phone.open(address)
    album.look(phone, "phone-home-empty")
    phone.button("type a code").click()
    album.look(phone, "phone-typed")
    phone.page.go_back()
    phone.button("paste a link").click()
    album.look(phone, "phone-paste")
    phone.page.go_back()


def see_the_codes(album: Album, desktop: Desktop, phone: Phone) -> None:
    """From the code on the screen to the second code."""
    desktop.add_phone(two_step=True)
    album.look(desktop, "desktop-code-colour")
    desktop.show("qr")
    album.look(desktop, "desktop-code-qr")
    desktop.page.get_by_text(re.compile("^(Colour code|Code couleur)$")).click()

    write_film(phone.film, None)
    phone.button("scan").or_(phone.button("add bank")).first.click()
    phone.page.wait_for_timeout(1500)
    album.look(phone, "phone-scan")
    phone.page.go_back()
    phone.scan(desktop.photograph(wait_for_turn=False))
    expect(phone.button("yes")).to_be_visible(timeout=25_000)
    album.look(phone, "phone-confirm")
    code = phone.bind_to_code()
    album.look(phone, "phone-device-code")
    phone.page.get_by_role(
        "button", name=re.compile("Cancel this activation|Annuler cette activation")
    ).click()
    album.look(phone, "phone-cancel", whole=False)
    phone.page.keyboard.press("Escape")
    expect(desktop.page.locator("#digits")).to_be_visible(timeout=20_000)
    album.look(desktop, "desktop-device-code")
    desktop.type_device_code(code)


def see_the_second_code_and_the_pin(album: Album, desktop: Desktop, phone: Phone) -> None:
    """The second code, scanned and typed; a PIN, weak and good."""
    phone.button("code2 type").wait_for(timeout=20_000)
    album.look(phone, "phone-second-code")
    expect(desktop.symbol("colour")).to_be_visible(timeout=15_000)
    album.look(desktop, "desktop-second-code")
    phone.button("code2 type").click()
    typed = re.sub(r"\W", "", desktop.typed())
    phone.page.get_by_role("textbox").first.press_sequentially(typed)
    album.look(phone, "phone-second-code-typed")
    phone.button("use code").click()
    expect(phone.heading("choose")).to_be_visible(timeout=20_000)
    album.look(phone, "phone-pin")
    phone.type_pin("123456")
    expect(phone.page.locator(".notice.bad")).to_be_visible()
    album.look(phone, "phone-pin-weak")
    phone.type_pin(GOOD_PIN)
    expect(phone.heading("again")).to_be_visible()
    album.look(phone, "phone-pin-again")
    phone.type_pin(OTHER_PIN)
    expect(phone.page.locator(".notice.bad")).to_be_visible()
    album.look(phone, "phone-pin-mismatch")


def see_the_bound_phone(album: Album, desktop: Desktop, phone: Phone) -> None:
    """Both sides once it is done; changing the PIN."""
    phone.choose_pin()
    expect(desktop.heading("ready")).to_be_visible(timeout=20_000)
    album.look(desktop, "desktop-ready")
    expect(phone.heading("bound")).to_be_visible(timeout=20_000)
    album.look(phone, "phone-bound")
    phone.finish()
    album.look(phone, "phone-home")
    phone.page.get_by_text("Thomas Leroy").first.click()
    expect(phone.button("change pin")).to_be_enabled(timeout=15_000)
    album.look(phone, "phone-detail")
    phone.page.get_by_role("button", name=re.compile("Remove this bank|Retirer cette banque")).click()
    album.look(phone, "phone-remove", whole=False)
    phone.page.keyboard.press("Escape")
    see_the_pin_changed(album, phone)
    desktop.back_to_devices()
    expect(desktop.page.locator("[data-binding]").first).to_be_visible(timeout=15_000)
    album.look(desktop, "desktop-devices-one")
    desktop.page.locator("[data-rename]").first.click()
    album.look(desktop, "desktop-rename")
    desktop.page.keyboard.press("Escape")


def see_the_pin_changed(album: Album, phone: Phone) -> None:
    """The present PIN, wrong and right; the new one."""
    phone.button("change pin").click()
    expect(phone.heading("present pin")).to_be_visible()
    album.look(phone, "phone-change-pin")
    phone.type_pin(OTHER_PIN)
    expect(phone.page.locator(".notice.bad")).to_be_visible(timeout=15_000)
    album.look(phone, "phone-change-pin-wrong")
    phone.type_pin(GOOD_PIN)
    expect(
        phone.page.get_by_role("heading", name=re.compile("Choose a new PIN|Choisissez un nouveau code PIN"))
    ).to_be_visible(timeout=15_000)
    album.look(phone, "phone-change-pin-new")
    phone.type_pin(OTHER_PIN)
    expect(phone.heading("again")).to_be_visible()
    phone.type_pin(OTHER_PIN)
    expect(phone.button("done")).to_be_visible(timeout=15_000)
    album.look(phone, "phone-pin-changed")
    phone.button("done").click()


def see_a_suspended_phone(album: Album, desktop: Desktop, phone: Phone, gateway: GatewayProcess) -> None:
    """Suspended by the customer, who may resume it; then by the bank, and only the bank may; removed."""
    device = desktop.page.locator("[data-binding]:has([data-act=suspend])").first
    binding = device.get_attribute("data-binding")
    device = desktop.page.locator(f"[data-binding={binding}]")
    device.locator("[data-act=suspend]").click()
    album.look(desktop, "desktop-suspend", whole=False)
    desktop.page.locator("[data-confirm]").click()
    expect(device.get_by_text(desktop.text("suspended"), exact=True)).to_be_visible()
    expect(device.locator("[data-act=resume]")).to_be_visible()
    album.look(desktop, "desktop-devices-suspended")
    expect(phone.page.get_by_text(phone.text("suspended"), exact=True).first).to_be_visible(timeout=15_000)
    album.look(phone, "phone-suspended")

    gateway.as_bank("POST", f"/api/v1/bindings/{binding}/suspend")
    expect(device.locator("[data-held=bank]")).to_be_visible(timeout=15_000)
    expect(device.locator("[data-act=resume]")).to_have_count(0)
    album.look(desktop, "desktop-devices-held")
    device.locator("[data-act=remove]").click()
    album.look(desktop, "desktop-remove", whole=False)
    desktop.page.locator("[data-confirm]").click()
    expect(device).to_have_count(0)


@LOOKS
def test_pages_of_trouble_are_accessible_and_have_their_pictures(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, lang: Lang, scheme: str
) -> None:
    desktop, phone = make_desktop(lang, scheme=scheme), make_phone(lang, scheme=scheme)
    thief = make_phone(lang, scheme=scheme, camera="denied")
    album = Album(f"{lang}-{scheme}", desktop, phone, thief)
    desktop.log_in(slow_turning.address)
    desktop.add_phone()
    phone.open(slow_turning.address)
    see_wrong_codes(album, desktop, phone)
    desktop.button("restart").click()
    see_a_second_phone(album, desktop, phone, thief, slow_turning.address)
    desktop.button("restart").click()
    see_a_bank_cancel(album, desktop, phone, slow_turning)
    album.assert_clean()


def see_wrong_codes(album: Album, desktop: Desktop, phone: Phone) -> None:
    """A wrong device code once, then until the activation is refused."""
    phone.page.goto(desktop.link())
    right = phone.bind_to_code().replace(" ", "")
    wrong = f"{(int(right) + 1) % 10**8:08d}"
    desktop.type_device_code(wrong)
    expect(desktop.page.locator("#problem")).to_have_text(re.compile("2"))
    expect(phone.page.locator(".notice.bad")).to_be_visible(timeout=15_000)
    album.look(desktop, "desktop-wrong-code")
    album.look(phone, "phone-wrong-code")
    desktop.type_device_code(wrong)
    expect(desktop.page.locator("#problem")).to_have_text(re.compile("1|One"))
    desktop.type_device_code(wrong)
    expect(desktop.button("restart")).to_be_visible(timeout=15_000)
    album.look(desktop, "desktop-end-refused")
    expect(phone.button("to start")).to_be_visible(timeout=15_000)
    album.look(phone, "phone-end-refused")
    phone.button("to start").click()


def see_a_second_phone(album: Album, desktop: Desktop, phone: Phone, thief: Phone, address: str) -> None:
    """The phone goes away; another one, whose camera is refused, comes with the same code."""
    expect(desktop.symbol("colour")).to_be_visible(timeout=15_000)
    link = desktop.link()
    phone.page.goto(link)
    phone.bind_to_code()
    expect(desktop.page.locator("#digits")).to_be_visible(timeout=20_000)
    phone.page.goto("about:blank")
    expect(desktop.page.locator(".notice.warn")).to_be_visible(timeout=20_000)
    album.look(desktop, "desktop-phone-away")

    thief.open(address)
    thief.button("scan").click()
    expect(thief.button("retry")).to_be_visible(timeout=15_000)
    album.look(thief, "phone-camera-refused")
    thief.button("paste a link").click()
    thief.page.get_by_role("textbox").fill(link)
    thief.button("use link").click()
    expect(desktop.button("restart")).to_be_visible(timeout=20_000)
    album.look(desktop, "desktop-end-contested")
    expect(thief.button("to start")).to_be_visible(timeout=15_000)
    album.look(thief, "phone-end-other-phone")


def see_a_bank_cancel(album: Album, desktop: Desktop, phone: Phone, gateway: GatewayProcess) -> None:
    """All goes well until the bank cancels."""
    expect(desktop.symbol("colour")).to_be_visible(timeout=15_000)
    phone.page.goto(desktop.link())
    desktop.type_device_code(phone.bind_to_code())
    expect(desktop.heading("pin on phone")).to_be_visible(timeout=20_000)
    album.look(desktop, "desktop-pin")
    activation = desktop.page.locator("tessera-activation").get_attribute("activation")
    gateway.as_bank("POST", f"/api/v1/activations/{activation}/cancel")
    expect(desktop.button("restart")).to_be_visible(timeout=15_000)
    album.look(desktop, "desktop-end-cancelled")
    expect(phone.button("to start")).to_be_visible(timeout=15_000)
    album.look(phone, "phone-end-cancelled")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_api_page_is_accessible_and_served_locally(
    gateway: GatewayProcess, make_desktop: MakeDesktop, scheme: str
) -> None:
    desktop = make_desktop("en", scheme=scheme)
    album = Album(scheme, desktop)
    hosts: set[str] = set()
    desktop.page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    desktop.page.goto(f"{gateway.address}/docs")
    expect(desktop.page.get_by_text("/api/v1/activations").first).to_be_visible(timeout=20_000)
    album.look(desktop, "docs", whole=False)
    assert hosts == {f"localhost:{gateway.port}"}
    album.assert_clean()
