"""The demo bank's pages on which a phone is asked, in both languages, light and dark, at 320 and 1280 pixels: axe finds
nothing serious, nothing scrolls sideways, and pictures are left in tests/e2e/screenshots."""

import json
from collections.abc import Callable

import pytest
from album import Album
from gateway_process import GatewayProcess
from people import Desktop, Phone, bind, meet
from playwright.sync_api import Locator, Page, Route, expect

MakeDesktop = Callable[..., Desktop]
MakePhone = Callable[..., Phone]
USER = "Claire Martin"
LONG = "Société coopérative d’électrification rurale de Haute-Provence et des Alpes"


@pytest.fixture
def bank(own_gateway: Callable[..., GatewayProcess]) -> GatewayProcess:
    """A gateway whose logins and payments wait for all the pictures, while changes of contact data soon expire."""
    gateway = own_gateway()
    for kind, life in (("login", 600), ("payment", 600), ("contact", 10)):
        path = f"/api/v1/approval-policies/{kind}"
        gateway.as_bank("PUT", path, gateway.as_bank("GET", path) | {"life_s": life})
    return gateway


def patch(page: Page, address: str, **members: object) -> None:
    """Have an answer of the gateway or the bank say something else, from now on."""

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=json.dumps(response.json() | members))

    page.route(address, answer)


def test_pages_that_ask_a_phone_are_accessible_and_fit_narrow_windows(
    bank: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    album = Album("asking", desktop)
    meet(desktop, phone, bank.address, USER)
    bind(desktop, phone)
    pay_by_keyboard(desktop, phone)
    see_the_forms(album, desktop)
    see_a_payment_without_network(album, desktop, phone)
    see_how_requests_end(album, desktop, phone)
    see_what_cannot_be_reached(album, desktop, phone, bank)
    see_messages(album, desktop)
    see_devices(album, desktop, phone)
    see_a_session_end(album, desktop)
    see_logins(album, desktop, phone, bank.address)
    album.assert_clean()


OUTLINE = """() => {
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(at);
    return outlineStyle === "none" ? 0 : parseFloat(outlineWidth);
}"""
"""How wide the line is around what has the focus."""


def tab_to(place: Locator) -> None:
    """Press Tab once, and see that the focus comes to that place and shows there."""
    place.page.keyboard.press("Tab")
    expect(place).to_be_focused()
    assert place.page.evaluate(OUTLINE) >= 2


def pay_by_keyboard(desktop: Desktop, phone: Phone) -> None:
    """Without a pointer: through the form, to the code for a phone without a network and back, to the end."""
    page, keys = desktop.page, desktop.page.keyboard
    page.evaluate("location.hash = '#/transfer'")
    page.locator("#f-payee").focus()
    for name, text in (("payee", "Zoë"), ("account", "12345678"), ("amount", "5")):
        expect(page.locator(f"#f-{name}")).to_be_focused()
        keys.type(text)
        keys.press("Tab")
    tab_to(page.locator("#f-purpose"))
    tab_to(desktop.button("pay"))
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Look at your phone")).to_be_focused()
    keys.press("Escape")
    tab_to(desktop.button("no network"))
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Scan this code with your phone")).to_be_focused()
    expect(desktop.symbol("colour")).to_be_visible(timeout=15_000)
    tab_to(page.locator("#digits"))
    keys.type("1234")
    keys.press("Enter")
    expect(page.get_by_text("Type all eight digits.")).to_be_visible()
    expect(page.locator("#digits")).to_be_focused()
    tab_to(desktop.button("confirm"))
    tab_to(page.get_by_role("button", name="My phone has a network after all"))
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Look at your phone")).to_be_focused()
    tab_to(desktop.button("no network"))
    tab_to(page.locator("[data-cancel]"))
    keys.press("Enter")
    expect(page.get_by_role("heading", name="This was cancelled")).to_be_focused()
    phone.expect_end("cancelled")
    tab_to(page.get_by_role("button", name="Start again"))
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Pay somebody")).to_be_focused()
    expect(page.locator("#f-payee")).to_have_value("Zoë")


def see_the_forms(album: Album, desktop: Desktop) -> None:
    """Accounts with contact data; a payment's form, empty, wrong, and of more than a new phone may approve."""
    page = desktop.page
    desktop.page.evaluate("location.hash = '#/accounts'")
    expect(page.locator("[data-form=contact]")).to_be_visible()
    album.turn(desktop, "asking-accounts")
    desktop.begin_payment(account="FR76 3000 4000 0312 3456 7890 144")
    expect(page.locator("#f-account")).to_be_focused()
    album.turn(desktop, "asking-payment-wrong")
    desktop.begin_payment(amount="1500")
    expect(page.locator("[data-trouble=phoneCannot]")).to_be_visible()
    album.turn(desktop, "asking-phone-cannot")


def see_a_payment_without_network(album: Album, desktop: Desktop, phone: Phone) -> None:
    """A payment that waits; its code, for one of two phones; digits that are wrong; taken back."""
    page = desktop.page
    desktop.begin_payment(payee=LONG, amount="812.34")
    expect(page.locator("tessera-approval h2")).to_be_visible()
    album.turn(desktop, "asking-payment")
    two = [
        {"id": "bnd_1", "name": "Android"},
        {"id": "bnd_2", "name": "The telephone of my grandmother in Aix-en-Provence"},
    ]
    patch(page, "**/offline-code*", bindings=two)
    desktop.show_offline_code()
    album.turn(desktop, "asking-payment-offline")
    page.unroute_all()
    desktop.type_offline_answer("00000000")
    expect(page.get_by_text("4 tries left.")).to_be_visible()
    album.turn(desktop, "asking-payment-digits-wrong")
    page.locator("[data-cancel]").click()
    desktop.expect_end("cancelled")
    phone.expect_end("cancelled")
    album.turn(desktop, "asking-end-cancelled")


def see_how_requests_end(album: Album, desktop: Desktop, phone: Phone) -> None:
    """Contact data in vain; a payment refused, another approved."""
    page = desktop.page
    desktop.page.evaluate("location.hash = '#/accounts'")
    page.locator("#f-value").fill("c.martin@example.org")
    page.locator("[data-form=contact] button").click()
    expect(page.locator("tessera-approval h2")).to_be_visible()
    album.turn(desktop, "asking-contact")
    expect(page.locator("[data-end=expired]")).to_be_visible(timeout=20_000)
    phone.expect_end("expired")
    album.turn(desktop, "asking-end-expired")
    desktop.begin_payment(payee=LONG, amount="7")
    phone.expect_ask()
    phone.button("refuse").click()
    phone.expect_end("refused")
    desktop.expect_end("refused")
    album.turn(desktop, "asking-end-refused")
    page.get_by_role("button", name="Start again").click()
    desktop.begin_payment(amount="9", account="12345678")
    phone.approve()
    phone.expect_end("approved")
    desktop.expect_transfer("approved")
    album.turn(desktop, "asking-payments")


def see_what_cannot_be_reached(album: Album, desktop: Desktop, phone: Phone, bank: GatewayProcess) -> None:
    """A request that cannot be read, one whose connection is lost, and a bank that does not answer."""
    page = desktop.page
    page.route("**/api/v1/approvals/*", lambda route: route.abort())
    desktop.begin_payment(amount="5")
    expect(page.locator("tessera-approval [role=alert] button")).to_be_visible()
    album.turn(desktop, "asking-unreadable")
    page.unroute_all()
    page.locator("tessera-approval [role=alert] button").click()
    expect(page.locator("tessera-approval h2")).to_be_visible()
    bank.stop(kill=True)
    expect(page.locator("tessera-approval .notice.warn")).to_be_visible(timeout=20_000)
    album.turn(desktop, "asking-lost")
    bank.start()
    page.locator("[data-cancel]").click()
    desktop.expect_end("cancelled")
    phone.expect_end("cancelled")
    page.get_by_role("button", name="Start again").click()
    page.route("**/demo/api/transfers", lambda route: route.abort())
    desktop.begin_payment(amount="5")
    expect(page.locator("[data-trouble=failed]")).to_be_visible()
    album.turn(desktop, "asking-bank-away")
    page.unroute_all()


def see_messages(album: Album, desktop: Desktop) -> None:
    """The bank's desk writes; what it wrote, unread and read."""
    page = desktop.page
    page.evaluate("location.hash = '#/messages'")
    page.get_by_text("The bank’s desk").click()
    page.locator("#f-title").fill(LONG)
    page.locator("#f-body").fill(f"{LONG}\nhttps://www.example.org/{'a' * 80}")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("[data-said=done_desk]")).to_be_visible()
    expect(page.locator("tessera-messages details")).to_have_count(2, timeout=15_000)
    page.locator("tessera-messages summary").first.click()
    expect(page.locator("tessera-messages .unread")).to_have_count(1, timeout=15_000)
    album.turn(desktop, "asking-messages")


def see_devices(album: Album, desktop: Desktop, phone: Phone) -> None:
    """A phone that may be moved; the phone at hand is asked first, and then the code."""
    page = desktop.page
    page.get_by_role("link", name=desktop.text("devices")).click()
    expect(page.locator("[data-binding]")).to_have_count(1, timeout=15_000)
    album.turn(desktop, "asking-devices")
    page.get_by_role("link", name=desktop.text("move"), exact=True).click()
    phone.expect_ask()
    album.turn(desktop, "asking-device")
    phone.approve()
    phone.expect_end("approved")
    expect(desktop.symbol("colour")).to_be_visible(timeout=20_000)
    album.turn(desktop, "asking-move")


def see_a_session_end(album: Album, desktop: Desktop) -> None:
    """The last minute of a session that nobody uses, and its end."""
    page = desktop.page
    page.evaluate("location.hash = '#/transfer'")
    patch(page, "**/demo/api/session", idle_s=59)
    page.reload()
    expect(page.locator("[data-idle]")).to_be_visible()
    album.turn(desktop, "asking-idle")
    page.unroute_all()
    patch(page, "**/demo/api/session", idle_s=1)
    page.reload()
    expect(page.locator("[data-trouble=idle]")).to_be_visible(timeout=10_000)
    page.unroute_all()
    album.turn(desktop, "asking-idle-end")


def see_logins(album: Album, desktop: Desktop, phone: Phone, address: str) -> None:
    """A login with the number, chosen and typed; with the code; failed, reported, and asked for too often."""
    page = desktop.page
    patch(page, "**/api/v1/approvals/*", number_match="type")
    desktop.begin_login(address, USER)
    expect(page.get_by_text("Type this number")).to_be_visible()
    album.turn(desktop, "asking-login-typed")
    page.unroute_all()
    page.locator("[data-cancel]").click()
    phone.expect_end("cancelled")
    desktop.begin_login(address, USER)
    number = desktop.number()
    album.turn(desktop, "asking-login")
    desktop.show_offline_code()
    album.turn(desktop, "asking-login-offline")
    expect(phone.page.locator("ts-number-choice button")).to_have_count(3)
    offered = [int(text) for text in phone.page.locator("ts-number-choice button").all_inner_texts()]
    phone.approve(number=next(each for each in offered if each != number))
    desktop.expect_end("failed")
    phone.expect_end("failed")
    album.turn(desktop, "asking-end-failed")
    desktop.begin_login(address, USER)
    phone.expect_ask()
    phone.button("report").click()
    phone.expect_end("reported")
    desktop.expect_end("reported")
    album.turn(desktop, "asking-end-reported")
    page.get_by_role("button", name="Start again").click()
    desktop.button("login").click()
    expect(page.locator("[data-trouble=tooOften]")).to_be_visible()
    album.turn(desktop, "asking-too-often")
