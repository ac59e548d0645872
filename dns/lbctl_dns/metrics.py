"""Metrics of the DNS server: gathered from feed and workers when somebody asks."""

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Protocol

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry

from lbctl.kube import resources
from lbctl.runtime import metrics
from lbctl.runtime.metrics import Definition
from lbctl_dns import crew, lookup, names, notify, primary, sightings, tally

QUERIES = Definition(
    "counter",
    "lbctl_dns_queries_total",
    "Queries that got a reply, by its rcode (BADVERS counts as NOERROR, its low bits).",
    ("transport", "rcode"),
)
UNANSWERED = Definition(
    "counter",
    "lbctl_dns_unanswered_total",
    "Messages that got silence: too short for a header, or replies themselves.",
    ("transport",),
)
SLOW_PATH = Definition(
    "counter",
    "lbctl_dns_slow_path_total",
    "Queries that were not answered from a ready-made reply.",
    ("transport",),
)
TRUNCATED = Definition(
    "counter",
    "lbctl_dns_truncated_total",
    "Replies that did not fit, so that the client has to ask again over TCP.",
    ("transport",),
)
RATE_LIMITED = Definition(
    "counter",
    "lbctl_dns_rate_limited_total",
    "Replies (counted above as well) that rate limiting withheld or made into `ask by TCP`.",
    ("action",),
)
QUERY_SECONDS = Definition(
    "histogram",
    "lbctl_dns_query_seconds",
    "Time that a worker took for a query, from reading it to having sent the reply; a sample: the "
    "queries by UDP of one batch in 64.",
    (),
    tuple(bound / 1e9 for bound in tally.BUCKETS_NS),
)
WORKER_CPU = Definition(
    "counter", "lbctl_dns_worker_cpu_seconds_total", "CPU time of the workers, user and system."
)
VISIBLE_SECONDS = Definition(
    "histogram",
    "lbctl_dns_visible_seconds",
    "Time from the watch event of a change of names to the word of the last worker that it answers "
    "by it. What the API server takes to send the event is not in it: no object tells that.",
    (),
    sightings.BUCKETS_S,
)
SERIAL = Definition("gauge", "lbctl_dns_zone_serial", "Serial of each zone.", ("zone",))
NAMES = Definition(
    "gauge", "lbctl_dns_names", "Names with records, those of the zones themselves included."
)
KNOWN = Definition(
    "gauge", "lbctl_dns_names_known", "1 when all names are known, 0 while denials are SERVFAIL."
)
HELD = Definition(
    "gauge",
    "lbctl_dns_held_services",
    "Services whose names stay although their object vanished without having been withdrawn.",
)
AGE = Definition(
    "gauge",
    "lbctl_dns_data_age_seconds",
    "0 while the API server tells of changes, else the time since it was last heard.",
)
WORKERS = Definition("gauge", "lbctl_dns_workers", "Workers that run.")
WORKER_RESTARTS = Definition(
    "counter", "lbctl_dns_worker_restarts_total", "Workers that ended and were started again."
)
TRANSFERS = Definition(
    "counter",
    "lbctl_dns_transfers_total",
    "Requests of secondaries that came to the feed process: what was sent (whole zone, steps, or "
    "the SOA alone), refused, or broken off.",
    ("outcome",),
)
NOTIFICATIONS = Definition(
    "counter",
    "lbctl_dns_notifications_total",
    "Secondaries told of a change (NOTIFY), by what they said.",
    ("outcome",),
)
OWN = (
    QUERIES, UNANSWERED, SLOW_PATH, TRUNCATED, RATE_LIMITED, QUERY_SECONDS, WORKER_CPU,
    VISIBLE_SECONDS, SERIAL, NAMES, KNOWN, HELD, AGE, WORKERS, WORKER_RESTARTS, TRANSFERS,
    NOTIFICATIONS,
)  # fmt: skip


class Published(Protocol):
    """What a feed tells of what it publishes."""

    @property
    def serials(self) -> dict[bytes, int]:
        """Return the serial of each zone by its origin."""
        ...

    @property
    def name_count(self) -> int:
        """Return how many names are published."""
        ...

    @property
    def held_count(self) -> int:
        """Return of how many vanished objects names stay."""
        ...

    @property
    def is_known(self) -> bool:
        """Tell whether denials are true."""
        ...

    def age_s(self) -> float:
        """Return how old what is published may be."""
        ...

    @property
    def primary(self) -> primary.Primary:
        """Return what serves secondaries."""
        ...


class Calls(metrics.ApiCalls):
    """Counts calls to the API server, and knows how old what it said last is."""

    def __init__(self, of: CollectorRegistry) -> None:
        super().__init__(of)
        self._heard_at = time.monotonic()
        """At first when we started: what came from disk is older than that."""
        self._open = 0

    def heard(self) -> None:
        """Take note that the API server said something about the names."""
        self._heard_at = time.monotonic()

    def age_s(self) -> float:
        """Return how old the names may be."""
        return 0.0 if self._open else time.monotonic() - self._heard_at

    def watch_opened(self, resource: str) -> None:
        """Count a watch."""
        super().watch_opened(resource)
        if resource == resources.L4_VIRTUAL_SERVICES.plural:
            self._open += 1
            self.heard()

    def watch_ended(self, resource: str, reason: str) -> None:
        """Count its end; an orderly one tells that there was nothing new."""
        super().watch_ended(resource, reason)
        if resource == resources.L4_VIRTUAL_SERVICES.plural:
            self._open -= 1
            if reason == "ended":
                self.heard()


class Metrics:
    """All metrics of one DNS server."""

    def __init__(self) -> None:
        self.registry = metrics.registry("dns")
        self.calls = Calls(self.registry)

    def show(self, published: Published, workers: crew.Crew) -> Callable[[], Awaitable[bytes]]:
        """Return what makes the text of all metrics, those of a feed and its workers included."""
        totals = tally.Totals()
        metrics.Computed(self.registry, lambda: self._compute(published, workers, totals))

        async def text() -> bytes:
            nonlocal totals
            totals = await workers.counts()
            return metrics.text(self.registry)

        return text

    def _compute(
        self, published: Published, workers: crew.Crew, totals: tally.Totals
    ) -> Iterator[Metric]:
        yield from counted(totals)
        delays = workers.delays
        yield VISIBLE_SECONDS.distribution([((), tuple(delays.buckets), delays.total_s)])
        serials = published.serials.items()
        yield SERIAL.family(((names.to_text(origin),), serial) for origin, serial in serials)
        yield NAMES.family([((), published.name_count)])
        yield KNOWN.family([((), published.is_known)])
        yield HELD.family([((), published.held_count)])
        yield AGE.family([((), published.age_s())])
        yield WORKERS.family([((), workers.size)])
        yield WORKER_RESTARTS.family([((), workers.restarts)])
        told = published.primary.notifier.counts
        yield TRANSFERS.family(((one,), published.primary.counts[one]) for one in primary.OUTCOMES)
        yield NOTIFICATIONS.family(((one,), told[one]) for one in notify.OUTCOMES)


def counted(totals: tally.Totals) -> Iterable[Metric]:
    """Return what workers counted, as metrics."""
    each = (("udp", totals.udp), ("tcp", totals.tcp))
    return (
        QUERIES.family(
            ((transport, lookup.rcode_name(rcode)), number)
            for transport, one in each
            for rcode, number in enumerate(one.rcodes)
            if number or rcode <= lookup.REFUSED
        ),
        UNANSWERED.family(((transport,), one.unanswered) for transport, one in each),
        SLOW_PATH.family(((transport,), one.slow) for transport, one in each),
        TRUNCATED.family(((transport,), one.truncated) for transport, one in each),
        RATE_LIMITED.family(
            [(("truncated",), totals.udp.slipped), (("dropped",), totals.udp.dropped)]
        ),
        QUERY_SECONDS.distribution([((), totals.udp.buckets, totals.udp.timed_ns / 1e9)]),
        WORKER_CPU.family([((), totals.cpu_ns / 1e9)]),
    )
