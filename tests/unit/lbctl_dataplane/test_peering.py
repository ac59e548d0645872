"""What a node passes on to its peers: to whom, of what, and when not."""

import ipaddress
from dataclasses import replace

import pytest

import dataplane_builders as build
from lbctl.model.virtual_service import Policy
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import maglev
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.peers import layout, peering
from lbctl_dataplane.rules.peers.peering import Ground, Peering
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode
from lbctl_dataplane.rules.router.sharing import Known
from lbctl_dataplane.rules.tables.elements import Element, Elements, Ends

PORTS = (("", "TCP", 8080),)
PLACE = "198.18.0.1 . 6 . 80"
GROUND = Ground("node-1", (ipaddress.ip_network("172.31.240.0/24"),), device=2)
NODES = {
    f"node-{n}": ServingNode(
        f"node-{n}", (LegAddress(build.ip(f"172.31.240.1{n}"), f"02:00:00:00:00:0{n}"),), 5, 5
    )
    for n in (1, 2, 3)
}
MARKS = {name: peering.mark(number) for name, number in peering.numbers(NODES, GROUND.name).items()}


def ends(*nodes: str, ready: bool = True) -> tuple[Endpoint, ...]:
    """Return a member on each of these nodes."""
    return tuple(
        Endpoint(build.ip(f"10.0.{at}.1"), node, ready, ready, False, PORTS)
        for at, node in enumerate(nodes)
    )


class Node:
    """Passes of `node-1`, with one virtual service."""

    def __init__(self, *, everywhere: bool = False) -> None:
        self._kept: Kept[Element, Ends] = Kept()
        self.peering = Peering(self._kept, peering.ElementsDrawing(), everywhere=everywhere)

    def told(
        self,
        *members: Endpoint,
        nodes: dict[str, ServingNode] = NODES,
        ground: Ground = GROUND,
        spec_version: int = 1,
        **policy: object,
    ) -> Elements:
        decided = build.service(vips=("198.18.0.1",), policy=Policy(**policy))  # type: ignore[arg-type]
        versions = {decided.key: spec_version}
        knowledge = Knowledge(members, {}, spec_version)
        known = Known((decided,), {decided.key: members}, versions, lambda _: knowledge)
        self.peering.update(known, nodes, ground)
        return dict(self._kept.desired)


def slots(found: Elements) -> Ends:
    return found.get(Element("ends4", PLACE), ())


def holders(found: Elements) -> set[str]:
    texts = (entry.key for entry in found if entry.home == "holders4")
    return {text.rpartition(" . ")[2] for text in texts}


def test_a_place_without_members_here_goes_to_who_has_some() -> None:
    found = Node().told(*ends("node-2"))
    assert slots(found) == (MARKS["node-2"],)
    assert {Element("vips4", "198.18.0.1"), Element("places4", PLACE)} <= found.keys()


def test_peers_have_slots_by_their_members() -> None:
    found = slots(Node().told(*ends("node-2", "node-3", "node-3")))
    assert len(found) == maglev.SIZES[1]
    assert found.count(MARKS["node-3"]) > found.count(MARKS["node-2"]) > 0


def test_where_the_fabric_weighs_members_here_serve_alone() -> None:
    assert slots(Node().told(*ends("node-1", "node-2"))) == ()


def test_where_the_fabric_cannot_weigh_this_node_is_one_among_its_peers() -> None:
    found = slots(Node(everywhere=True).told(*ends("node-1", "node-2")))
    assert set(found) == {peering.mark(layout.HERE), MARKS["node-2"]}


def test_all_nodes_choose_alike() -> None:
    one = slots(Node(everywhere=True).told(*ends("node-1", "node-2", "node-3")))
    ground = replace(GROUND, name="node-2")
    other = slots(Node(everywhere=True).told(*ends("node-1", "node-2", "node-3"), ground=ground))
    here, names = peering.mark(layout.HERE), {mark: name for name, mark in MARKS.items()}
    own = {"node-1": peering.mark(peering.numbers(NODES, "node-2")["node-1"])}
    assert [own.get(names[mark], mark) for mark in one] == [
        MARKS["node-2"] if mark == here else mark for mark in other
    ]


@pytest.mark.parametrize("everywhere", [False, True])
def test_policy_local_is_never_passed_on(everywhere: bool) -> None:
    node = Node(everywhere=everywhere)
    assert holders(node.told(*ends("node-2"), external_traffic_policy="Local")) == set()


def test_a_peer_gets_new_connections_once_it_has_acknowledged() -> None:
    node = Node()
    behind = {**NODES, "node-2": replace(NODES["node-2"], decisions=6)}
    assert slots(node.told(*ends("node-2"), spec_version=7)) == ()
    assert node.peering.awaits("node-2")
    assert slots(node.told(*ends("node-2"), nodes=behind, spec_version=7)) == ()
    come = {**NODES, "node-2": replace(NODES["node-2"], decisions=7)}
    assert slots(node.told(*ends("node-2"), nodes=come, spec_version=7)) == (MARKS["node-2"],)
    assert not node.peering.awaits("node-2")


def test_a_peer_whose_members_get_nobody_new_keeps_its_flows() -> None:
    found = Node().told(*ends("node-2"), *ends("node-3", ready=False))
    assert slots(found) == (MARKS["node-2"],)
    assert holders(found) == {MARKS["node-2"], MARKS["node-3"]}


def test_excluded_peers_get_nobody_new_while_others_can() -> None:
    nodes = {**NODES, "node-2": replace(NODES["node-2"], excluded=True)}
    assert slots(Node().told(*ends("node-2", "node-3"), nodes=nodes)) == (MARKS["node-3"],)


def test_affinity_is_by_the_clients_address() -> None:
    assert Element("sticky4", PLACE) in Node().told(*ends("node-2"), session_affinity="ClientIP")


def test_peers_on_other_links_need_a_tunnel() -> None:
    far = LegAddress(build.ip("172.31.241.12"), "02:00:00:00:00:02")
    nodes = {**NODES, "node-2": replace(NODES["node-2"], legs=(far,))}
    assert slots(Node().told(*ends("node-2"), nodes=nodes)) == ()
    dug = replace(GROUND, underlay=4, tunnel=9)
    found = Node().told(*ends("node-2"), nodes=nodes, ground=dug)
    assert slots(found) == (MARKS["node-2"],)
    assert found[Element("ways4", MARKS["node-2"])] == ("172.31.241.12",)
    assert found[Element("devices4", MARKS["node-2"])] == ("9",)
    assert found[Element("devices4", MARKS["node-3"])] == ("2",)
    (peer,) = peering.far(nodes, dug)
    assert (peer.underlay, peer.legs) == (far.address, (far.address,))


def test_what_peers_send_is_told_by_where_it_comes_from() -> None:
    found = Node().told()
    macs = {entry.key for entry in found if entry.home == "neighbours"}
    assert macs == {"02:00:00:00:00:02", "02:00:00:00:00:03"}


def test_a_node_that_is_gone_leaves_nothing() -> None:
    node = Node()
    node.told(*ends("node-2"))
    found = node.told(*ends("node-2"), nodes={"node-1": NODES["node-1"]})
    assert (slots(found), holders(found)) == ((), set())
    assert not any(entry.home in ("ways4", "devices4", "neighbours") for entry in found)


def test_marks_are_neither_none_nor_ours_and_the_same_everywhere() -> None:
    numbers = peering.numbers([f"node-{n}" for n in range(500)], "node-7")
    assert len(set(numbers.values())) == len(numbers) == 500
    assert numbers["node-7"] == layout.HERE
    others = peering.numbers([f"node-{n}" for n in range(500)], "node-8")
    assert {name for name in numbers if numbers[name] != others[name]} == {"node-7", "node-8"}
    assert min(number for name, number in numbers.items() if name != "node-7") > layout.HERE
