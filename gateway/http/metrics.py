"""Prometheus metrics of one process. The edge middleware counts requests; others register gauges of their own on
`Metrics.registry`. Labels come from closed lists (route table, methods, statuses), never from what a caller sent."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class _Requests(Collector):
    """Requests by route and status, and their times by route. Counted in the event loop alone, so without the locks of
    the library's own counters, which cost more than counting."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def count(self, route: str, status: int, seconds: float | None) -> None:
        """Count one answer, and its time where it has one."""
        self._answers[route, status] += 1
        if seconds is not None:
            times = self._times.get(route)
            if times is None:
                times = self._times[route] = [0] * (len(_BUCKETS) + 1)
                self._sums[route] = 0.0
            times[bisect_left(_BUCKETS, seconds)] += 1
            self._sums[route] += seconds

    def collect(self) -> Iterator[Metric]:
        """Return both as the library writes them."""
        answers = CounterMetricFamily(
            "tessera_http_requests", "Requests answered.", labels=("route", "status")
        )
        for (route, status), number in self._answers.items():
            answers.add_metric((route, str(status)), number)
        yield answers
        seconds = HistogramMetricFamily("tessera_http_request_seconds", "Time to answer.", labels=("route",))
        bounds = [*map(str, _BUCKETS), "+Inf"]
        for route, times in self._times.items():
            buckets = list(zip(bounds, accumulate(times), strict=True))
            seconds.add_metric((route,), buckets, sum_value=self._sums[route])
        yield seconds


class Metrics:
    """The registry, and what the HTTP face counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = _Requests()
        self.registry.register(requests)
        self.count = requests.count
        """Count one answer: route, status, and seconds, or None for streams, whose length says nothing."""

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Register a gauge that is read when the metrics are."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def response(self) -> web.Response:
        """Return the exposition."""
        return web.Response(
            body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
