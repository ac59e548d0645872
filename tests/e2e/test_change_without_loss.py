"""Members, nodes, agents and switches change under load: what it costs new and open connections.

Each change runs beside 100 new connections a second and 200 open ones that talk all the time. The
figures come out as a table: printed at the end, and in dist/change-without-loss.md.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab_commands import eventually, kubectl, kubectl_json, lab
from service_lab import Kuard, held, requests, url

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab")]
RATE, HELD = 100, 200
LINES = 9090
SYSTEM = "lbctl-system"
TABLE = Path(__file__).parents[2] / "dist" / "change-without-loss.md"
LEAST_SUCCESS = 0.95
"""Of new connections, what upstream's own cases ask for; the project's aim is 0.999."""


@dataclass(frozen=True)
class Cost:
    """What one change cost."""

    what: str
    sent: int
    failed: list[str]
    slow: list[str]
    """Answers that took over a second."""
    broken: list[str]
    """Open connections that broke though their pod was never asked to end."""
    ended: int
    """Open connections that ended with their pod."""
    took_s: float

    @property
    def success(self) -> float:
        """Return the part of new connections that were answered."""
        return 1 - len(self.failed) / self.sent

    @property
    def row(self) -> str:
        """Return a line of the table."""
        broken = f"{len(self.broken)} of {HELD - self.ended}"
        cells = (
            self.what, f"{self.took_s:.0f} s", f"{self.sent:,}", f"{len(self.failed)}",
            f"{self.success:.2%}", f"{len(self.slow)}", broken,
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


HEAD = """\
| change | took | new connections | failed | answered | over 1 s | open ones broken, pod stays |
|---|---|---|---|---|---|---|
"""


@pytest.fixture(scope="module")
def costs(lab) -> Iterator[list[Cost]]:
    """What changes cost so far; the table at the end."""
    found: list[Cost] = []
    yield found
    table = HEAD + "".join(f"{cost.row}\n" for cost in found)
    failures = "".join(f"\n{cost.what}: {failed}\n" for cost in found for failed in cost.failed)
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(table + failures)
    print(f"\n{table}{failures}")


@pytest.fixture(scope="module")
def kuard(lab) -> Iterator[Kuard]:
    """Four pods that go as Kubernetes advises: still listening for a while after they are told."""
    made = Kuard("lossless")
    made.create(4)
    made.patient()
    yield made
    made.delete()


@contextlib.contextmanager
def costing(kuard: Kuard, costs: list[Cost], what: str) -> Iterator[None]:
    """Measure what happens meanwhile, and add it to the costs."""
    vip = kuard.addresses()[0]
    with held(vip, LINES, HELD) as open_ones, requests(url(vip), rate=RATE) as result:
        eventually(lambda: len(open_ones.seen()) == HELD, 30, "all are open")
        first, staying = open_ones.seen(), kuard.pods()
        assert set(first.values()) == staying
        began = time.monotonic()
        yield
        took_s = time.monotonic() - began
        time.sleep(2)
        staying &= kuard.pods()
        last = open_ones.seen()
    lost = {number: last[number] for number in first if last[number] != first[number]}
    broken = [said for number, said in lost.items() if first[number] in staying]
    ended = sum(pod not in staying for pod in first.values())
    cost = Cost(what, result["sent"], result["failed"], result["slow"], broken, ended, took_s)
    costs.append(cost)
    print(f"\n{cost.row}\n{cost.failed[:10]}\n{cost.broken[:10]}")


def roll_out(kuard: Kuard) -> None:
    kuard.kubectl("rollout", "restart", "deployment/kuard")
    kuard.kubectl("rollout", "status", "deployment/kuard", "--timeout=120s")


def scale(kuard: Kuard) -> None:
    kuard.scale(5)
    time.sleep(2)
    kuard.scale(3)
    eventually(lambda: len(kuard.pods()) == 3, 30, "two pods are asked to go")
    time.sleep(5)


def roll_out_five_times(kuard: Kuard) -> None:
    for _ in range(5):
        roll_out(kuard)


def drain_a_node(kuard: Kuard) -> None:
    drain = ("drain", "node-2", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=100s")
    try:
        kubectl(*drain, timeout_s=120)
        kuard.kubectl("rollout", "status", "deployment/kuard", "--timeout=60s")
    finally:
        kubectl("uncordon", "node-2")


def agents() -> dict[str, str]:
    """Return the agents' pods by node."""
    label = "app.kubernetes.io/component=agent"
    pods = kubectl_json("-n", SYSTEM, "get", "pods", "-l", label)["items"]
    return {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in pods}


def kill_the_agents(kuard: Kuard) -> None:
    for pod in agents().values():
        lab("kill", f"pod/{pod}")
    time.sleep(5)
    kuard.scale(5)
    kuard.scale(4)


def replace_the_agents(kuard: Kuard) -> None:
    kubectl("-n", SYSTEM, "rollout", "restart", "daemonset/lbctl-agent")
    kubectl("-n", SYSTEM, "rollout", "status", "daemonset/lbctl-agent", "--timeout=100s")


def restart_the_routers_agent(kuard: Kuard) -> None:
    lab("kill", "agent-router")
    time.sleep(3)
    lab("start", "agent-router")
    time.sleep(5)


CHANGES: dict[str, Callable[[Kuard], None]] = {
    "4 → 5 → 3 pods": scale,
    "rolling update, five times": roll_out_five_times,
    "node drained": drain_a_node,
    "all agents killed, 4 → 5 → 4 pods": kill_the_agents,
    "all agents replaced (upgrade)": replace_the_agents,
    "router agent killed and started": restart_the_routers_agent,
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_breaks_no_flow_of_a_pod_that_stays(kuard, costs, what):
    kuard.scale(4)
    with costing(kuard, costs, what):
        CHANGES[what](kuard)
    assert costs[-1].sent > RATE
    assert costs[-1].broken == []
    assert costs[-1].success >= LEAST_SUCCESS, costs[-1].failed


def test_a_switch_that_restarts_serves_again(kuard, costs):
    kuard.scale(4)
    with costing(kuard, costs, "Open vSwitch of a node restarted"):
        lab("stop", "vswitchd-node-1")
        lab("start", "vswitchd-node-1")
        time.sleep(5)
    assert costs[-1].success >= LEAST_SUCCESS, costs[-1].failed
