"""An agent on one of two nodes: it serves the pods of the other by that node's ports."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import lab_commands
from lab_commands import eventually, helm, kubectl, lab
from lbctl_lab import plan
from service_lab import Kuard, answering, client, curl_exit, dig, held, url

pytestmark = [pytest.mark.lab, pytest.mark.lab_alone]
CHART = str(Path(__file__).parents[2] / "charts" / "lbctl")
EDGE, FAR = plan.nodes(2)
REFUSED = 7
WITHIN_S = 30.0
"""For safety: nobody tells when kube-proxy is done."""
SETTINGS = (
    f"agent.nodeSelector.kubernetes\\.io/hostname={EDGE.name}",
    "agent.remoteMembers=nodePorts",
)


def agents() -> int:
    """Return how many agents there are, those that end among them."""
    said = kubectl("-n", "lbctl-system", "get", "pods", "-o", "name")
    return said.count("pod/lbctl-agent-")


@pytest.fixture(scope="module")
def kuard() -> Iterator[Kuard]:
    """A dual-stack kuard with one pod, on the node without an agent."""
    lab("down")
    lab("up", "--backend", "nft", "--cni", "bridge", timeout_s=600)
    values = ("--values", f"{lab_commands.ROOT}/release/values.yaml")
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    helm("upgrade", "lbctl", CHART, "-n", "lbctl-system", *values, *words, "--wait")
    eventually(lambda: agents() == 1, 60, "the other agent is gone")
    # What says that members there are the business of an agent that will come back.
    kubectl("delete", "servingnode", FAR.name)
    made = Kuard("edge")
    made.create(1)
    place = {"nodeSelector": {"kubernetes.io/hostname": FAR.name}}
    patch = json.dumps({"spec": {"template": {"spec": place}}})
    made.kubectl("patch", "deployment", "kuard", f"--patch={patch}")
    made.kubectl("rollout", "status", "deployment/kuard", "--timeout=90s")
    eventually(lambda: len(made.pods()) == 1, 60, "the pod has moved")
    made.wait("Up", "1/1")
    yield made
    lab("down")


def all_answer(kuard: Kuard) -> None:
    """Wait until exactly the pods that there are answer, at each address."""
    pods = kuard.pods()
    for vip in kuard.addresses():
        target = url(vip)
        what = f"{len(pods)} pods answer at {vip}"
        eventually(lambda to=target: answering(to, 60) == pods, WITHIN_S, what)


def test_traffic_and_name_follow_the_replicas(kuard: Kuard) -> None:
    before = kuard.addresses()
    all_answer(kuard)
    kuard.scale(5)
    all_answer(kuard)
    kuard.scale(0)
    assert curl_exit(url(before[0])) == REFUSED
    eventually(lambda: "NXDOMAIN" in dig(kuard.host), 10, "the name is gone")
    kuard.scale(2)
    eventually(lambda: before[0] in dig("+short", kuard.host), 10, "the name is back")
    all_answer(kuard)
    assert kuard.addresses() == before


def test_open_connections_outlive_new_members(kuard: Kuard) -> None:
    with held(kuard.addresses()[0], 9090, 50) as connections:
        eventually(lambda: len(connections.seen()) == 50, 30, "all are open")
        first = connections.seen()
        kuard.scale(5)
        assert connections.seen() == first


def test_replicas_of_the_name_server_are_served_wherever_they_are(kuard: Kuard) -> None:
    kubeconfig = f"--kubeconfig={lab_commands.ROOT}/admin.kubeconfig"
    argv = [lab_commands.LBCTL, "get", "members", kubeconfig, "-n", "lbctl-system"]

    def served() -> bool:
        lines = [line for line in lab_commands.run(argv).splitlines() if "lbctl-dns" in line]
        usable = {(node, word) for _, _, _, node, word, *_ in map(str.split, lines)}
        return usable == {(EDGE.name, "yes"), (FAR.name, "yes")}

    eventually(served, 60, "every replica is a member")


@pytest.mark.parametrize(
    ("family", "own"), [(0, EDGE.address_v4), (1, EDGE.address_v6)], ids=["IPv4", "IPv6"]
)
def test_with_policy_local_a_pod_sees_the_address_of_the_node_that_serves_it(
    kuard: Kuard, family: int, own: str
) -> None:
    kuard.patch({"externalTrafficPolicy": "Local"})
    target = url(kuard.addresses()[family])

    def seen() -> bool:
        said = client("sh", "-c", f"curl -sS -m 5 {target} || true")
        return f"client={own}" in said

    eventually(seen, WITHIN_S, "kube-proxy has the policy")


def test_a_service_without_node_ports_is_told_so(kuard: Kuard) -> None:
    ports = [{"name": "http", "port": 8080, "nodePort": 0}]
    kuard.kubectl("expose", "deployment", "kuard", "--name=closed", "--type=LoadBalancer",
                  "--port=8080", "--overrides="
                  + json.dumps({"spec": {"allocateLoadBalancerNodePorts": False,
                                         "ports": ports}}))  # fmt: skip

    def told() -> bool:
        return "NoNodePort" in kuard.kubectl("get", "service", "closed", "-o", "json")

    eventually(told, 30, "a condition says so")
