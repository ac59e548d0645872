"""Every check of a node."""

from typing import Any

import pytest

import preflight_builders as built
from lbctl.preflight import node_checks
from lbctl.preflight.facts import Proxy, Unread
from lbctl.preflight.findings import Finding, Level
from lbctl.settings_agent import AgentSettings

BROKEN = Unread("it broke")


def judged(**changed: Any) -> dict[str, Finding]:
    every = node_checks.node(built.node_facts(**changed), AgentSettings())
    return {finding.title: finding for finding in every}


def test_a_ready_node_has_nothing_but_good_findings() -> None:
    found = judged()
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert len(found) == 11


CASES = [
    ("Open vSwitch", {"bridges": BROKEN}, Level.PROBLEM, "it broke"),
    ("Bridge", {"bridges": ("br-ex",)}, Level.PROBLEM, "no bridge br-int"),
    ("OpenFlow 1.5", {"openflow": BROKEN}, Level.PROBLEM, "it broke"),
    ("Service interface", {"ports": ("veth1",)}, Level.PROBLEM, "no port svc0"),
    ("Service interface", {"ports": BROKEN}, Level.WARNING, "it broke"),
    ("nft netdev hook", {"netdev_hook": BROKEN}, Level.WARNING, "it broke"),
    ("nft netdev hook", {"netdev_hook": "no such"}, Level.PROBLEM, "no such"),
    ("nft netdev hook", {"netdev_hook": "no such", "datapath": ""}, Level.OK, "not needed"),
    ("nft netdev hook", {"netdev_hook": "no", "datapath": BROKEN}, Level.PROBLEM, "no"),
    ("conntrack tool", {"conntrack": False}, Level.WARNING, "router"),
    ("rp_filter", {"rp_filter": 0}, Level.OK, "off"),
    ("rp_filter", {"rp_filter": 1}, Level.PROBLEM, "strict on svc0"),
    ("rp_filter", {"rp_filter": 2}, Level.OK, "loose"),
    ("rp_filter", {"rp_filter": BROKEN}, Level.WARNING, "it broke"),
    ("MTU", {"mtu": 1450}, Level.OK, "at most 1450"),
    ("MTU", {"mtu": 1449}, Level.PROBLEM, "veth1: 1450"),
    ("MTU", {"mtu": BROKEN}, Level.WARNING, "it broke"),
    ("MTU", {"pod_mtus": BROKEN}, Level.WARNING, "it broke"),
    ("MTU", {"pod_mtus": {}}, Level.WARNING, "no pod"),
    ("Checksum offload of svc0", {"offloads": {"svc0": True}}, Level.WARNING, "on:"),
    ("Checksum offload of svc0", {"offloads": {"svc0": BROKEN}}, Level.WARNING, "it broke"),
    ("Checksum offload", {"offloads": {"svc0": True}, "datapath": "system"}, Level.OK, "kernel"),
    ("kube-proxy", {"proxy": Proxy("ipvs", None)}, Level.WARNING, "maybe without"),
    ("kube-proxy", {"proxy": BROKEN}, Level.WARNING, "it broke"),
]


@pytest.mark.parametrize(("title", "changed", "level", "reason"), CASES)
def test_each_check_of_a_node(title: str, changed: Any, level: Level, reason: str) -> None:
    finding = judged(**changed)[title]
    assert finding.level is level
    assert reason in finding.reason
    assert bool(finding.fix) is (level is not Level.OK)


@pytest.mark.parametrize("bridges", [BROKEN, ("br-ex",)])
def test_without_the_bridge_nothing_is_said_of_its_ports(bridges: Any) -> None:
    assert {"OpenFlow 1.5", "Service interface"}.isdisjoint(judged(bridges=bridges))


@pytest.mark.parametrize(
    ("backend", "bridges"), [("nft", ("br-int",)), ("auto", BROKEN), ("auto", ("br-other",))]
)
def test_where_the_kernel_moves_packets_no_switch_is_asked_for(backend: Any, bridges: Any) -> None:
    facts = built.node_facts(bridges=bridges, conntrack=False)
    found = {
        entry.title: entry for entry in node_checks.node(facts, AgentSettings(backend=backend))
    }
    assert found.keys() == {"conntrack tool", "rp_filter", "kube-proxy"}
    assert found["conntrack tool"].level is Level.PROBLEM
    assert "members that vanished" in found["conntrack tool"].reason


def test_where_kube_proxy_moves_packets_it_is_what_is_asked_for() -> None:
    settings = AgentSettings(backend="announce-only")
    every = node_checks.node(built.node_facts(conntrack=False, proxy=BROKEN), settings)
    found = {entry.title: entry for entry in every}
    assert found.keys() == {"rp_filter", "kube-proxy"}
    assert "choose another backend" in found["kube-proxy"].fix
