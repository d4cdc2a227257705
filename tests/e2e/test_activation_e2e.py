"""A customer binds a phone: two real browsers, the phone's camera fed from the desktop's screen, the whole way."""

import re
from collections.abc import Callable

import pytest
from album import Album
from camera import write_film
from gateway_process import GatewayProcess
from people import GOOD_PIN, Desktop, Form, Lang, Phone, bind, meet
from playwright.sync_api import expect

MakeDesktop = Callable[..., Desktop]
MakePhone = Callable[..., Phone]


WAYS: list[tuple[Lang, Form, bool, bool]] = [
    ("fr", "colour", False, False),
    ("fr", "colour", True, True),
    ("fr", "qr", False, True),
    ("fr", "qr", True, False),
    ("en", "colour", False, True),
    ("en", "colour", True, False),
    ("en", "qr", False, False),
    ("en", "qr", True, True),
]
"""Eight of the sixteen ways, chosen so that any three of the four choices meet in every combination."""


@pytest.mark.parametrize(("lang", "form", "two_step", "classical"), WAYS)
def test_customer_binds_a_phone(
    gateway: GatewayProcess,
    make_desktop: MakeDesktop,
    make_phone: MakePhone,
    lang: Lang,
    form: Form,
    two_step: bool,
    classical: bool,
) -> None:
    desktop, phone = make_desktop(lang), make_phone(lang)
    desktop.log_in(gateway.address)
    phone.open(gateway.address)
    desktop.add_phone(form=form, two_step=two_step, classical=classical)
    bind(desktop, phone, form=form, two_step=two_step)
    desktop.back_to_devices()
    expect(desktop.page.locator("[data-binding]").first).to_contain_text(desktop.text("active"))
    phone.close_and_come_back()
    expect(phone.page.get_by_text("Claire Martin")).to_be_visible()
    expect(phone.page.get_by_text(phone.text("active"), exact=True)).to_be_visible(timeout=15_000)


def test_bank_is_told_by_webhook(
    gateway: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    meet(desktop, phone, gateway.address, "Thomas Leroy")
    bind(desktop, phone)
    desktop.back_to_devices()
    expect(desktop.page.get_by_text("was added").first).to_be_visible(timeout=20_000)


def test_typed_code_needs_two_steps_and_binds(
    gateway: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    meet(desktop, phone, gateway.address)
    steps = desktop.page.locator("tessera-activation .steps li")
    expect(steps).to_have_count(3)
    phone.button("type a code").click()
    phone.page.get_by_role("textbox").first.press_sequentially(re.sub(r"\W", "", desktop.typed()))
    expect(desktop.page.get_by_text("this page shows a second code")).to_be_visible()
    phone.button("use code").click()
    code = phone.bind_to_code()
    expect(steps).to_have_text(["Scan", "Type the code", "Second code", "Choose a PIN"], timeout=20_000)
    desktop.type_device_code(code)
    expect(desktop.page.get_by_role("heading", name="Type a second code on your phone")).to_be_focused()
    expect(desktop.page.get_by_text("Time left")).to_be_visible()
    typed = desktop.page.locator("[data-typed]")
    expect(typed).not_to_have_text("…")
    album = Album("en-light", desktop)
    album.look(desktop, "desktop-second-code-typed")
    album.assert_clean()
    phone.button("code2 type first").click(timeout=20_000)
    phone.page.get_by_role("textbox").first.press_sequentially(re.sub(r"\W", "", typed.inner_text()))
    phone.button("use code").click()
    phone.choose_pin()
    expect(desktop.heading("ready")).to_be_visible(timeout=20_000)
    phone.finish()


LISTEN = """(region) => {
    window.heard = [];
    const hear = () => {
        const text = region.textContent.trim();
        if (text !== "" && text !== window.heard.at(-1)) window.heard.push(text);
    };
    new MutationObserver(hear).observe(region, { subtree: true, childList: true, characterData: true });
}"""
"""Writes down what the live region says, as a screen reader would."""


@pytest.mark.parametrize("two_step", [False, True])
def test_each_change_is_heard_once_and_every_step_has_its_place(
    gateway: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, two_step: bool
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    desktop.log_in(gateway.address)
    phone.open(gateway.address)
    desktop.add_phone(two_step=two_step)
    live = desktop.page.locator("tessera-activation [role=status], tessera-activation [aria-live]")
    expect(live).to_have_count(1)
    expect(live).to_have_text("Scan this code with your phone")
    live.evaluate(LISTEN)
    names = ["Scan", "Type the code", "Second code", "Choose a PIN"]
    if not two_step:
        names.remove("Second code")
    steps = desktop.page.locator("tessera-activation .steps li")
    here = desktop.page.locator("tessera-activation .steps [aria-current=step]")
    expect(steps).to_have_text(names)
    expect(here).to_have_text("Scan")
    phone.scan(desktop.photograph())
    code = phone.bind_to_code()
    expect(here).to_have_text("Type the code", timeout=20_000)
    desktop.type_device_code(code)
    expect(here).to_have_text(names[2], timeout=20_000)
    if two_step:
        phone.button("code2 scan").wait_for(timeout=20_000)
        write_film(phone.film, desktop.photograph(wait_for_turn=False))
        phone.button("code2 scan").click()
    phone.choose_pin()
    expect(desktop.heading("ready")).to_be_focused(timeout=20_000)
    expect(desktop.page.locator("tessera-activation .steps .done")).to_have_count(len(names))
    expect(live).to_have_count(1)
    assert desktop.page.evaluate("window.heard") == [
        "A phone is there. Type the eight digits that it shows.",
        "Checking…",
    ]


def test_same_device_link_opens_the_phone_app_and_binds(
    gateway: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    meet(desktop, phone, gateway.address)
    desktop.photograph()
    link = desktop.link()
    assert f"{gateway.port}/a#" in link
    phone.page.goto(link)
    desktop.type_device_code(phone.bind_to_code())
    phone.choose_pin()
    phone.finish()


def test_phone_changes_its_pin_and_is_removed_on_the_phone(
    gateway: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    meet(desktop, phone, gateway.address, "Amelia Clarke")
    bind(desktop, phone)
    desktop.back_to_devices()
    expect(desktop.page.locator("[data-binding]")).to_have_count(1)
    page = phone.page
    page.get_by_text("Amelia Clarke").click()
    page.get_by_role("button", name="Change the PIN").click()
    phone.type_pin(GOOD_PIN)
    expect(page.get_by_role("heading", name="Choose a new PIN")).to_be_visible(timeout=15_000)
    phone.type_pin("518273")
    phone.type_pin("518273")
    expect(page.get_by_text("Your PIN is changed.")).to_be_visible(timeout=15_000)
    if not page.get_by_role("button", name="Remove this bank").is_visible():
        page.get_by_role("button", name=re.compile("Done|Back")).first.click()
    page.get_by_role("button", name="Remove this bank").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(phone.button("scan")).to_be_visible(timeout=15_000)
    expect(desktop.page.locator("[data-binding]")).to_have_count(0, timeout=15_000)


def test_desktop_renames_suspends_resumes_and_removes(
    gateway: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    meet(desktop, phone, gateway.address, "Amelia Clarke")
    bind(desktop, phone)
    desktop.back_to_devices()
    page = desktop.page
    device = page.locator("[data-binding]")
    expect(device).to_have_count(1)
    device.get_by_role("button", name=re.compile("^Rename")).click()
    page.get_by_label("Name of the phone").fill("Kitchen phone")
    page.get_by_role("button", name="Save").click()
    expect(device.get_by_role("heading", name="Kitchen phone")).to_be_visible()

    device.locator("[data-act=suspend]").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(device.get_by_text("Active", exact=True)).to_be_visible()
    device.locator("[data-act=suspend]").click()
    page.locator("[data-confirm]").click()
    expect(device.get_by_text("Suspended", exact=True)).to_be_visible()
    expect(phone.page.get_by_text("Suspended", exact=True)).to_be_visible(timeout=15_000)

    device.locator("[data-act=resume]").click()
    page.locator("[data-confirm]").click()
    expect(device.get_by_text("Active", exact=True)).to_be_visible()

    device.locator("[data-act=remove]").click()
    page.locator("[data-confirm]").click()
    expect(page.get_by_text("No phone yet")).to_be_visible()
    erase_only_when_sure(phone)


def erase_only_when_sure(phone: Phone) -> None:
    """On a phone that the bank removed: erase it there, after the question was answered by no and by yes."""
    page = phone.page
    page.get_by_text("Amelia Clarke").click()
    erase, dialog = page.get_by_role("button", name="Erase it here"), page.get_by_role("dialog")
    erase.click()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    erase.click()
    dialog.get_by_role("button", name="Erase on this phone").click()
    expect(phone.button("scan")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("Amelia Clarke")).to_have_count(0)
