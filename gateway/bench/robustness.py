"""Bench `robustness`: the phone's reader, in TypeScript, on simulated pictures from easy to hopeless, beside QR
level M of the same width on the same frames. The table itself is `web/bench/robustness.mjs`; this runs it with Node
and hands its lines on as they come."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.bench import Measure, Unavailable, register

WEB = Path(__file__).parents[2] / "web"
SCRIPT = WEB / "bench" / "robustness.mjs"
SETUP = "run `make setup`"

_FIELDS = frozenset({"bench", "case", "value", "unit", "bound", "ratio", "bar", "meets"})


@register("robustness")
def robustness() -> Iterator[Measure]:
    """Yield the share of frames read for each distortion, then the time a frame. Takes some minutes. Raises Unavailable
    without Node or the web packages, RuntimeError when the script fails."""
    command = [find_node(), str(SCRIPT)]
    environment = os.environ | {"TESSERA_PYTHON": sys.executable}
    with subprocess.Popen(command, cwd=WEB, env=environment, stdout=subprocess.PIPE, text=True) as script:
        try:
            for line in script.stdout or ():
                if line.startswith("{"):
                    yield parse_line(line)
        finally:
            if script.poll() is None:
                script.terminate()
    if script.returncode != 0:
        raise RuntimeError(f"{SCRIPT.name} ended with status {script.returncode}")


def find_node() -> str:
    """Return the path of Node. Raises Unavailable, saying what to do, when something is missing."""
    if not SCRIPT.exists():
        raise Unavailable(f"there is no {SCRIPT.relative_to(WEB.parent)} here: it comes with the repository")
    node = shutil.which("node")
    if node is None:
        raise Unavailable("Node is missing: install Node 20 or newer")
    if not (WEB / "node_modules").is_dir():
        raise Unavailable(f"web/node_modules is missing: {SETUP}")
    return node


def parse_line(line: str) -> Measure:
    """Return the measure of one line of the script. Pictures that gave a wrong payload, the worst outcome, are
    told in the case; what the other benches have no field for goes to the extras."""
    figure = json.loads(line)
    wrong = figure.get("wrong", 0)
    return Measure(
        bench=figure["bench"],
        case=figure["case"] + (f", {wrong} WRONG" if wrong else ""),
        value=figure["value"],
        unit=figure["unit"],
        bound=figure["bound"],
        ratio=figure["ratio"],
        bar=figure["bar"],
        meets=figure["meets"],
        extras={name: value for name, value in figure.items() if name not in _FIELDS},
    )
