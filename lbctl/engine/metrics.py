"""Metrics of the controller: what is decided, how long it takes, what is left of the pools."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol

from prometheus_client.metrics import Counter as CounterMetric
from prometheus_client.metrics import Histogram
from prometheus_client.metrics_core import Metric

from lbctl.engine.caches import Caches
from lbctl.ipam.pools import FAMILIES, AddressPools
from lbctl.ipam.resolve import Resolved
from lbctl.kube.objects import Json, name_of
from lbctl.kube.store import Change, Store
from lbctl.model import errors
from lbctl.plan import policy_status
from lbctl.plan.objects import shown
from lbctl.runtime import metrics
from lbctl.runtime.metrics import Definition

Clock = Callable[[], float]
"""Seconds, from any start."""

LEADER = Definition("gauge", "lbctl_leader", "1 while this controller holds the Lease and decides.")
SERVICES = Definition(
    "gauge", "lbctl_virtual_services", "Virtual services by the state that users see.", ("state",)
)
REFUSED = Definition(
    "gauge",
    "lbctl_services_refused",
    "Services that this leader could give no address; their events say why.",
)
POOL_ADDRESSES = Definition(
    "gauge", "lbctl_pool_addresses", "Addresses that a pool has.", ("pool", "family")
)
POOL_USED = Definition(
    "gauge", "lbctl_pool_addresses_used", "Addresses of a pool that are given.", ("pool", "family")
)
POOL_READY = Definition(
    "gauge",
    "lbctl_pool_ready",
    "1 where a pool gives addresses as it says, 0 where its condition Ready says why it does not.",
    ("pool",),
)
POLICIES = Definition(
    "gauge",
    "lbctl_policies",
    "L4Policies by their condition Accepted: `True`, `False` (its reason says why one does not "
    "count as it says), `Unknown` (the leader has not come to it yet).",
    ("accepted",),
)
AGENTS = Definition(
    "gauge",
    "lbctl_agents",
    "Agents that have ever reported, by what is known of them: `live`, `failing` (alive, but "
    "nothing can be programmed), `lost` (its Lease is not renewed).",
    ("role", "state"),
)
QUEUE = Definition("gauge", "lbctl_queue_depth", "Services that wait for a pass.")
PASSES = Definition(
    "counter",
    "lbctl_passes_total",
    "Passes over a Service: `done`, `conflict` (somebody else wrote: decided again), `failed` "
    "(the API server refused or was away: tried again), `crashed` (a fault of lbctl: see the log).",
    ("result",),
)
PASS_SECONDS = Definition(
    "histogram",
    "lbctl_pass_seconds",
    "Time from taking a Service up to having nothing left to do for it, API calls included.",
    (),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
BIRTH_SECONDS = Definition(
    "histogram",
    "lbctl_birth_seconds",
    "Time from seeing a new Service of type LoadBalancer up to its address in its status.",
    (),
    (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
EVENTS_DROPPED = Definition(
    "counter",
    "lbctl_events_dropped_total",
    "Kubernetes events that were not sent: too many at a time, or refused.",
)
OWN = (
    LEADER, SERVICES, REFUSED, POOL_ADDRESSES, POOL_USED, POOL_READY, POLICIES, AGENTS,
    QUEUE, PASSES, PASS_SECONDS, BIRTH_SECONDS, EVENTS_DROPPED,
)  # fmt: skip

STATES = ("Up", "Down", "Pending")


class Controller(Protocol):
    """What is asked for when somebody wants to see the metrics."""

    known: Caches

    @property
    def leads(self) -> bool:
        """Tell whether this process holds the Lease."""
        ...

    @property
    def resolved(self) -> Resolved:
        """Return which pools give addresses now, and why what others say does not count."""
        ...

    @property
    def queue_depth(self) -> int:
        """Return how many Services wait for a pass."""
        ...

    @property
    def refused_count(self) -> int:
        """Return how many Services could be given no address."""
        ...

    @property
    def events_dropped(self) -> int:
        """Return how many events were not sent."""
        ...

    def is_live(self, node: str) -> bool:
        """Tell whether the agent of a node is alive."""
        ...


class Metrics:
    """All metrics of one controller."""

    def __init__(self) -> None:
        self.registry = metrics.registry("controller")
        self.calls = metrics.ApiCalls(self.registry)
        self._passes = PASSES.counter(self.registry)
        self._pass_seconds = PASS_SECONDS.histogram(self.registry)
        self._birth_seconds = BIRTH_SECONDS.histogram(self.registry)

    def show(self, controller: Controller, clock: Clock) -> None:
        """Show what a controller knows and does from now on."""
        births = Births(self._birth_seconds, lambda: controller.leads, clock)
        controller.known.services.subscribe(births.seen)
        metrics.Computed(self.registry, lambda: _computed(controller))

    async def text(self) -> bytes:
        """Return all metrics as they are now."""
        return metrics.text(self.registry)

    async def timed(self, work: Awaitable[None], clock: Clock) -> None:
        """Do a pass, and count it by how it ends; what it raises is raised."""
        await timed(work, clock, self._passes, self._pass_seconds)


async def timed(
    work: Awaitable[None], clock: Clock, passes: CounterMetric, seconds: Histogram
) -> None:
    """Await `work` and count how it ends; a cancelled one does not count."""
    started = clock()
    try:
        await work
    except errors.Conflict:
        passes.labels("conflict").inc()
        raise
    except errors.LbctlError:
        passes.labels("failed").inc()
        raise
    except Exception:
        passes.labels("crashed").inc()
        raise
    passes.labels("done").inc()
    seconds.observe(clock() - started)


class Births:
    """Measures how long new Services wait for their address."""

    def __init__(self, seconds: Histogram, leads: Callable[[], bool], clock: Clock) -> None:
        self._seconds = seconds
        self._leads = leads
        self._clock = clock
        self._since: dict[str, float] = {}
        """When each Service without an address was seen first."""

    def seen(self, change: Change) -> None:
        """Take a change of a Service; those that others led to their address do not count."""
        obj = change.new
        if obj is None or (obj.get("spec") or {}).get("type") != "LoadBalancer":
            self._since.pop(change.key, None)
        elif not _has_address(obj):
            if change.key not in self._since:
                self._since[change.key] = self._clock()
        else:
            since = self._since.pop(change.key, None)
            if since is not None and self._leads():
                self._seconds.observe(self._clock() - since)


def _has_address(service: Json) -> bool:
    return bool(((service.get("status") or {}).get("loadBalancer") or {}).get("ingress"))


def _computed(controller: Controller) -> Iterator[Metric]:
    known = controller.known
    yield LEADER.family([((), controller.leads)])
    yield SERVICES.family(((state,), count) for state, count in _states(known.decisions).items())
    yield REFUSED.family([((), controller.refused_count)])
    yield POOL_ADDRESSES.family(_sizes(controller.resolved.pools).items())
    yield POOL_USED.family(_used(controller.resolved.pools, known.allocations).items())
    yield POOL_READY.family(_ready(controller.resolved).items())
    yield POLICIES.family(_accepted(known.policies).items())
    yield AGENTS.family(_agents(known.serving_nodes, controller.is_live).items())
    yield QUEUE.family([((), controller.queue_depth)])
    yield EVENTS_DROPPED.family([((), controller.events_dropped)])


def _states(decisions: Store) -> Mapping[str, int]:
    counted = dict.fromkeys(STATES, 0)
    for obj in decisions:
        state = (obj.get("status") or {}).get("state") or "Pending"
        counted[state] = counted.get(state, 0) + 1
    return counted


def _sizes(pools: AddressPools) -> Mapping[tuple[str, str], int]:
    found = {
        (pool.name, f"IPv{family}"): pools.size(pool.name, family)
        for pool in pools
        for family in FAMILIES
    }
    return {key: size for key, size in found.items() if size}


def _used(pools: AddressPools, allocations: Store) -> Mapping[tuple[str, str], int]:
    used: Counter[tuple[str, str]] = Counter(dict.fromkeys(_sizes(pools), 0))
    for obj in allocations:
        # Not parsed: that would cost 10,000 allocations 60 ms, at each scrape.
        spec = obj["spec"]
        used[spec["pool"], "IPv6" if ":" in spec["address"] else "IPv4"] += 1
    return used


def _ready(resolved: Resolved) -> Mapping[tuple[str], int]:
    ready = dict.fromkeys(resolved.refused, 0)
    # A name that the settings have, too: theirs gives addresses.
    ready |= {pool.name: 1 for pool in resolved.pools if pool.name not in resolved.lasting}
    return {(name,): value for name, value in ready.items()}


def _accepted(policies: Store) -> Mapping[tuple[str], int]:
    counted = dict.fromkeys(("True", "False", "Unknown"), 0)
    for obj in policies:
        accepted = shown(obj.get("status") or {}, policy_status.ACCEPTED)
        counted[accepted.get("status", "Unknown")] += 1
    return {(status,): count for status, count in counted.items()}


def _agents(serving_nodes: Store, is_live: Callable[[str], bool]) -> Mapping[tuple[str, str], int]:
    counted: Counter[tuple[str, str]] = Counter()
    for obj in serving_nodes:
        role = str((obj.get("spec") or {}).get("role") or "node")
        failing = (obj.get("status") or {}).get("allFailing")
        state = "lost" if not is_live(name_of(obj)) else "failing" if failing else "live"
        counted[role, state] += 1
    return {
        (role, state): counted[role, state]
        for role in ("node", "router")
        for state in ("live", "failing", "lost")
    }
