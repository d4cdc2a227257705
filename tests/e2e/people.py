"""The two sides of an activation as a person meets them: `Desktop` is the customer at the demo bank, `Phone` the phone
app whose camera plays what the desktop shows. Both find things by what is written on them, in either language."""

import contextlib
import io
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from camera import write_film
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from texts import TEXT
from texts import Lang as Lang

Form = Literal["colour", "qr"]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
GOOD_PIN = "739154"
PATIENCE_MS = 40_000
"""How long is waited for what comes after a connection that was lost."""


class Person:
    """One language, one page."""

    def __init__(self, page: Page, lang: Lang) -> None:
        self.page = page
        self.lang = lang

    def text(self, key: str) -> str:
        """Return what is written there in this person's language."""
        return TEXT[key][self.lang]

    def button(self, key: str) -> Locator:
        """Find a button by its text."""
        return self.page.get_by_role("button", name=self.text(key), exact=True)

    def expect_said(self, key: str) -> None:
        """See a sentence on the page."""
        expect(self.page.get_by_text(self.text(key), exact=True)).to_be_visible(timeout=PATIENCE_MS)

    def heading(self, key: str) -> Locator:
        """Find a heading by its text."""
        return self.page.get_by_role("heading", name=self.text(key), exact=True)


class Desktop(Person):
    """The customer's desktop browser at the demo bank."""

    @classmethod
    def open(cls, browser: Browser, lang: Lang, *, scheme: Literal["light", "dark"] = "light") -> Self:
        """Open a browser of its own, that knows nothing of the others."""
        context = browser.new_context(
            locale=lang,
            viewport={"width": 1280, "height": 800},
            device_scale_factor=2,
            color_scheme=scheme,
        )
        return cls(context.new_page(), lang)

    def log_in(self, origin: str, user: str = "Claire Martin") -> None:
        """Open the demo bank and log in."""
        self.page.goto(f"{origin}/demo/")
        self.page.get_by_label(user).check()
        self.page.locator("#password").fill("tessera")
        self.button("login").click()
        self.page.get_by_role("link", name=self.text("devices")).click()

    def begin_login(self, origin: str, user: str = "Claire Martin") -> None:
        """Open the demo bank and ask to log in, as a customer who has a phone: no password is typed."""
        self.page.goto(f"{origin}/demo/")
        self.page.get_by_label(user).check()
        self.button("login").click()
        self.expect_waiting()

    def expect_waiting(self) -> None:
        """See that the page waits for the phone."""
        expect(self.page.locator("tessera-approval h2")).to_be_visible(timeout=15_000)

    def number(self) -> int:
        """Return the two digits that are to be found on the phone."""
        shown = self.page.locator("[data-number]").get_attribute("data-number", timeout=15_000) or ""
        assert re.fullmatch(r"[1-9]\d", shown), shown
        return int(shown)

    def expect_logged_in(self) -> None:
        """See the menu of a customer."""
        expect(self.button("log out")).to_be_visible(timeout=PATIENCE_MS)

    def expect_end(self, state: str) -> None:
        """See how a request ended."""
        expect(self.page.locator(f"[data-end={state}]")).to_be_visible(timeout=PATIENCE_MS)

    def begin_payment(self, **fields: str) -> dict[str, str]:
        """Fill in the form of a payment and send it; return what was typed."""
        typed = {
            "payee": "Électricité de Provence",
            "account": "FR76 3000 4000 0312 3456 7890 143",
            "amount": "1234.50" if self.lang == "en" else "1234,50",
            "purpose": "Facture 2026-114",
            **fields,
        }
        self.page.evaluate("location.hash = '#/transfer'")
        for name, text in typed.items():
            self.page.locator(f"#f-{name}").fill(text)
        self.page.locator("[data-form=transfer]").get_by_role(
            "button", name=self.text("pay"), exact=True
        ).click()
        return typed

    def expect_transfer(self, state: str) -> None:
        """See the newest payment in that state."""
        expect(self.page.locator("[data-transfer]").first).to_have_attribute(
            "data-transfer", state, timeout=PATIENCE_MS
        )

    def show_offline_code(self) -> None:
        """Ask for the code of a phone without a network."""
        self.button("no network").click()
        expect(self.symbol("colour")).to_be_visible(timeout=15_000)

    def type_offline_answer(self, digits: str) -> None:
        """Type the eight digits and confirm."""
        self.page.locator("tessera-approval #digits").fill(digits)
        self.button("confirm").click()

    def add_phone(self, *, form: Form = "colour", two_step: bool = False, classical: bool = False) -> None:
        """Press "Add a phone" and wait for the code in the wanted form."""
        if two_step or classical:
            self.page.get_by_text(self.text("testers"), exact=True).click()
            self.page.get_by_label(self.text("two step")).set_checked(two_step)
            self.page.get_by_label(self.text("classical")).set_checked(classical)
        self.page.get_by_role("link", name=self.text("add"), exact=True).click()
        self.show(form)

    def show(self, form: Form) -> None:
        """Have the code shown in that form."""
        if form == "qr":
            self.page.get_by_text(self.text("qr"), exact=True).click()
        expect(self.symbol(form)).to_be_visible(timeout=15_000)

    def symbol(self, form: Form) -> Locator:
        """The white square with the code."""
        return self.page.locator(f"[data-symbol={form}]:has(svg)")

    def photograph(self, form: Form = "colour", *, wait_for_turn: bool = True) -> bytes:
        """Return a PNG of the code; of one that has only just turned, so that it lives as long as can be."""
        symbol = self.symbol(form)
        expect(symbol).to_be_visible(timeout=15_000)
        rotation = symbol.get_attribute("data-rotation")
        if wait_for_turn and rotation is not None:
            expect(symbol).not_to_have_attribute("data-rotation", rotation, timeout=20_000)
            expect(symbol).to_be_visible()
        return symbol.screenshot(scale="device")

    def link(self) -> str:
        """Return the link that "Continue on this phone" holds; by http, which these gateways speak."""
        self.page.get_by_text(self.text("other ways"), exact=True).click()
        link = self.page.locator("[data-link][href]").get_attribute("href") or ""
        return link.replace("https://", "http://")

    def typed(self) -> str:
        """Return the code for typing."""
        self.page.get_by_text(self.text("other ways"), exact=True).click()
        typed = self.page.locator("[data-typed]")
        expect(typed).not_to_have_text("…")
        return typed.inner_text()

    def type_device_code(self, code: str) -> None:
        """Type the eight digits and confirm."""
        field = self.page.locator("#digits")
        expect(field).to_be_visible(timeout=20_000)
        field.fill(code)
        self.button("confirm").click()

    def back_to_devices(self) -> None:
        """Return to the list of devices."""
        self.page.get_by_role("link", name=self.text("back")).click()


class Phone(Person):
    """A phone: a Chromium profile of its own, portrait, with a camera."""

    def __init__(
        self,
        playwright: Playwright,
        folder: Path,
        lang: Lang,
        *,
        camera: Literal["granted", "denied", "absent"] = "granted",
        scheme: Literal["light", "dark"] = "light",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.film = folder / "camera.y4m"
        write_film(self.film, None)
        device = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={self.film}"]
        flags = {
            "granted": [*device, "--use-fake-ui-for-media-stream"],
            "denied": [*device, "--deny-permission-prompts"],
            "absent": [],
        }[camera]
        self._launch: Callable[[], BrowserContext] = lambda: playwright.chromium.launch_persistent_context(
            folder / "profile",
            executable_path=CHROMIUM,
            args=FLAGS + flags,
            locale=lang,
            viewport={"width": 390, "height": 844},
            device_scale_factor=2,
            has_touch=True,
            color_scheme=scheme,
        )
        self.context = self._launch()
        super().__init__(self.context.pages[0], lang)
        self.origin = ""

    def open(self, origin: str) -> None:
        """Open the phone app."""
        self.origin = origin
        self.page.goto(f"{origin}/phone/")
        expect(self.page.get_by_role("heading", level=1)).to_be_visible()

    def close_and_come_back(self) -> None:
        """Close the browser and open it again on the same profile."""
        self.context.close()
        self.context = self._launch()
        self.page = self.context.pages[0]
        self.open(self.origin)

    def scan(self, picture: bytes) -> None:
        """Point the camera at a picture and press "Scan"."""
        write_film(self.film, picture)
        home = self.button("scan").or_(self.button("add bank"))
        home.first.click()

    def bind_to_code(self) -> str:
        """Agree to bind; return the eight digits."""
        self.button("yes").click(timeout=25_000)
        return self.device_code()

    def device_code(self) -> str:
        """Return the eight digits on the screen."""
        code = self.page.locator("[data-code]").get_attribute("data-code", timeout=20_000) or ""
        assert re.fullmatch(r"\d{4} \d{4}", code), code
        return code

    def type_pin(self, pin: str) -> None:
        """Type a PIN into the field under the pad."""
        self.page.locator("ts-pin-pad input").press_sequentially(pin)

    def choose_pin(self, pin: str = GOOD_PIN) -> None:
        """Choose a PIN and type it once more."""
        expect(self.heading("choose")).to_be_visible(timeout=20_000)
        self.type_pin(pin)
        expect(self.heading("again")).to_be_visible()
        self.type_pin(pin)

    def expect_ask(self) -> None:
        """See that the bank asks something."""
        expect(self.page.locator("ts-ask h1")).to_be_visible(timeout=20_000)

    def read_on(self) -> None:
        """Read a request to its end, where there is more than fits."""
        more = self.button("read on")
        approve = self.button("approve by pin").or_(self.button("my pin"))
        expect(more.or_(approve).first).to_be_visible(timeout=20_000)
        for _ in range(20):
            if approve.is_visible():
                break
            with contextlib.suppress(PlaywrightTimeout):  # the end came into sight before the press
                more.click(timeout=1_000)
            self.page.wait_for_timeout(300)
        expect(approve).to_be_visible()
        self.page.wait_for_timeout(600)  # a press meant for "Read to the end" counts for nothing else

    def choose(self, number: int) -> None:
        """Press one of the three numbers."""
        self.page.locator("ts-number-choice").get_by_role("button", name=str(number), exact=True).click()

    def approve(self, *, number: int | None = None, pin: str = GOOD_PIN) -> None:
        """Read, choose the number, approve by the PIN."""
        self.expect_ask()
        self.read_on()
        if number is not None:
            self.choose(number)
        self.button("approve by pin").click()
        self.type_pin(pin)

    def expect_end(self, state: str) -> None:
        """See how a request ended, and leave it."""
        end = self.page.locator(f"ts-ask [data-end={state}]")
        expect(end).to_be_visible(timeout=PATIENCE_MS)
        end.get_by_role("button").last.click()
        expect(end).to_be_hidden()

    def answer_offline(self, picture: bytes, *, pin: str = GOOD_PIN) -> str:
        """Scan a request without a network; return the eight digits."""
        write_film(self.film, picture)
        self.button("offline").first.click()
        self.read_on()
        self.button("my pin").click()
        self.type_pin(pin)
        shown = self.page.locator("[data-answer]").get_attribute("data-answer", timeout=20_000) or ""
        assert re.fullmatch(r"\d{8}", shown), shown
        return shown

    def finish(self) -> None:
        """See that the phone is bound and go to the start."""
        expect(self.heading("bound")).to_be_visible(timeout=20_000)
        self.button("done").click()
        expect(self.heading("your banks")).to_be_visible()


def meet(desktop: Desktop, phone: Phone, origin: str, user: str = "Claire Martin") -> None:
    """Bring both to the code on the screen: the customer logged in, the phone app open."""
    desktop.log_in(origin, user)
    phone.open(origin)
    desktop.add_phone()


def bind(
    desktop: Desktop,
    phone: Phone,
    *,
    form: Form = "colour",
    two_step: bool = False,
    wait_for_turn: bool = True,
) -> None:
    """Take both through a whole activation from the code on the screen."""
    phone.scan(desktop.photograph(form, wait_for_turn=wait_for_turn))
    desktop.type_device_code(phone.bind_to_code())
    if two_step:
        phone.button("code2 scan").wait_for(timeout=20_000)
        write_film(phone.film, desktop.photograph(form, wait_for_turn=False))
        phone.button("code2 scan").click()
    phone.choose_pin()
    expect(desktop.heading("ready")).to_be_visible(timeout=20_000)
    phone.finish()


def whiteness(picture: bytes) -> float:
    """Return the mean brightness of a PNG, 0 to 255: a dark page shows low."""
    grey = Image.open(io.BytesIO(picture)).convert("L").resize((32, 32))
    return sum(grey.getdata()) / 1024


def wait_until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait for something that no page shows."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
