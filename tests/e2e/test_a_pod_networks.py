"""Backend nft on each of the pods' networks that go with it; every one is a lab of its own."""

import contextlib
from collections.abc import Iterator

import pytest

from lab_commands import eventually, kubectl, lab
from lbctl_lab import plan
from service_lab import (
    Kuard,
    answering,
    client,
    curl_exit,
    dig,
    held,
    programmed,
    router,
    trace,
    url,
)

pytestmark = [pytest.mark.lab, pytest.mark.lab_alone]
NODES = ("node-1", "node-2")
NO_ROUTE = 7
"""How curl ends where no packet can be sent."""


@pytest.fixture(scope="module", params=plan.FITTING["nft"])
def cni(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a network of pods; the lab has it, with lbctl in pods."""
    lab("down")
    lab("up", "--backend", "nft", "--cni", request.param, timeout_s=600)
    yield request.param
    lab("down")


@pytest.fixture(scope="module")
def kuard(cni: str) -> Kuard:
    """A dual-stack kuard with one pod; it goes with its lab."""
    made = Kuard("matrix")
    made.create(1)
    return made


def test_traffic_state_and_name_follow_the_replicas(kuard: Kuard) -> None:
    before = kuard.addresses()
    assert answering(url(kuard.host), 5) == kuard.pods()
    kuard.scale(5)
    for vip in before:
        assert answering(url(vip), 80) == kuard.pods()
    kuard.scale(0)
    assert kuard.status()["reason"] == "NoEndpoints"
    eventually(lambda: "NXDOMAIN" in dig(kuard.host), 10, "the name is gone")
    kuard.scale(2)
    eventually(lambda: before[0] in dig("+short", kuard.host), 10, "the name is back")
    for vip in before:
        assert answering(url(vip), 60) == kuard.pods()


@pytest.mark.parametrize(
    ("family", "own"), [(0, plan.CLIENT_V4), (1, plan.CLIENT_V6)], ids=["IPv4", "IPv6"]
)
def test_a_pod_sees_the_clients_own_address(kuard: Kuard, family: int, own: str) -> None:
    said = client("curl", "-sS", "-m", "5", url(kuard.addresses()[family]))
    assert said.split()[1] == f"client={own}"


def test_open_connections_outlive_new_members_and_the_end_of_others(kuard: Kuard) -> None:
    with held(kuard.addresses()[0], 9090, 100) as connections:
        eventually(lambda: len(connections.seen()) == 100, 30, "all are open")
        first = connections.seen()
        kuard.scale(5)
        assert connections.seen() == first
        kuard.scale(3)
        remaining = kuard.pods()
        after = connections.seen()
    assert {after[at] for at in after if first[at] in remaining} <= remaining
    assert all(after[at] == first[at] for at in after if first[at] in remaining)


def test_a_pod_reaches_every_member_itself_among_them(kuard: Kuard) -> None:
    fetch = ("exec", min(kuard.pods()), "--", "/echo", "fetch", url(kuard.addresses()[0]))
    said = [kuard.kubectl(*fetch) for _ in range(36)]
    # Of 3 members: 36 draws miss one once in 700,000.
    assert {line.split()[0].removeprefix("pod=") for line in said} == kuard.pods()


def test_pods_of_an_overlay_are_no_address_that_a_client_knows(cni: str, kuard: Kuard) -> None:
    for addresses in kuard.pod_addresses().values():
        for address in addresses:
            assert (curl_exit(url(address)) == NO_ROUTE) is (cni == "vxlan")


def test_clients_that_no_route_of_the_nodes_leads_to_are_served(kuard: Kuard) -> None:
    ways = ((plan.CLIENT_NET_V4, plan.ROUTER_V4), (plan.CLIENT_NET_V6, plan.ROUTER_V6))
    for node in NODES:
        for network, _ in ways:
            lab("exec", node, "--", "ip", "route", "replace", "blackhole", network)
    try:
        for vip in kuard.addresses():
            assert len(answering(url(vip), 20)) > 1
    finally:
        for node in NODES:
            for network, router_end in ways:
                lab("exec", node, "--", "ip", "route", "replace", network, "via", router_end)


@contextlib.contextmanager
def entering(vip: str, node: str) -> Iterator[None]:
    """Have the router's own packets to an IPv4 VIP enter the cluster by a node, as ECMP might."""
    leg = kubectl("get", "servingnode", node, "-o", "jsonpath={.spec.legs[0].address}")
    way = ("default", "via", leg, "table", "999")
    rule = ("pref", "100", "to", vip, "lookup", "999")
    lab("exec", "router", "--", "ip", "route", "add", *way)
    lab("exec", "router", "--", "ip", "rule", "add", *rule)
    try:
        yield
    finally:
        lab("exec", "router", "--", "ip", "rule", "delete", *rule)
        lab("exec", "router", "--", "ip", "route", "delete", *way)


def test_a_trace_tells_that_a_node_without_members_passes_on_to_its_peer(kuard: Kuard) -> None:
    kuard.scale(1)
    eventually(lambda: len(kuard.pod_addresses()) == 1, 30, "the others have ended")
    home = kuard.kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}")
    (other,) = set(NODES) - {home}
    by = {home: None, other: "lbctl-vx"}
    vip = kuard.addresses()[0]
    for entry in NODES:
        found = trace(plan.CLIENT_V4, f"{vip}:8080", "--at", entry)
        assert found["verdict"] == "Delivered"
        assert [(way["node"], way["by"]) for way in found["ways"]] == [(home, by[entry])]
        with entering(vip, entry):
            assert lab("exec", "router", "--", "curl", "-sS", "-m", "5", url(vip)).startswith(
                "pod="
            )


def test_a_deleted_service_leaves_nothing(kuard: Kuard) -> None:
    addresses = kuard.addresses()
    assert all(address in programmed("node-1") + programmed("node-2") for address in addresses)
    kuard.kubectl("delete", "service", "kuard")
    for address in addresses:
        assert address not in programmed("node-1") + programmed("node-2") + router()
    assert "NXDOMAIN" in dig(kuard.host)
