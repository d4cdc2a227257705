"""The desktop's side in the hand: where the focus is, what narrow windows show, what stands where nothing is."""

import re
from collections.abc import Callable

import pytest
from album import Album
from gateway_process import GatewayProcess
from people import Desktop, Lang, Phone, bind, meet
from playwright.sync_api import Locator, expect

MakeDesktop = Callable[..., Desktop]
MakePhone = Callable[..., Phone]


def scan(desktop: Desktop, phone: Phone, address: str) -> str:
    """Bring both to the eight digits; return them."""
    meet(desktop, phone, address)
    phone.scan(desktop.photograph(wait_for_turn=False))
    return phone.bind_to_code().replace(" ", "")


@pytest.mark.parametrize("by", ["Enter", "click"])
def test_focus_goes_where_the_next_thing_is_done(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone, by: str
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    right = scan(desktop, phone, slow_turning.address)
    wrong = f"{(int(right) + 1) % 10**8:08d}"
    field = desktop.page.locator("#digits")

    def confirm() -> None:
        if by == "Enter":
            field.press("Enter")
        else:
            desktop.button("confirm").click()

    expect(field).to_be_focused(timeout=20_000)
    desktop.page.keyboard.type(wrong[:3])
    confirm()
    expect(desktop.page.locator("#problem")).to_have_text("Type all eight digits.")
    expect(field).to_be_focused()
    for told in ("2 tries left", "One try left"):
        field.fill(wrong)
        confirm()
        expect(desktop.page.get_by_text(told)).to_be_visible()
        expect(field).to_be_focused()
        expect(field).to_have_value("")
    desktop.page.keyboard.type(wrong)
    confirm()
    expect(desktop.page.get_by_role("heading", name="Three wrong codes")).to_be_focused()


def test_focus_is_left_to_who_types_elsewhere(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    meet(desktop, phone, slow_turning.address)
    desktop.page.evaluate("document.body.append(document.createElement('textarea'))")
    desktop.page.locator("textarea").focus()
    phone.scan(desktop.photograph(wait_for_turn=False))
    phone.bind_to_code()
    expect(desktop.page.locator("#digits")).to_be_visible(timeout=20_000)
    expect(desktop.page.locator("textarea")).to_be_focused()


def test_phone_that_comes_back_has_used_no_other_code(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en"), make_phone("en")
    scan(desktop, phone, slow_turning.address)
    expect(desktop.page.locator("#digits")).to_be_focused(timeout=20_000)
    phone.page.reload()
    expect(desktop.page.get_by_text("The phone shows new digits")).to_be_visible(timeout=20_000)
    expect(desktop.page.locator("#digits")).to_be_focused()
    desktop.back_to_devices()
    told = desktop.page.locator(".notices li")
    expect(told.first).to_contain_text("is back.", timeout=20_000)
    expect(told.nth(1)).to_contain_text("used a code.")


def test_customer_without_a_phone_is_invited_and_finds_the_way_back(
    gateway: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("fr"), make_phone("fr")
    page = desktop.page
    desktop.log_in(gateway.address, "Amelia Clarke")
    phone.open(gateway.address)
    device = page.locator("[data-binding]")
    album = Album("fr-desktop", desktop)
    page.goto(f"{gateway.address}/demo/#/rien")
    expect(page.get_by_role("heading", name="Cette page n’existe pas")).to_be_focused()
    album.look(desktop, "desktop-lost")
    page.get_by_role("link", name="Vers mes comptes").click()
    expect(page.get_by_role("heading", name="Vous n’avez pas encore de téléphone ici")).to_be_visible()
    album.look(desktop, "desktop-accounts-phoneless")
    desktop.add_phone()
    bind(desktop, phone)
    album.look(desktop, "desktop-ready-next")
    page.get_by_role("link", name="Voir mes appareils").click()
    expect(device).to_have_count(1)
    page.get_by_role("link", name="Comptes").click()
    expect(page.get_by_role("heading", name="Bonjour, Amelia Clarke")).to_be_visible()
    expect(page.get_by_role("heading", name="Vous n’avez pas encore de téléphone ici")).to_have_count(0)

    page.get_by_role("link", name="Mes appareils").click()
    name = device.get_by_role("heading").inner_text()
    device.get_by_role("button", name=re.compile("^Renommer")).click()
    field = page.get_by_label("Nom du téléphone")
    field.fill("  ")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_role("alert").filter(has_text="Saisissez un nom")).to_be_visible()
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    album.look(desktop, "desktop-nameless")
    page.keyboard.type("x")
    expect(field).to_have_attribute("aria-invalid", "false")
    page.keyboard.press("Escape")
    expect(device.get_by_role("heading", name=name)).to_be_visible()

    device.get_by_role("button", name="Retirer").click()
    expect(page.get_by_role("heading", name=re.compile(r"^Retirer .*\?$"))).to_be_visible()
    page.locator("[data-confirm]").click()
    expect(device).to_have_count(0)
    expect(page.locator("tessera-devices [aria-live]")).to_have_text(f"{name} a été retiré.")
    album.assert_clean()


def rows(parts: Locator) -> int:
    """Return how many rows these elements stand in."""
    middles = [
        box["y"] + box["height"] / 2 for box in map(Locator.bounding_box, parts.all()) if box is not None
    ]
    return len({round(middle / 20) for middle in middles})


MARGINS = """(labels) => labels.map((label) => {
    const words = document.createRange();
    words.selectNode([...label.childNodes].find((node) => node.nodeType === 3 && node.data.trim() !== ""));
    const [text, ground] = [words.getBoundingClientRect(), label.getBoundingClientRect()];
    return Math.min(text.top - ground.top, ground.bottom - text.bottom);
})"""
"""How far the words of each label keep from its border."""


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_narrow_window_keeps_its_head_low_and_its_words_whole(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, lang: Lang
) -> None:
    desktop = make_desktop(lang)
    desktop.page.set_viewport_size({"width": 390, "height": 844})
    desktop.log_in(slow_turning.address, "Thomas Leroy")
    desktop.add_phone()
    assert rows(desktop.page.locator("header .bar > *")) <= 2
    desktop.page.set_viewport_size({"width": 320, "height": 700})
    assert desktop.page.evaluate("document.documentElement.scrollWidth") <= 320
    menu = desktop.page.locator("nav a, nav button").evaluate_all(
        "(items) => items.map((item) => item.getBoundingClientRect().right)"
    )
    assert len(menu) == 5
    assert max(menu) <= 320, "all of the menu is in sight"
    margins = desktop.page.locator(".forms label").evaluate_all(MARGINS)
    assert len(margins) == 2
    assert min(margins) >= 6


def test_what_cannot_be_pressed_does_not_answer_the_pointer(
    slow_turning: GatewayProcess, make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    desktop, phone = make_desktop("en", scheme="dark"), make_phone("en")
    right = scan(desktop, phone, slow_turning.address)
    desktop.page.locator("#digits").fill(right)
    button = desktop.button("confirm")
    button.hover()
    grounds = button.evaluate(
        """(button) => {
            const ground = () => getComputedStyle(button).backgroundColor;
            button.style.transition = "none";
            const hovered = ground();
            button.setAttribute("aria-disabled", "true");
            const off = ground();
            button.removeAttribute("aria-disabled");
            button.disabled = true;
            return [hovered, off, ground()];
        }"""
    )
    assert grounds[0] != grounds[1]
    assert grounds[1] == grounds[2] == "rgb(34, 44, 50)"
