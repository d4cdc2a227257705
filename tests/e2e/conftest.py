"""Browsers, gateways and screenshots for the end-to-end tests. They skip, with the reason, without Chromium."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateway_process import GatewayProcess
from people import CHROMIUM, FLAGS, Desktop, Lang, Phone
from playwright.sync_api import Browser, Playwright, sync_playwright

DIST = Path(__file__).parents[2] / "web" / "dist"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here `e2e`; skip it where it cannot run, with the reason."""
    reason = None
    if shutil.which("chromium") is None:
        reason = "Debian's chromium is not installed"
    elif not (DIST / "phone" / "index.html").exists():
        reason = "web/dist is not built: run make setup"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """The browser driver."""
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The desktop's browser; each desktop gets a context of its own."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One gateway for the tests that leave it as it is."""
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"))
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def slow_turning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway whose codes live a minute, for the tests that need not hurry."""
    process = GatewayProcess(tmp_path_factory.mktemp("slow"), TESSERA_ROTATION_S="60")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def own_gateway(tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """Start gateways of the test's own, with settings of its own."""
    started: list[GatewayProcess] = []

    def start(**settings: str) -> GatewayProcess:
        folder = tmp_path / f"gateway-{len(started)}"
        folder.mkdir()
        process = GatewayProcess(folder, **settings)
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def make_desktop(browser: Browser) -> Iterator[Callable[..., Desktop]]:
    """Open desktops: a context of its own each."""
    contexts = []

    def make(lang: Lang = "en", *, scheme: str = "light") -> Desktop:
        context = browser.new_context(
            locale=lang,
            viewport={"width": 1280, "height": 800},
            device_scale_factor=2,
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        contexts.append(context)
        return Desktop(context.new_page(), lang)

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def make_phone(playwright: Playwright, tmp_path: Path) -> Iterator[Callable[..., Phone]]:
    """Open phones: a profile and a camera of its own each."""
    phones: list[Phone] = []

    def make(lang: Lang = "en", **options: object) -> Phone:
        phone = Phone(playwright, tmp_path / f"phone-{len(phones)}", lang, **options)  # type: ignore[arg-type]
        phones.append(phone)
        return phone

    yield make
    for phone in phones:
        phone.context.close()
