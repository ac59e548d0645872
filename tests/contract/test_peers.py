"""Nodes that pass packets on to each other, behind a router that cannot weigh: real packets."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

import dataplane_builders as build
from dataplane_bed import network_of
from lbctl_dataplane.backends.peers.forwarding import Forwarded, PeerForwarder, PeersOff
from lbctl_dataplane.decisions import View
from lbctl_dataplane.rules import tracer, tracer_entry
from lbctl_dataplane.rules.router.legs import Knowledge
from lbctl_dataplane.rules.tracer import Packet, Trace
from peers_bed import CLIENT, V4, V6, Agents, PeersBed, Pod, acting, service, standing
from peers_talk import alive, asked, connections, greeting
from spaces import sh

pytestmark = pytest.mark.root

PODS = (Pod(1, 1), Pod(2, 2), Pod(3, 2), Pod(4, 3))
FAR = (Pod(5, 1), Pod(6, 2))
EMPTY = View((), {}, {}, 1, 1, concerned=True)
both = pytest.mark.parametrize("vip", [V4, V6])


@pytest.fixture(scope="module")
def near() -> Iterator[PeersBed]:
    """Three nodes on one link."""
    with standing(PeersBed("near", nodes=3, one_link=True), *PODS) as made:
        yield made


@pytest.fixture(scope="module")
def apart() -> Iterator[PeersBed]:
    """Two nodes that share no link."""
    with standing(PeersBed("apart", nodes=2, one_link=False), *FAR) as made:
        yield made


def agents(bed: PeersBed, *, everywhere: bool = False) -> AbstractContextManager[Agents]:
    return acting(Agents(bed, everywhere=everywhere), bed)


@both
def test_a_node_without_members_passes_on_and_the_client_address_is_kept(
    near: PeersBed, vip: str
) -> None:
    with agents(near) as nodes:
        done = nodes.program(service(), Pod(2, 2), Pod(4, 3))
        assert {one.complaint for one in done.values()} == {""}
        near.spread_over(1)
        found = set()
        with connections(near, vip, 12) as made:
            for connection in made:
                name, client = greeting(connection)
                found.add(name)
                assert client == CLIENT[6 if ":" in vip else 4]
        assert found == {"pod2", "pod4"}


@both
def test_flows_keep_their_member_while_the_fabric_moves_them(near: PeersBed, vip: str) -> None:
    with agents(near, everywhere=True) as nodes:
        nodes.program(service(), *PODS)
        with connections(near, vip, 24) as made, near.udp(vip) as datagrams:
            assert {greeting(one)[0] for one in made} == {pod.name for pod in PODS}
            before = asked(datagrams)
            for moved in ((2,), (1,), (3,), (1, 2, 3)):
                near.spread_over(*moved)
                assert all(map(alive, made))
                assert asked(datagrams) == before


@both
def test_what_a_peer_passed_on_goes_no_further(near: PeersBed, vip: str) -> None:
    with agents(near) as nodes:
        # Each of two nodes believes that the other one has the member.
        nodes.program_one(1, service(), Pod(2, 2))
        nodes.program_one(2, service(), Pod(1, 1))
        near.spread_over(1)
        with near.udp(vip, timeout_s=0.5) as datagrams:
            near.count_anew(1)
            near.count_anew(2)
            with pytest.raises(OSError):
                asked(datagrams)
        assert (near.counted(1), near.counted(2)) == (1, 1)


@both
def test_policy_local_never_passes_on(near: PeersBed, vip: str) -> None:
    with agents(near, everywhere=True) as nodes:
        nodes.program(service(external_traffic_policy="Local"), Pod(2, 2))
        near.spread_over(1)
        near.count_anew(2)
        with near.udp(vip, timeout_s=0.5) as datagrams, pytest.raises(OSError):
            asked(datagrams)
        assert near.counted(2) == 0


@both
def test_flows_of_members_that_stay_survive_a_change(near: PeersBed, vip: str) -> None:
    with agents(near, everywhere=True) as nodes:
        nodes.program(service(), *PODS[:3])
        with connections(near, vip, 30) as made:
            named = [greeting(one)[0] for one in made]
            nodes.program(service(), *PODS)
            assert all(map(alive, made))
            nodes.program(service(), *PODS[1:])
            kept = [one for one, name in zip(made, named, strict=True) if name != "pod1"]
            assert len(kept) < len(made)
            assert all(map(alive, kept))


@both
def test_datagrams_from_one_port_leave_a_node_that_lost_its_members(
    near: PeersBed, vip: str
) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2))
        near.spread_over(1)
        with near.udp(vip) as datagrams:
            assert asked(datagrams) == "pod2"
            nodes.program(service(), Pod(4, 3))
            assert asked(datagrams) == "pod4"


@both
def test_datagrams_in_pieces_are_passed_on_whole(near: PeersBed, vip: str) -> None:
    with agents(near) as nodes:
        nodes.program(service(), Pod(2, 2))
        near.spread_over(1)
        with near.udp(vip) as datagrams:
            assert asked(datagrams) == "pod2"
            assert asked(datagrams, b"x" * 4000) == "pod2"


@both
def test_affinity_holds_whichever_node_a_client_comes_by(near: PeersBed, vip: str) -> None:
    with agents(near, everywhere=True) as nodes:
        nodes.program(service(session_affinity="ClientIP"), *PODS)
        found = set()
        for number in near.numbers:
            near.spread_over(number)
            with connections(near, vip, 4) as made:
                found |= {greeting(one)[0] for one in made}
        assert len(found) == 1


@both
def test_restarted_agents_change_nothing_and_break_nothing(near: PeersBed, vip: str) -> None:
    with agents(near, everywhere=True) as nodes:
        nodes.program(service(), *PODS)
        with connections(near, vip, 12) as made:
            for one in made:
                greeting(one)
            nodes.restart()
            done = nodes.program(service(), *PODS)
            assert {one.changed for one in done.values()} == {0}
            assert all(map(alive, made))


def test_without_virtual_services_nothing_is_left_to_pass_on(near: PeersBed) -> None:
    with agents(near, everywhere=True) as nodes:
        nodes.program(service(), *PODS)
    shown = sh("nft", "list", "table", "netdev", "lbctl-peers", inside=near.node(1))
    assert V4 not in shown


@both
def test_nodes_on_other_links_get_whole_packets_by_the_tunnel(apart: PeersBed, vip: str) -> None:
    with agents(apart) as nodes:
        done = nodes.program(service(), Pod(6, 2))
        assert {one.complaint for one in done.values()} == {""}
        apart.spread_over(1)
        before = [pieces(apart, number) for number in apart.numbers]
        with apart.connect(vip) as connection:
            assert greeting(connection) == ("pod6", CLIENT[6 if ":" in vip else 4])
            transfer(connection, 1 << 20)
        assert [pieces(apart, number) for number in apart.numbers] == before


@both
def test_flows_move_between_nodes_on_other_links(apart: PeersBed, vip: str) -> None:
    with agents(apart, everywhere=True) as nodes:
        nodes.program(service(), *FAR)
        with connections(apart, vip, 16) as made:
            assert {greeting(one)[0] for one in made} == {"pod5", "pod6"}
            for number in apart.numbers:
                apart.spread_over(number)
                assert all(map(alive, made))


def test_what_came_by_the_tunnel_goes_no_further(apart: PeersBed) -> None:
    with agents(apart) as nodes:
        nodes.program_one(1, service(), Pod(6, 2))
        nodes.program_one(2, service(), Pod(5, 1))
        apart.spread_over(1)
        with apart.udp(V4, timeout_s=0.5) as datagrams:
            apart.count_anew(1)
            apart.count_anew(2)
            with pytest.raises(OSError):
                asked(datagrams)
        assert (apart.counted(1), apart.counted(2)) == (1, 0)


def test_a_tunnel_may_be_carried_by_ipv6_alone(apart: PeersBed) -> None:
    apart.families = (6,)
    try:
        with agents(apart) as nodes:
            nodes.program(service(), Pod(6, 2))
            apart.spread_over(1)
            before = [pieces(apart, number) for number in apart.numbers]
            with apart.connect(V6) as connection:
                assert greeting(connection) == ("pod6", CLIENT[6])
                transfer(connection, 1 << 18)
            assert [pieces(apart, number) for number in apart.numbers] == before
    finally:
        apart.families = (4, 6)


def test_the_tunnel_goes_by_the_gateways_of_legs(apart: PeersBed) -> None:
    networks = {1: "172.31.242.0/24", 2: "172.31.241.0/24"}
    for number, other in networks.items():
        sh("ip", "route", "add", "unreachable", other, inside=apart.node(number))
    try:
        with agents(apart) as nodes:
            nodes.program(service(), Pod(6, 2))
            apart.spread_over(1)
            with apart.connect(V4) as connection:
                assert greeting(connection)[0] == "pod6"
    finally:
        for number, other in networks.items():
            sh("ip", "route", "delete", "unreachable", other, inside=apart.node(number))


def traced(nodes: Agents, pods: tuple[Pod, ...], vip: str, entry: int) -> Trace:
    """Return what a trace says of a packet that enters by a node."""
    version = 6 if ":" in vip else 4
    packet = Packet(build.ip(CLIENT[version]), build.place(vip))
    claim = tracer.claim_at([service()], packet.place)
    assert claim is not None
    known = Knowledge(tuple(pod.endpoint(version) for pod in pods), {}, 1)
    return tracer_entry.trace(packet, claim, known, nodes.serving_nodes(), f"node-{entry}")


def reached(bed: PeersBed, vip: str) -> set[str]:
    """Return the names of the pods that answer 16 connections."""
    with connections(bed, vip, 16) as made:
        return {greeting(one)[0] for one in made}


@both
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_trace_tells_what_packets_meet_at_each_node(
    near: PeersBed, vip: str, everywhere: bool
) -> None:
    pods = (Pod(1, 1), Pod(4, 3))
    with agents(near, everywhere=everywhere) as nodes:
        nodes.program(service(), *pods)
        for entry in near.numbers:
            near.spread_over(entry)
            found = traced(nodes, pods, vip, entry)
            met = reached(near, vip)
            there = {pod.name: pod.address(6 if ":" in vip else 4) for pod in pods}
            assert {str(member.address) for member in found.members} == {there[n] for n in met}
            assert {way.by for way in found.ways if way.node != f"node-{entry}"} <= {"link"}


@both
def test_a_trace_tells_of_the_tunnel(apart: PeersBed, vip: str) -> None:
    with agents(apart) as nodes:
        nodes.program(service(), Pod(6, 2))
        apart.spread_over(1)
        found = traced(nodes, (Pod(6, 2),), vip, 1)
        assert [(way.node, way.by) for way in found.ways] == [("node-2", "lbctl-vx")]
        assert reached(apart, vip) == {"pod6"}


DAMAGE = {
    "the table gone": "nft delete table netdev lbctl-peers",
    "a chain flushed": "nft flush chain netdev lbctl-peers vip4",
    "a peer forgotten": "nft flush map netdev lbctl-peers ways4",
    "another place": "nft add element netdev lbctl-peers places4 { 198.18.9.9 . 6 . 1 }",
    "the tunnel gone": "ip link delete lbctl-vx",
    "the tunnel of another size": "ip link set lbctl-vx mtu 1200",
    "a neighbour forgotten": "ip neigh flush dev lbctl-vx nud permanent",
    "segments of any size": "nft delete table inet lbctl-peers",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_repaired(apart: PeersBed, damage: str) -> None:
    with agents(apart) as nodes:
        nodes.program(service(), Pod(6, 2))
        apart.spread_over(1)
        for number in apart.numbers:
            sh("sh", "-c", damage.replace("{", "'{").replace("}", "}'"), inside=apart.node(number))
        nodes.restart()
        assert min(one.changed for one in nodes.program(service(), Pod(6, 2)).values()) > 0
        assert {one.changed for one in nodes.program(service(), Pod(6, 2)).values()} == {0}
        with apart.connect(V4) as connection:
            assert greeting(connection)[0] == "pod6"


def test_what_is_switched_off_leaves_nothing(apart: PeersBed) -> None:
    node = apart.node(1)
    with agents(apart) as nodes:
        nodes.program(service(), Pod(6, 2))
        assert "lbctl-peers" in sh("nft", "list", "tables", inside=node)
        with network_of(node):
            done = asyncio.run(PeersOff().program(EMPTY))
        assert done.complaint == ""
        assert "lbctl-peers" not in sh("nft", "list", "tables", inside=node)
        assert "lbctl-vx" not in sh("ip", "link", "show", inside=node)
        assert sh("ip", "route", "show", "proto", "28", inside=node) == ""


def test_a_node_that_cannot_pass_on_says_why_and_serves_on(apart: PeersBed) -> None:
    peers = PeerForwarder("node-1", "eth9", apart.way(1), everywhere=False)

    async def twice() -> tuple[Forwarded, Forwarded]:
        return await peers.program(EMPTY), await peers.program(EMPTY)

    with network_of(apart.node(1)):
        done, again = asyncio.run(twice())
    assert "eth9" in done.complaint
    assert again is done


def transfer(connection: socket.socket, size: int) -> None:
    """Send so many bytes to a server that echoes, and get them back."""
    connection.settimeout(20)
    chunk, sent, got = b"x" * 32768, 0, 0
    while got < size:
        if sent < size:
            connection.sendall(chunk)
            sent += len(chunk)
        while got < sent:
            got += len(connection.recv(65536))


def pieces(bed: PeersBed, number: int) -> int:
    """Return how many fragments a node has made, by either IP version."""
    node = bed.node(number)
    four = sh("cat", "/proc/net/snmp", inside=node).splitlines()
    names, values = (line.split() for line in four if line.startswith("Ip:"))
    six = dict(line.split() for line in sh("cat", "/proc/net/snmp6", inside=node).splitlines())
    return int(values[names.index("FragCreates")]) + int(six["Ip6FragCreates"])
