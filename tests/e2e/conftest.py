"""Browsers, gateways and screenshots for the end-to-end tests. They skip, with the reason, without Chromium."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from album import SCREENSHOTS
from gateway_process import GatewayProcess
from people import CHROMIUM, FLAGS, Desktop, Lang, Person, Phone
from playwright.sync_api import Browser, Playwright, sync_playwright
from playwright.sync_api import Error as BrowserError

PEOPLE = pytest.StashKey[list[Person]]()
"""Whose pages a failure reports."""

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


def _tell_what_is_shown(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add to a failure what each person saw: the page's text to the report, its picture to the screenshots."""
    SCREENSHOTS.mkdir(exist_ok=True)
    test = re.sub(r"\W+", "-", item.name)
    for number, person in enumerate(item.stash.get(PEOPLE, [])):
        who = f"{type(person).__name__.lower()} {number}"
        try:
            picture = SCREENSHOTS / f"failed-{test}-{number}.png"
            person.page.screenshot(path=picture, timeout=5_000)
            shown = person.page.locator("body").aria_snapshot(timeout=5_000)
        except BrowserError as error:
            shown = f"no page to look at: {error.message.splitlines()[0]}"
        report.sections.append((f"what {who} shows", shown))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """See `_tell_what_is_shown`."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.when == "call" and report.failed:
        _tell_what_is_shown(item, report)
    return report  # type: ignore[return-value]


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


@pytest.fixture(autouse=True)
def _no_phones(request: pytest.FixtureRequest) -> None:
    """Leave no phone of one test to the next: the demo bank asks a customer's phone at every login."""
    for name in ("gateway", "slow_turning"):
        if name in request.fixturenames:
            request.getfixturevalue(name).forget_phones()


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
def people(request: pytest.FixtureRequest) -> list[Person]:
    """Everyone whose page a failure shows."""
    return request.node.stash.setdefault(PEOPLE, [])


@pytest.fixture
def make_desktop(browser: Browser, people: list[Person]) -> Iterator[Callable[..., Desktop]]:
    """Open desktops: a context of its own each."""
    contexts = []

    def make(lang: Lang = "en", *, scheme: str = "light") -> Desktop:
        desktop = Desktop.open(browser, lang, scheme=scheme)  # type: ignore[arg-type]
        contexts.append(desktop.page.context)
        people.append(desktop)
        return desktop

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def make_phone(
    playwright: Playwright, tmp_path: Path, people: list[Person]
) -> Iterator[Callable[..., Phone]]:
    """Open phones: a profile and a camera of its own each."""
    phones: list[Phone] = []

    def make(lang: Lang = "en", **options: object) -> Phone:
        phone = Phone(playwright, tmp_path / f"phone-{len(phones)}", lang, **options)  # type: ignore[arg-type]
        phones.append(phone)
        people.append(phone)
        return phone

    yield make
    for phone in phones:
        phone.context.close()
