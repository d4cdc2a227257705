"""The shape of a measurement. Each bench module registers a function that yields `Measure`s; `tessera bench`
runs them. A figure never stands alone: it comes with a bound taken in the same run on the same machine
(another implementation, the bare primitive, the bare database), with a bar that the project set itself, or
with both. Product code never imports this package."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal

Bench = Callable[[], Iterable["Measure"]]

BENCHES: dict[str, Bench] = {}
"""Every bench by name; filled when the modules of this package are imported."""


class Unavailable(Exception):
    """This bench cannot run here; the text says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a measure has to reach: its value `limit` in its own unit, or its ratio `limit` times the bound, as the
    most or the least it may be."""

    limit: float
    direction: Literal["at most", "at least"] = "at most"
    judges: Literal["value", "ratio"] = "value"

    def is_met(self, *, value: float, ratio: float | None) -> bool:
        """Tell whether what is judged reaches the bar. Raises ValueError when it is a ratio and there is no bound."""
        judged = value if self.judges == "value" else ratio
        if judged is None:
            raise ValueError("a bar on the ratio needs a bound")
        return judged <= self.limit if self.direction == "at most" else judged >= self.limit

    def __str__(self) -> str:
        return f"{self.direction} {self.limit:g}" + (" x bound" if self.judges == "ratio" else "")


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure. `bound` is the figure beside it from the same run, in the same unit, and `ratio` is value
    over bound; `meets` tells whether the value, or the ratio where `bar` says so, reaches `bar`. Those that do not
    apply are None. `extras` are further figures of the same case, such as a percentile."""

    bench: str
    case: str
    value: float
    unit: str
    bound: float | None
    ratio: float | None
    bar: str | None
    meets: bool | None
    extras: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        """Return the figure as one flat object, extras last."""
        figures: dict[str, Any] = asdict(self)
        extras: dict[str, Any] = figures.pop("extras")
        return figures | extras


def register(name: str) -> Callable[[Bench], Bench]:
    """Return a decorator that enters a bench under `name`."""

    def enter(bench: Bench) -> Bench:
        if name in BENCHES:
            raise ValueError(f"there are two benches named {name}")
        BENCHES[name] = bench
        return bench

    return enter


def measure(
    bench: str, case: str, *, value: float, unit: str, bound: float | None = None, bar: Bar | None = None
) -> Measure:
    """Return a Measure with its ratio and verdict worked out."""
    ratio = value / bound if bound else None
    return Measure(
        bench=bench,
        case=case,
        value=value,
        unit=unit,
        bound=bound,
        ratio=ratio,
        bar=str(bar) if bar else None,
        meets=bar.is_met(value=value, ratio=ratio) if bar else None,
    )


def interleaved_medians(
    cases: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 60,
    warm_up: int = 3,
    timer: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the median time of each case in milliseconds. The cases take turns in every round, so that a
    slow moment of the machine falls on all of them alike. `timer` returns seconds; time.thread_time keeps out
    what other processes take, for cases that only compute."""
    for _ in range(warm_up):
        for work in cases.values():
            work()
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, work in cases.items():
            start = timer()
            work()
            times[name].append(timer() - start)
    return {name: median(taken) * 1000 for name, taken in times.items()}


def percentile(values: Iterable[float], share: float) -> float:
    """Return the least of `values` that `share` of them (above 0, at most 1) do not exceed: nearest rank."""
    ranked = sorted(values)
    if not ranked:
        raise ValueError("no values")
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
