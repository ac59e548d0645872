"""Metrics of every process: what one is, a process's registry, its calls to the API server.

Nothing is registered globally: a process makes one `CollectorRegistry` and passes on what counts.
No label is ever the name of a Service, so the code bounds the number of series. Definitions are
values: docs/reference/metrics.md is generated from them.
"""

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

import prometheus_client
from prometheus_client import exposition, process_collector
from prometheus_client.metrics import Counter, Gauge, Histogram
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

CONTENT_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric as it is queried."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, without infinity."""

    def counter(self, of: CollectorRegistry) -> Counter:
        """Return a new counter in a registry."""
        return Counter(self.name, self.help, self.labels, registry=of)

    def gauge(self, of: CollectorRegistry) -> Gauge:
        """Return a new gauge in a registry."""
        return Gauge(self.name, self.help, self.labels, registry=of)

    def histogram(self, of: CollectorRegistry) -> Histogram:
        """Return a new histogram in a registry."""
        return Histogram(self.name, self.help, self.labels, registry=of, buckets=self.buckets)

    def family(self, samples: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
        """Return the values of a counter or gauge that were counted elsewhere, by their labels."""
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        made = make(self.name, self.help, labels=self.labels)
        for labels, value in samples:
            made.add_metric(labels, value)
        return made

    def distribution(
        self, samples: Iterable[tuple[tuple[str, ...], tuple[int, ...], float]]
    ) -> Metric:
        """Return a histogram counted elsewhere: labels, counts by bucket, sum.

        The counts are of each bucket alone, that of what is above all bounds comes last.
        """
        made = HistogramMetricFamily(self.name, self.help, labels=self.labels)
        bounds = [*(str(bound) for bound in self.buckets), "+Inf"]
        for labels, counts, total in samples:
            below = [sum(counts[: index + 1]) for index in range(len(counts))]
            made.add_metric(labels, list(zip(bounds, map(float, below), strict=True)), total)
        return made


BUILD = Definition(
    "gauge",
    "lbctl_build_info",
    "Always 1; the labels say what this process is.",
    ("version", "component", "python"),
)
API_REQUESTS = Definition(
    "counter",
    "lbctl_api_requests_total",
    "Calls to the API server by their answer; `none` where none came.",
    ("verb", "resource", "code"),
)
API_SECONDS = Definition(
    "histogram",
    "lbctl_api_request_seconds",
    "Time that calls to the API server took, watches apart.",
    ("verb",),
    (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)
WATCHES = Definition(
    "gauge", "lbctl_api_watches", "Watches that the API server keeps open for us.", ("resource",)
)
WATCH_RESTARTS = Definition(
    "counter",
    "lbctl_api_watch_restarts_total",
    "Watches that ended: `ended` by the server as it does every few minutes, `expired` so that a "
    "new list was needed, `broken` by network or silence.",
    ("resource", "reason"),
)
COMMON = (BUILD, API_REQUESTS, API_SECONDS, WATCHES, WATCH_RESTARTS)
"""What every process shows, beside the standard `process_*` metrics."""


def registry(component: str) -> CollectorRegistry:
    """Return the registry of one process, with what it is and what it uses."""
    # A library-wide switch, the same for all: the series would double and say little.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    made = CollectorRegistry()
    version = metadata.version("lbctl")
    BUILD.gauge(made).labels(version, component, platform.python_version()).set(1)
    process_collector.ProcessCollector(registry=made)
    return made


def text(of: CollectorRegistry) -> bytes:
    """Return all metrics in Prometheus's text format."""
    return exposition.generate_latest(of)


class Computed(Collector):
    """Metrics that are worked out when somebody asks, from what a process knows anyway."""

    def __init__(self, of: CollectorRegistry, compute: Callable[[], Iterable[Metric]]) -> None:
        self._compute = compute
        of.register(self)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        return self._compute()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: there is nothing to compute before all is wired."""
        return ()


class ApiCalls:
    """Counts what the API client does: see `lbctl.kube.traffic.Observer`."""

    def __init__(self, of: CollectorRegistry) -> None:
        self._requests = API_REQUESTS.counter(of)
        self._seconds = API_SECONDS.histogram(of)
        self._watches = WATCHES.gauge(of)
        self._restarts = WATCH_RESTARTS.counter(of)

    def called(self, verb: str, resource: str, code: str, took_s: float) -> None:
        """Count one call."""
        self._requests.labels(verb, resource, code).inc()
        if verb != "watch":
            self._seconds.labels(verb).observe(took_s)

    def watch_opened(self, resource: str) -> None:
        """Count a watch that the server keeps open now."""
        self._watches.labels(resource).inc()

    def watch_ended(self, resource: str, reason: str) -> None:
        """Count the end of an open watch."""
        self._watches.labels(resource).dec()
        self._restarts.labels(resource, reason).inc()
