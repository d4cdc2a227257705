"""The album of every page: for each look a picture in tests/e2e/screenshots for a person to see, and axe's findings."""

import json
from collections.abc import Iterator
from pathlib import Path

from people import Desktop, Person
from playwright.sync_api import ConsoleMessage, Page

SCREENSHOTS = Path(__file__).parent / "screenshots"
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def serious_findings(page: Page) -> list[str]:
    """Run axe in the page (through the inspector, since the page's policy allows no eval); return what matters."""
    session = page.context.new_cdp_session(page)
    known = session.send("Runtime.evaluate", {"expression": "typeof axe"})
    if known["result"]["value"] == "undefined":
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


LOOKS = (("fr", "light", 320), ("en", "dark", 320), ("en", "light", 1280), ("fr", "dark", 1280))
"""Each language with each scheme and each width. 320 pixels are the narrowest window that everything must fit into
without scrolling sideways (WCAG 2.2, 1.4.10)."""

TOO_WIDE = """() => {
    const found = [];
    const visit = (root) => root.querySelectorAll("*").forEach((each) => {
        const { right, width } = each.getBoundingClientRect();
        if (width > 1 && right > innerWidth + 1) found.push(each.outerHTML.slice(0, 120));
        if (each.shadowRoot) visit(each.shadowRoot);
    });
    visit(document);
    return found;
}"""
"""What reaches over the right border of the window."""


def every_look(desktop: Desktop) -> Iterator[str]:
    """Turn the desktop through LOOKS, and back; yield what ends the name of a picture of each."""
    page = desktop.page
    before = page.viewport_size
    for lang, scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 720})
        page.locator(f".languages [lang={lang}]").evaluate("(button) => button.click()")  # the focus stays
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        yield f"{lang}-{scheme}-{width}"
    page.locator(f".languages [lang={desktop.lang}]").evaluate("(button) => button.click()")
    if before is not None:
        page.set_viewport_size(before)


class Album:
    """Looks at one page after the other. `suffix` ends the name of each picture, as in "fr-dark"."""

    def __init__(self, suffix: str, *people: Person) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        self._suffix = suffix
        self._findings: list[str] = []
        self._errors: list[str] = []
        for person in people:
            self._watch(person.page)

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("console", self._listen)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self._errors.append(message.text)

    def look(self, person: Person, name: str, *, whole: bool = True) -> None:
        """Take the picture, of the `whole` page or of what the window shows, and run axe."""
        person.page.wait_for_timeout(250)
        person.page.screenshot(path=SCREENSHOTS / f"{name}-{self._suffix}.png", full_page=whole)
        self._findings += [f"{name}: {finding}" for finding in serious_findings(person.page)]

    def turn(self, desktop: Desktop, name: str) -> None:
        """Look at a page in each of LOOKS, and see that nothing is wider than the window."""
        for suffix in every_look(desktop):
            page = desktop.page
            page.screenshot(path=SCREENSHOTS / f"{name}-{suffix}.png", full_page=True, scale="css")
            self._findings += [f"{name}-{suffix}: {each}" for each in serious_findings(page)]
            self._findings += [f"{name}-{suffix} is too wide: {each}" for each in page.evaluate(TOO_WIDE)]

    def assert_clean(self) -> None:
        """See that no page threw, broke its policy, or gave axe something serious to say."""
        assert self._errors == []
        assert self._findings == []
