"""Which members a relay serves, at which address, and what routers and other nodes make of it."""

from dataclasses import replace
from typing import Any

import pytest

import dataplane_builders as build
from lbctl.model.policy import MemberWeight
from lbctl.model.virtual_service import Listener, Policy, VirtualService
from lbctl.settings import Settings
from lbctl.settings_agent import AgentSettings
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane import cli, serving_nodes
from lbctl_dataplane.backends.peers.forwarding import NoPeers, PeerForwarder
from lbctl_dataplane.decisions import Behind, View
from lbctl_dataplane.own_legs import OwnLegs
from lbctl_dataplane.placing import Placing
from lbctl_dataplane.relay import NodePortRelay, NoRelay, Relay
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.frontend import Frontend, Member
from lbctl_dataplane.rules.nft import tracked
from lbctl_dataplane.rules.peers import peering
from lbctl_dataplane.rules.router import legs, sharing
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode

FAR, FARTHER = "192.0.2.7", "192.0.2.8"
NODE_PORT = 30080
KUARD = build.service(vips=["198.18.0.1"], listeners=(Listener("", "TCP", 80, "pool", NODE_PORT),))
RELAYS = {
    name: ServingNode(name, (LegAddress(build.ip("172.31.241.6"), ""),), 9, 9, relay=True)
    for name in ("edge-1", "edge-2")
}
NODES = {**RELAYS, "node-1": replace(RELAYS["edge-1"], name="node-1", relay=False)}


def endpoint(address: str, node: str, *, ready: bool = True, leaving: bool = False) -> Endpoint:
    ports = (("", "TCP", 8080), ("", "UDP", 8080))
    return Endpoint(build.ip(address), node, ready, ready or leaving, leaving, ports)


def node_object(name: str, address: str, version: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "resourceVersion": str(version), "labels": {"big": "x"}},
        "status": {"addresses": [{"type": "InternalIP", "address": address}], "images": []},
    }


class Bench:
    """The relay edge-1, with the Nodes and ServingNodes of a cluster."""

    def __init__(self) -> None:
        self.own = OwnLegs("edge-1", Settings())
        self.relay = NodePortRelay("edge-1", self.own.nodes)
        self.woken = 0
        self.relay.follow(self._wake)
        self.version = 0
        for name, address in (("far-1", FAR), ("far-2", FARTHER)):
            self.node(name, address)

    def _wake(self) -> None:
        self.woken += 1

    def node(self, name: str, address: str) -> None:
        self.version += 1
        self.own.nodes.apply("MODIFIED", node_object(name, address, self.version))

    def agent(self, name: str, remote_members: str = "never", **told: Any) -> None:
        self.version += 1
        obj = build.serving_node(name, [], **told)
        obj["spec"]["remoteMembers"] = remote_members
        obj["metadata"]["resourceVersion"] = str(self.version)
        (store,) = self.relay.stores.values()
        store.apply("MODIFIED", obj)

    def frontend(self, *ends: Endpoint, service: VirtualService = KUARD) -> Frontend:
        placed = self.relay.of(view(*ends, service=service))
        (claim,) = frontend.claims(placed.services)
        return frontend.frontend_of(claim, placed.endpoints[service.key], "edge-1")


def view(*ends: Endpoint, service: VirtualService = KUARD) -> View:
    behind = {service.key: Behind(ends, {end.node: 5 for end in ends})}
    return View((service,), {service.key: 1}, behind, 9, 9, concerned=True)


def with_policy(**fields: Any) -> VirtualService:
    return replace(KUARD, policy=Policy(**fields))


def remote(address: str, port: int, weight: int) -> Member:
    return Member(build.ip(address), port, weight, remote=True)


def test_pods_of_a_node_without_an_agent_are_one_member_at_its_node_port() -> None:
    ends = [endpoint(f"10.0.0.{n}", node) for n, node in enumerate(("far-1", "far-1", "far-2"))]
    found = Bench().frontend(*ends)
    assert found.members == (remote(FAR, NODE_PORT, 2), remote(FARTHER, NODE_PORT, 1))
    assert (found.lingering, found.elsewhere) == ((), False)


def test_who_is_on_no_node_is_asked_directly() -> None:
    assert Bench().frontend(endpoint("10.9.9.9", "")).members == (remote("10.9.9.9", 8080, 1),)


def test_own_pods_are_reached_as_ever() -> None:
    found = Bench().frontend(endpoint("10.0.0.1", "edge-1"), endpoint("10.0.0.2", "far-1"))
    assert found.members == (Member(build.ip("10.0.0.1"), 8080, 1), remote(FAR, NODE_PORT, 1))


def test_own_pods_weigh_more_where_others_relay_as_well() -> None:
    bench = Bench()
    bench.agent("edge-2", "nodePorts")
    found = bench.frontend(endpoint("10.0.0.1", "edge-1"), endpoint("10.0.0.2", "far-1"))
    assert [member.weight for member in found.members] == [2, 1]


def test_weights_of_a_policy_are_those_of_the_pods_and_of_their_own_node() -> None:
    heavy = with_policy(weights=(MemberWeight(5, node="far-1"), MemberWeight(0, node="far-2")))
    ends = (endpoint("10.0.0.1", "far-1"), endpoint("10.0.0.2", "far-1"))
    found = Bench().frontend(*ends, endpoint("10.0.0.3", "far-2"), service=heavy)
    assert found.members == (remote(FAR, NODE_PORT, 10),)


def test_where_another_agent_is_members_are_its_own() -> None:
    bench = Bench()
    bench.agent("far-1")
    assert bench.frontend(endpoint("10.0.0.1", "far-1")).members == ()


@pytest.mark.parametrize("ends", [("far-1",), ("far-1", "far-2")])
def test_without_a_node_port_there_is_no_way_to_a_node(ends: tuple[str, ...]) -> None:
    closed = replace(KUARD, listeners=(Listener("", "TCP", 80, "pool"),))
    found = Bench().frontend(*(endpoint("10.0.0.1", end) for end in ends), service=closed)
    assert found.vacant


def test_a_node_that_nobody_knows_leaves_its_pods_to_be_missed() -> None:
    found = Bench().frontend(endpoint("10.0.0.1", "nowhere"))
    assert found.members == (Member(build.ip("10.0.0.1"), 8080),)


def test_a_node_with_a_ready_pod_does_not_linger_for_one_that_is_not() -> None:
    ends = (endpoint("10.0.0.1", "far-1"), endpoint("10.0.0.2", "far-1", ready=False))
    found = Bench().frontend(*ends)
    assert (found.members, found.lingering) == ((remote(FAR, NODE_PORT, 1),), ())


def test_no_drain_of_ours_ends_what_another_node_keeps() -> None:
    ends = (endpoint("10.0.0.1", "far-1", ready=False, leaving=True), endpoint("10.1.0.1", "far-2"))
    found = Bench().frontend(*ends, service=with_policy(drain_timeout_s=5))
    assert found.lingering == (remote(FAR, NODE_PORT, 1),)
    assert found.draining == ()


def test_connections_roam_where_a_node_may_have_sent_them_on() -> None:
    def ends(service: VirtualService) -> bool:
        kept = Bench().frontend(endpoint("10.0.0.1", "far-1"), service=service)
        gone = replace(kept, members=())
        return bool(tracked.ended(tracked.of([kept]), [gone]))

    datagrams = replace(KUARD, listeners=(Listener("", "UDP", 80, "pool", NODE_PORT),))
    local = with_policy(external_traffic_policy="Local")
    assert [ends(service) for service in (KUARD, local, datagrams)] == [False, True, True]


def test_a_relay_is_woken_by_what_moves_its_members_and_nothing_else() -> None:
    bench = Bench()
    for step, wakes in (
        (lambda: bench.node("far-1", "192.0.2.99"), True),
        (lambda: bench.node("far-1", "192.0.2.99"), False),
        (lambda: bench.agent("far-2"), True),
        (lambda: bench.agent("far-2", decisions=7), False),
    ):
        before = bench.woken
        step()
        assert (bench.woken > before) is wakes
    found = bench.frontend(endpoint("10.0.0.1", "far-1"), endpoint("10.0.0.2", "far-2"))
    assert found.members == (remote("192.0.2.99", NODE_PORT, 1),)


def test_of_other_nodes_only_what_is_read_is_kept() -> None:
    (kept, _) = Bench().own.nodes
    assert kept == {
        "metadata": {"name": "far-1", "resourceVersion": "1"},
        "status": {"addresses": [{"type": "InternalIP", "address": FAR}]},
    }


def shares(*ends: Endpoint) -> dict[str, int]:
    placed = Placing().of(view(*ends), NODES)
    (claim,) = frontend.claims(placed.services)
    behind = placed.behind[KUARD.key]
    known = Knowledge(behind.endpoints, behind.versions, 1)
    return legs.shares(claim, known, NODES, frozenset())


def test_a_router_sends_what_no_node_has_to_relays_alike() -> None:
    assert shares(endpoint("10.0.0.1", "far-1")) == {"edge-1": 1, "edge-2": 1}


def test_a_router_weighs_own_pods_and_those_of_others_alike() -> None:
    found = shares(
        endpoint("10.0.0.1", "node-1"), endpoint("10.0.0.2", "edge-1"), endpoint("10.0.0.3", "far")
    )
    assert found == {"node-1": 2, "edge-1": 3, "edge-2": 1}


def test_a_relay_gets_nothing_before_it_has_the_slices_of_others() -> None:
    placed = Placing().of(view(endpoint("10.0.0.1", "far-1")), NODES)
    (claim,) = frontend.claims(placed.services)
    known = Knowledge(placed.endpoints[KUARD.key], placed.behind[KUARD.key].versions, 1)
    late = replace(NODES["edge-1"], slices=4)
    assert legs.obstacle(late, claim, known) != ""
    assert legs.obstacle(NODES["edge-1"], claim, known) == ""


@pytest.mark.parametrize(("own", "passes"), [("edge-1", False), ("node-1", True)])
def test_relays_keep_what_other_nodes_pass_on_to_them(own: str, passes: bool) -> None:
    known = serving_nodes.known(Placing().of(view(endpoint("10.0.0.1", "far-1")), NODES))
    reached = sharing.Legs(NODES, peering.numbers(NODES, own))
    (shared,) = sharing.Sharing().update(known, reached, {}).gained
    assert (peering.passed(shared, reached, own, everywhere=False) is not None) is passes


def test_what_did_not_change_stays_the_same_object() -> None:
    placing, given = Placing(), view(endpoint("10.0.0.1", "far-1"))
    first = placing.of(given, NODES).behind[KUARD.key]
    assert placing.of(given, NODES).behind[KUARD.key] is first
    more = {**NODES, "node-2": replace(NODES["node-1"], name="node-2")}
    assert placing.of(given, more).behind[KUARD.key] is first
    without = {name: node for name, node in NODES.items() if not node.relay}
    assert placing.of(given, without) is given


def chosen(backend: str, setting: str) -> Relay:
    asked = AgentSettings.model_validate({"remoteMembers": setting})
    own = OwnLegs("edge-1", Settings())
    return cli._relay("edge-1", backend, asked, own, NoPeers())


@pytest.mark.parametrize("backend", ["ovs", "ipvs", "announce-only"])
def test_backends_that_cannot_relay_say_so_and_go_on(backend: str) -> None:
    found = chosen(backend, "nodePorts")
    assert not found.active
    assert "agent.remoteMembers" in found.complaint
    assert found.stores == {}


def test_nodes_relay_where_they_are_told_to() -> None:
    assert isinstance(chosen("nft", "nodePorts"), NodePortRelay)
    found = chosen("nft", "never")
    assert isinstance(found, NoRelay)
    assert (found.active, found.complaint) == (False, "")
    given = view(endpoint("10.0.0.1", "far-1"))
    assert found.of(given) is given


def test_relays_and_forwarders_watch_serving_nodes_once() -> None:
    own = OwnLegs("edge-1", Settings())
    peers = PeerForwarder("edge-1", "svc0", own, everywhere=False)
    asked = AgentSettings.model_validate({"remoteMembers": "nodePorts"})
    relay = cli._relay("edge-1", "nft", asked, own, peers)
    assert relay.stores == peers.stores
