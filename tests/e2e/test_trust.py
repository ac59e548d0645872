"""What may die, dies: traffic goes on, and whoever comes back catches up."""

import time

import pytest

from lab_commands import eventually, kubectl_json, lab
from service_lab import Kuard, client, dig, requests, url

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab")]
CAUGHT_UP_S = 10.0
SYSTEM = "lbctl-system"


@pytest.fixture(scope="module")
def kuard(lab):
    """A dual-stack kuard with two pods."""
    made = Kuard("trust")
    made.create(2)
    yield made
    made.delete()


def works_by_name(kuard: Kuard) -> bool:
    return client("curl", "-sS", "-m", "3", url(kuard.host)).startswith("pod=kuard-")


def leader() -> str:
    """Return the pod that decides."""
    lease = kubectl_json("-n", SYSTEM, "get", "lease", "lbctl-controller")
    return str(lease["spec"]["holderIdentity"]).partition("_")[0]


def pod_of(component: str, node: str) -> str:
    """Return the name of the component's pod on a node."""
    label = f"app.kubernetes.io/component={component}"
    pods = kubectl_json("-n", SYSTEM, "get", "pods", "-l", label)["items"]
    return next(pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == node)


def restarts(pod: str) -> int:
    found = kubectl_json("-n", SYSTEM, "get", "pod", pod)["status"]["containerStatuses"]
    return sum(int(status["restartCount"]) for status in found)


PODS = {
    "leader": leader,
    "agent-node-1": lambda: pod_of("agent", "node-1"),
    "agent-node-2": lambda: pod_of("agent", "node-2"),
    "dns-node-1": lambda: pod_of("dns", "node-1"),
}


@pytest.mark.parametrize("which", sorted(PODS))
def test_killing_a_pod_of_ours_costs_at_most_one_request_of_twenty_a_second(kuard, which):
    pod = PODS[which]()
    before = restarts(pod)
    with requests(url(kuard.host), rate=20) as result:
        time.sleep(2)
        lab("kill", f"pod/{pod}")
        time.sleep(3)
        kuard.kubectl("scale", "deployment/kuard", "--replicas=3")
        kuard.kubectl("rollout", "status", "deployment/kuard", "--timeout=60s")
        kuard.wait("Up", "3/3", timeout_s=CAUGHT_UP_S)
        eventually(lambda: works_by_name(kuard), CAUGHT_UP_S, "traffic by name")
        time.sleep(2)
    kuard.scale(2)
    assert restarts(pod) > before
    assert result["sent"] > 100
    assert len(result["failed"]) <= 1, result["failed"]


def test_killing_the_routers_agent_costs_at_most_one_request_of_twenty_a_second(kuard):
    process = "agent-router"
    with requests(url(kuard.host), rate=20) as result:
        time.sleep(2)
        lab("kill", process)
        time.sleep(3)
        kuard.kubectl("scale", "deployment/kuard", "--replicas=3")
        kuard.kubectl("rollout", "status", "deployment/kuard", "--timeout=60s")
        lab("start", process)
        kuard.wait("Up", "3/3", timeout_s=CAUGHT_UP_S)
        eventually(lambda: works_by_name(kuard), CAUGHT_UP_S, "traffic by name")
        time.sleep(2)
    kuard.scale(2)
    assert result["sent"] > 100
    assert len(result["failed"]) <= 1, result["failed"]


def test_thirty_seconds_without_the_api_server_cost_at_most_one_request(kuard):
    with requests(url(kuard.host), rate=20) as result:
        time.sleep(1)
        lab("stop", "apiserver")
        time.sleep(30)
        assert "NOERROR" in dig(kuard.host)
        lab("start", "apiserver")
        eventually(lambda: kuard.status().get("state") == "Up", 30, "the API server answers")
        kuard.kubectl("scale", "deployment/kuard", "--replicas=3")
        kuard.wait("Up", "3/3", timeout_s=150)  # Kubernetes itself backs off for a minute
        time.sleep(1)
    kuard.scale(2)
    assert result["sent"] > 600
    assert len(result["failed"]) <= 1, result["failed"]


def test_a_setting_that_does_not_parse_is_an_error_that_names_field_and_reason(tmp_path):
    import subprocess

    import lab_commands

    bad = tmp_path / "bad.yaml"
    bad.write_text("addressPools: [{name: default, addresses: [198.18.0.0/33]}]\n")
    done = subprocess.run(
        [lab_commands.LBCTL, "controller", "--config", str(bad)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "addressPools.0.addresses" in done.stderr
    assert "198.18.0.0/33" in done.stderr
