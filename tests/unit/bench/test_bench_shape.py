"""The bench command: figures with bounds and bars, a table or JSON lines, exit codes."""

import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner

from gateway.bench import BENCHES, Bar, Measure, cli, interleaved_medians, measure, percentile, register


@pytest.fixture
def benches(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], Iterator[Measure]]]:
    """A registry of the test's own in place of the real one."""

    def good() -> Iterator[Measure]:
        yield measure("good", "within", value=1.5, unit="ms", bound=3.0, bar=Bar(2))
        yield measure("good", "bare", value=12345.6, unit="/s")

    def slow() -> Iterator[Measure]:
        yield measure("slow", "beyond", value=2.5, unit="ms", bar=Bar(2))

    def broken() -> Iterator[Measure]:
        yield measure("broken", "first", value=1, unit="ms")
        raise RuntimeError("no database")

    own: dict[str, Callable[[], Iterator[Measure]]] = {"good": good, "slow": slow, "broken": broken}
    monkeypatch.setattr(cli, "BENCHES", own)
    monkeypatch.setattr(cli, "load_benches", lambda: None)
    return own


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.bench, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_json_lines_have_the_fields_that_everybody_reads(benches: object) -> None:
    code, out, _ = run("good", "--json")
    first, second = map(json.loads, out.splitlines())
    assert code == 0
    assert first == {
        "bench": "good",
        "case": "within",
        "value": 1.5,
        "unit": "ms",
        "bound": 3.0,
        "ratio": 0.5,
        "bar": "at most 2",
        "meets": True,
    }
    assert second["bound"] is second["ratio"] is second["bar"] is second["meets"] is None


def test_table(benches: object) -> None:
    code, out, _ = run("good")
    header, first, second = out.splitlines()
    assert code == 0
    assert header.split() == ["bench", "case", "value", "unit", "bound", "ratio", "bar", "meets"]
    assert first.split() == ["good", "within", "1.5", "ms", "3", "0.5", "at", "most", "2", "yes"]
    assert second.split() == ["good", "bare", "12,346", "/s"]


def test_a_missed_bar_is_shown_and_fails_only_when_strict(benches: object) -> None:
    code, out, _ = run("slow")
    assert code == 0
    assert out.splitlines()[-1].endswith("NO")
    assert run("slow", "--strict")[0] == cli.EXIT_MISSED
    assert run("good", "--strict")[0] == 0


def test_a_crash_is_told_after_the_others_have_run(benches: dict[str, object]) -> None:
    code, out, err = run("all")
    assert code == cli.EXIT_CRASHED
    assert "beyond" in out
    assert "bench broken crashed" in err
    assert "no database" in err


def test_unknown_bench(benches: object) -> None:
    code, _, err = run("nonsense")
    assert code == 2
    assert "there are: all, broken, good, slow" in err


def test_at_least_bars() -> None:
    figure = measure("b", "c", value=400, unit="/s", bar=Bar(500, "at least"))
    assert figure.bar == "at least 500"
    assert figure.meets is False


def test_bars_on_the_ratio() -> None:
    bar = Bar(4, judges="ratio")
    figure = measure("b", "c", value=10, unit="ms", bound=2, bar=bar)
    assert (figure.ratio, figure.bar, figure.meets) == (5, "at most 4 x bound", False)
    assert measure("b", "c", value=10, unit="ms", bound=2.5, bar=bar).meets
    with pytest.raises(ValueError, match="needs a bound"):
        measure("b", "c", value=10, unit="ms", bar=bar)


def test_two_benches_cannot_have_one_name() -> None:
    cli.load_benches()
    assert {"codes", "reader"} <= BENCHES.keys()
    with pytest.raises(ValueError, match="two benches"):
        register("codes")(lambda: ())


def test_cases_take_turns() -> None:
    calls: list[str] = []
    medians = interleaved_medians(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, warm_up=1
    )
    assert calls == ["a", "b"] * 4
    assert medians.keys() == {"a", "b"}
    assert all(value >= 0 for value in medians.values())


def test_percentile_is_the_nearest_rank() -> None:
    values = list(range(1, 101))
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([7], 1.0) == 7
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_the_codes_bench_yields_every_case() -> None:
    figures = {figure.case: figure for figure in BENCHES["codes"]()}
    assert {"qr-88 svg", "qr-link svg", "hcc2d8-88 svg", "qr-link png", "hcc2d8-88 png"} <= figures.keys()
    assert all(figure.value > 0 for figure in figures.values())
    assert figures["hcc2d8-88 svg"].bound == figures["hcc2d8-88 by reference"].value
