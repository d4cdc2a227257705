"""Every page in both languages, light and dark: axe finds nothing serious, no policy is broken, and a picture is left
in tests/e2e/screenshots for a person to look at."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from camera import write_film
from gateway_process import GatewayProcess
from people import Desktop, Lang, Person, Phone
from playwright.sync_api import Page, expect

SCREENSHOTS = Path(__file__).parent / "screenshots"
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
Take = Callable[[Page, str], None]


def serious_findings(page: Page) -> list[str]:
    """Run axe in the page (through the inspector, since the page's policy allows no eval); return what matters."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text()})
    call = f"axe.run(document, {{runOnly: {json.dumps(TAGS)}}}).then(r => JSON.stringify(r.violations))"
    answer = session.send(
        "Runtime.evaluate", {"expression": call, "awaitPromise": True, "returnByValue": True}
    )
    session.detach()
    found = json.loads(answer["result"]["value"])
    return [
        f"{item['id']}: {node['target']} {node.get('failureSummary', '')}"
        for item in found
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"]
    ]


class Album:
    """Looks at one page after the other."""

    def __init__(self, take: Take, suffix: str) -> None:
        self._take, self._suffix = take, suffix
        self.findings: list[str] = []
        self.errors: list[str] = []

    def watch(self, page: Page) -> None:
        """Collect what the page complains of."""
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.errors.append(message.text)
                if message.type == "error" and "Content Security Policy" in message.text
                else None
            ),
        )

    def look(self, person: Person, name: str) -> None:
        """Take the picture and run axe."""
        person.page.wait_for_timeout(250)
        self._take(person.page, f"{name}-{self._suffix}")
        self.findings += [f"{name}: {finding}" for finding in serious_findings(person.page)]


@pytest.mark.parametrize(
    ("lang", "scheme"), [("fr", "light"), ("en", "dark"), ("fr", "dark"), ("en", "light")]
)
def test_every_page_is_accessible_and_has_its_picture(
    gateway: GatewayProcess,
    make_desktop: Callable[..., Desktop],
    make_phone: Callable[..., Phone],
    picture: Take,
    lang: Lang,
    scheme: str,
) -> None:
    desktop, phone = make_desktop(lang, scheme=scheme), make_phone(lang, scheme=scheme)
    album = Album(picture, f"{lang}-{scheme}")
    album.watch(desktop.page)
    album.watch(phone.page)

    desktop.page.goto(f"{gateway.address}/demo/")
    expect(desktop.button("login")).to_be_visible()
    album.look(desktop, "desktop-login")
    desktop.log_in(gateway.address, "Thomas Leroy")
    desktop.page.get_by_role("link", name=re.compile("Accounts|Comptes")).click()
    album.look(desktop, "desktop-accounts")
    desktop.page.get_by_role("link", name=desktop.text("devices")).click()
    expect(desktop.page.get_by_role("link", name=desktop.text("add"), exact=True)).to_be_visible()
    album.look(desktop, "desktop-devices")

    phone.open(gateway.address)
    album.look(phone, "phone-home-empty")
    phone.button("type a code").click()
    album.look(phone, "phone-typed")
    phone.page.go_back()

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
    phone.scan(desktop.photograph())
    expect(phone.button("yes")).to_be_visible(timeout=25_000)
    album.look(phone, "phone-confirm")
    code = phone.bind_to_code()
    album.look(phone, "phone-device-code")
    expect(desktop.page.locator("#digits")).to_be_visible(timeout=20_000)
    album.look(desktop, "desktop-device-code")
    desktop.type_device_code(code)
    phone.button("code2 scan").wait_for(timeout=20_000)
    album.look(phone, "phone-second-code")
    expect(desktop.symbol("colour")).to_be_visible(timeout=15_000)
    album.look(desktop, "desktop-second-code")
    write_film(phone.film, desktop.photograph(wait_for_turn=False))
    phone.button("code2 scan").click()
    expect(phone.heading("choose")).to_be_visible(timeout=20_000)
    album.look(phone, "phone-pin")
    phone.choose_pin()
    expect(desktop.heading("ready")).to_be_visible(timeout=20_000)
    album.look(desktop, "desktop-ready")
    expect(phone.heading("bound")).to_be_visible(timeout=20_000)
    album.look(phone, "phone-bound")
    phone.finish()
    album.look(phone, "phone-home")
    phone.page.get_by_text("Thomas Leroy").first.click()
    phone.page.wait_for_timeout(1000)
    album.look(phone, "phone-detail")
    desktop.back_to_devices()
    expect(desktop.page.locator("[data-binding]").first).to_be_visible(timeout=15_000)
    album.look(desktop, "desktop-devices-one")
    desktop.page.locator("[data-act=remove]").first.click()
    album.look(desktop, "desktop-remove")

    assert album.errors == []
    assert album.findings == []


def test_readable_api_page_is_served_locally(
    gateway: GatewayProcess, make_desktop: Callable[..., Desktop]
) -> None:
    desktop = make_desktop("en")
    hosts: set[str] = set()
    desktop.page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    desktop.page.goto(f"{gateway.address}/docs")
    expect(desktop.page.get_by_text("/api/v1/activations").first).to_be_visible(timeout=20_000)
    desktop.page.screenshot(path=SCREENSHOTS / "docs.png")
    assert hosts == {f"localhost:{gateway.port}"}
