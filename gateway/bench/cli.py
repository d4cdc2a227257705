"""`tessera bench`: run benches and print their figures, as a table or as one JSON object a line. A missed
bar is shown and fails nothing unless `--strict` is given; a bench that crashes always does."""

import importlib
import json
import pkgutil
import sys
import traceback
from collections.abc import Iterator

import click

import gateway.bench
from gateway.bench import BENCHES, Measure, Unavailable

EXIT_MISSED = 1
EXIT_CRASHED = 2

_COLUMNS = "{:<12} {:<34} {:>11} {:<6} {:>11} {:>7}  {:<16} {}"


def load_benches() -> None:
    """Import every module of the package, so that each enters its benches."""
    for module in pkgutil.iter_modules(gateway.bench.__path__):
        importlib.import_module(f"{gateway.bench.__name__}.{module.name}")


@click.command("bench", short_help="Measure, beside a bound of the same run.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--strict", is_flag=True, help="Exit 1 when a bar is missed.")
def bench(name: str, as_json: bool, strict: bool) -> None:  # noqa: FBT001 - click hands flags over so
    """Measure NAME, or `all`, each figure beside a bound of the same run.

    \b
    NAME is one of:
      codes        drawing a code, beside the reference encoders
      handshake    first contact on the server, beside its primitives
      activations  whole activations a second, and where the time goes
      approvals    payments approved a second on open channels, and where the time goes
      offline      answers without a network a second, beside bare JSON posts
      hsm          the PKCS#11 adapter beside its module, event-loop pause, code checks
      channels     memory of 5,000 open channels; events to all of them
      reader, robustness   reading spoilt pictures, beside QR
    """
    load_benches()
    if name != "all" and name not in BENCHES:
        raise click.BadParameter(f"no bench {name!r}; there are: all, {', '.join(sorted(BENCHES))}")
    names = sorted(BENCHES) if name == "all" else [name]
    if not as_json:
        click.echo(_COLUMNS.format("bench", "case", "value", "unit", "bound", "ratio", "bar", "meets"))
    crashed = missed = False
    for each in names:
        try:
            for figure in BENCHES[each]():
                missed |= figure.meets is False
                click.echo(json.dumps(figure.line()) if as_json else _row(figure))
        except Unavailable as missing:
            crashed = True
            click.echo(f"bench {each} cannot run: {missing}", err=True)
        except Exception:
            crashed = True
            click.echo(f"bench {each} crashed:\n{traceback.format_exc()}", err=True)
    if crashed:
        sys.exit(EXIT_CRASHED)
    if strict and missed:
        sys.exit(EXIT_MISSED)


def _row(figure: Measure) -> str:
    return _COLUMNS.format(*_cells(figure)).rstrip()


def _cells(figure: Measure) -> Iterator[str]:
    yield figure.bench
    yield figure.case
    yield _number(figure.value)
    yield figure.unit
    yield _number(figure.bound)
    yield _number(figure.ratio)
    yield figure.bar or ""
    yield {True: "yes", False: "NO", None: ""}[figure.meets]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
