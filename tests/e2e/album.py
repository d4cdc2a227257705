"""The album of every page: for each look a picture in tests/e2e/screenshots for a person to see, and axe's findings."""

import json
from pathlib import Path

from people import Person
from playwright.sync_api import ConsoleMessage, Page

SCREENSHOTS = Path(__file__).parent / "screenshots"
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


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

    def assert_clean(self) -> None:
        """See that no page threw, broke its policy, or gave axe something serious to say."""
        assert self._errors == []
        assert self._findings == []
