"""Metrics of an agent: what it serves, and how its passes end."""

import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry

from lbctl.runtime import metrics
from lbctl.runtime.metrics import Definition
from lbctl_dataplane.decisions import View
from lbctl_dataplane.roles import Programmed

SERVICES = Definition(
    "gauge", "lbctl_agent_virtual_services", "Virtual services in the last good pass."
)
MEMBERS = Definition(
    "gauge",
    "lbctl_agent_members",
    "Endpoints behind them: those on this node (`local`), and all (`cluster`).",
    ("where",),
)
HELD = Definition(
    "gauge",
    "lbctl_agent_held_services",
    "Virtual services that are served although their object vanished without a withdrawal.",
)
PASSES = Definition(
    "counter",
    "lbctl_agent_passes_total",
    "Passes: `done`, or `failed` when nothing could be programmed.",
    ("result",),
)
PASS_SECONDS = Definition(
    "histogram",
    "lbctl_agent_pass_seconds",
    "Time of a pass: apply what changed; in an audit, read everything back first.",
    (),
    (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
CHANGES = Definition(
    "counter",
    "lbctl_agent_changes_total",
    "Single objects of switch or kernel that were changed, by why: for a `decision` or endpoints "
    "that changed, or as a `repair` of drift or after a change on the node.",
    ("cause",),
)
EXCEPTIONS = Definition(
    "gauge", "lbctl_agent_exceptions", "Virtual services that could not be served as decided."
)
LAST_GOOD = Definition(
    "gauge",
    "lbctl_agent_seconds_since_good_pass",
    "Time since a pass did all there was to do; since the start, before the first one.",
)
PROBES = Definition(
    "counter",
    "lbctl_agent_probes_total",
    "Probes of health monitors by kind and result: `passed`, why it failed (`TimedOut` …), or "
    "`untold` when the machine could not ask and nothing was learned.",
    ("kind", "result"),
)
PROBE_SECONDS = Definition(
    "histogram",
    "lbctl_agent_probe_seconds",
    "Time that probes took which passed.",
    ("kind",),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
ASKED = Definition(
    "gauge", "lbctl_agent_monitored_members", "Members that a health monitor asks, each once."
)
DOWN = Definition(
    "gauge",
    "lbctl_agent_failing_members",
    "Members that fail their health monitor, also where they serve on because all of them fail.",
)
REFUSED = Definition(
    "counter",
    "lbctl_agent_refused_connections_total",
    "Connections that were refused here as they were beyond a limit of a policy, and each datagram "
    "that would have begun one. Backends without limits show none.",
    ("backend",),
)
LEGS = Definition("gauge", "lbctl_agent_info", "Always 1; who this agent is.", ("node", "role"))
OWN = (
    LEGS, SERVICES, MEMBERS, HELD, PASSES, PASS_SECONDS, CHANGES, EXCEPTIONS, LAST_GOOD,
    PROBES, PROBE_SECONDS, ASKED, DOWN, REFUSED,
)  # fmt: skip


class Probes:
    """Counts what health monitors do: see `lbctl_dataplane.monitors.prober.Tally`."""

    def __init__(self, of: CollectorRegistry) -> None:
        self._probes = PROBES.counter(of)
        self._seconds = PROBE_SECONDS.histogram(of)
        self._asked = ASKED.gauge(of)
        self._down = DOWN.gauge(of)

    def probed(self, kind: str, result: str, took_s: float) -> None:
        """Count one probe."""
        self._probes.labels(kind, result).inc()
        if result == "passed":
            self._seconds.labels(kind).observe(took_s)

    def stand(self, asked: int, failing: int) -> None:
        """Take note of how many targets are asked, and of how many members fail."""
        self._asked.set(asked)
        self._down.set(failing)


class Metrics:
    """All metrics of one agent."""

    def __init__(self, node: str, role: str) -> None:
        self.registry = metrics.registry("agent")
        self.calls = metrics.ApiCalls(self.registry)
        self.probes = Probes(self.registry)
        self.held: Callable[[], int] = lambda: 0
        """Tells how many decisions are held for doubt."""
        self.refused: Callable[[], Mapping[str, int]] = dict
        """Tells how many connections limits have refused, by backend."""
        self._node = node
        self._role = role
        self._passes = PASSES.counter(self.registry)
        self._seconds = PASS_SECONDS.histogram(self.registry)
        self._changes = CHANGES.counter(self.registry)
        self._view: View | None = None
        self._exceptions = 0
        self._good_at = time.monotonic()
        self._complaint = "no pass yet: the API server was not reached, and no state is on disk"
        for result in ("done", "failed"):
            self._passes.labels(result)
        for cause in ("decision", "repair"):
            self._changes.labels(cause)
        metrics.Computed(self.registry, self._compute)

    def done(self, view: View, programmed: Programmed, took_s: float) -> None:
        """Take note of a good pass."""
        self._passes.labels("done").inc()
        self._seconds.observe(took_s)
        self._changes.labels("decision" if view.concerned else "repair").inc(programmed.changed)
        self._view = view
        self._exceptions = len(programmed.exceptions)
        self._good_at = time.monotonic()
        self._complaint = ""

    def failed(self, why: str) -> None:
        """Take note of a pass that programmed nothing."""
        self._passes.labels("failed").inc()
        self._complaint = f"the last pass failed: {why}"

    async def ready(self) -> str:
        """Return what is wrong; nothing when the last pass was good."""
        return self._complaint

    async def text(self) -> bytes:
        """Return all metrics as they are now."""
        return metrics.text(self.registry)

    def _compute(self) -> Iterator[Metric]:
        yield LEGS.family([((self._node, self._role), 1)])
        services = len(self._view.services) if self._view else 0
        endpoints = self._view.endpoints if self._view else {}
        everywhere = [one for found in endpoints.values() for one in found]
        local = sum(one.node == self._node for one in everywhere)
        yield SERVICES.family([((), services)])
        yield MEMBERS.family([(("local",), local), (("cluster",), len(everywhere))])
        yield HELD.family([((), self.held())])
        yield REFUSED.family(((backend,), count) for backend, count in self.refused().items())
        yield EXCEPTIONS.family([((), self._exceptions)])
        yield LAST_GOOD.family([((), time.monotonic() - self._good_at)])
