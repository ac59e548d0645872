"""What an agent shows of itself: by its own account, and read as a kubelet and Prometheus do."""

from collections.abc import Sequence
from pathlib import Path

import dataplane_builders as build
import event_loops
import metrics_reader
from fakes import api_server
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.model import errors
from lbctl.model.virtual_service import render_virtual_service
from lbctl.settings import AgentSettings, MetricsSettings, Settings
from lbctl_dataplane import decisions, metrics
from lbctl_dataplane.agent import Agent, Options, Pace
from lbctl_dataplane.backends import memory
from lbctl_dataplane.backends.port import Leg, Outcome
from lbctl_dataplane.node import NodeRole
from lbctl_dataplane.roles import Programmed
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.serving_node import Exemption

NODE = "node-1"
KUARD = build.service()
PASSES = "lbctl_agent_passes_total"
CHANGES = "lbctl_agent_changes_total"


def view(*, concerned: bool = True) -> decisions.View:
    found = decisions.read_slices(
        [build.slice_object("kuard-1", 1, ("10.0.0.1", NODE), ("10.0.0.2", "node-2"))]
    )
    return decisions.View((KUARD,), {}, {KUARD.key: found}, 1, 1, concerned)


def test_before_the_first_pass_an_agent_is_not_ready_and_says_why() -> None:
    kept = metrics.Metrics(NODE, "node")
    assert "no pass yet" in event_loops.run(kept.ready())
    shown = metrics_reader.of(kept.registry)
    assert shown.value(PASSES, result="done") == 0
    assert shown.value("lbctl_agent_info", node=NODE, role="node") == 1


def test_a_good_pass_counts_with_what_it_serves() -> None:
    kept = metrics.Metrics(NODE, "node")
    kept.held = lambda: 2
    exception = Exemption("default.kuard", "NoLeg", "none")
    kept.done(view(), Programmed(3, (exception,)), 0.02)
    assert event_loops.run(kept.ready()) == ""
    shown = metrics_reader.of(kept.registry)
    assert shown.value(PASSES, result="done") == 1
    assert shown.value("lbctl_agent_pass_seconds_sum") == 0.02
    assert shown.value("lbctl_agent_virtual_services") == 1
    assert shown.value("lbctl_agent_members", where="local") == 1
    assert shown.value("lbctl_agent_members", where="cluster") == 2
    assert shown.value("lbctl_agent_exceptions") == 1
    assert shown.value("lbctl_agent_held_services") == 2


def test_changes_count_by_what_caused_them() -> None:
    kept = metrics.Metrics(NODE, "node")
    kept.done(view(), Programmed(3), 0.02)
    kept.done(view(concerned=False), Programmed(2), 0.02)
    kept.done(view(concerned=False), Programmed(0), 0.02)
    shown = metrics_reader.of(kept.registry)
    assert shown.value(CHANGES, cause="decision") == 3
    assert shown.value(CHANGES, cause="repair") == 2


def test_a_failed_pass_makes_unready_and_the_next_good_one_ready() -> None:
    kept = metrics.Metrics(NODE, "node")
    kept.done(view(), Programmed(3), 0.02)
    kept.failed("bridge br-int does not answer")
    assert "br-int" in event_loops.run(kept.ready())
    shown = metrics_reader.of(kept.registry)
    assert shown.value(PASSES, result="failed") == 1
    assert shown.value("lbctl_agent_virtual_services") == 1
    kept.done(view(), Programmed(0), 0.02)
    assert event_loops.run(kept.ready()) == ""


def test_what_limits_refused_is_asked_when_metrics_are() -> None:
    kept, counts = metrics.Metrics(NODE, "node"), {"nft": 0}
    assert b"refused_connections_total{" not in event_loops.run(kept.text())
    kept.refused = lambda: counts
    for count in (3, 5):
        counts["nft"] = count
        shown = metrics_reader.of(kept.registry)
        assert shown.value("lbctl_agent_refused_connections_total", backend="nft") == count


class Switch(memory.MemoryBackend):
    """The switch in memory, which may be broken."""

    broken = False

    async def program(self, frontends: Sequence[Frontend]) -> Outcome:
        if self.broken:
            raise errors.Unavailable("bridge br-int does not answer")
        return await super().program(frontends)


def test_a_running_agent_shows_its_passes_and_whether_the_last_one_was_good(
    tmp_path: Path,
) -> None:
    port = metrics_reader.free_port()
    settings = Settings(
        agent=AgentSettings(state_dir=str(tmp_path)), metrics=MetricsSettings(agent_port=port)
    )
    switch = Switch((Leg(build.ip("172.31.241.6"), "02:00:00:00:00:06"),))

    async def body() -> None:
        kept = metrics.Metrics(NODE, "node")
        async with (
            api_server.serving() as fake,
            Client(fake.cluster, observer=kept.calls) as api,
            event_loops.running(
                Agent(api, NodeRole(NODE, switch, build.CHOSEN), _options(settings), kept).run()
            ),
        ):
            await metrics_reader.until_status(port, "/readyz", 200)
            wanted = {"metadata": {"name": KUARD.key}, "spec": render_virtual_service(KUARD)}
            await api.create(resources.L4_VIRTUAL_SERVICES, wanted)
            shown = await metrics_reader.until(
                port, lambda shown: shown.value("lbctl_agent_virtual_services") == 1
            )
            assert shown.value("lbctl_api_watches", resource="l4virtualservices") == 1
            assert shown.value("lbctl_agent_seconds_since_good_pass") < event_loops.LIMIT_S
            switch.broken = True
            said = await metrics_reader.until_status(port, "/readyz", 503)
            assert "br-int" in said
            assert (await metrics_reader.get(port, "/healthz"))[0] == 200
            assert (await metrics_reader.scrape(port)).value(PASSES, result="failed") >= 1
            switch.broken = False
            await metrics_reader.until_status(port, "/readyz", 200)

    event_loops.run(body())


def _options(settings: Settings) -> Options:
    return Options(NODE, settings, Pace(resync_s=0.05, hold_check_s=0.05, backoff_s=(0.01,)))
