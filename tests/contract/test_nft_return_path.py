"""Answers leave by the leg they came by, though the node's own routes lead elsewhere."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

import dataplane_bed
import dataplane_builders as build
from dataplane_bed import network_of
from dataplane_worlds import PORT, V4, V6, NftWorld, bed_with_pods, serve
from lbctl_dataplane.rules.frontend import Frontend
from routed_bed import RoutedBed
from spaces import sh

pytestmark = pytest.mark.root

CLIENTS = {V4: "203.0.113.10", V6: "2001:db8:c::10"}
"""Behind the fabric's router, which is the bed's client as well."""
GATEWAYS = tuple(address.partition("/")[0] for address in dataplane_bed.FABRIC)
UPLINK = {V4: ("192.0.2.1/24", "192.0.2.254"), V6: ("2001:db8:1::1/64", "2001:db8:1::254")}
DAMAGE = {
    "the rule gone": "rule del pref 7000",
    "the rule for every mark": "rule del pref 7000\nrule add pref 7000 lookup 7000 protocol 27",
    "the route gone": "route flush table 7000",
    "another gateway": "route replace blackhole default table 7000 proto 27",
}
both = pytest.mark.parametrize("vip", [V4, V6])


class FarBed(RoutedBed):
    """A node whose default route is an uplink that nobody listens on, clients behind its leg."""

    def up(self) -> None:
        super().up()
        ends = ("uplink0", "netns", self.node, "type", "veth", "peer", "name", "far0")
        sh("ip", "link", "add", *ends, "netns", self.node)
        for device in ("uplink0", "far0"):
            sh("ip", "link", "set", device, "up", inside=self.node)
        for vips, leg, vip in zip(dataplane_bed.VIPS, dataplane_bed.LEGS, (V4, V6), strict=True):
            own, gateway = UPLINK[vip]
            sh("ip", "address", "add", own, "dev", "uplink0", "nodad", inside=self.node)
            sh("ip", "route", "add", "default", "via", gateway, inside=self.node)
            client = CLIENTS[vip]
            sh("ip", "address", "add", client, "dev", "lo", inside=self.client)
            way = ("route", "replace", vips, "via", leg, "src", client)
            sh("ip", *way, inside=self.client)


@pytest.fixture(scope="module")
def far_bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("far", FarBed) as made:
        yield made


@pytest.fixture
def world(far_bed: dataplane_bed.Bed) -> Iterator[NftWorld]:
    made = NftWorld(far_bed)
    made.gateways = tuple(map(build.ip, GATEWAYS))
    yield made
    made.gateways = ()
    made.program()
    assert ways(made) == []


def ways(world: NftWorld) -> list[str]:
    """Return all that the kernel has of ours to lead answers."""
    found = []
    for version in ("-4", "-6"):
        for words in (("rule", "show", "pref", "7000"), ("route", "show", "table", "all")):
            listed = sh("ip", version, *words, inside=world.bed.node).splitlines()
            found += [line for line in listed if "lookup 7000" in line or "table 7000" in line]
    return found


def both_families(world: NftWorld) -> list[Frontend]:
    return [serve(world, build.place(vip), (1, 2)) for vip in (V4, V6)]


@both
def test_a_client_that_no_route_of_the_node_leads_to_is_served_with_its_own_address(
    world: NftWorld, vip: str
) -> None:
    world.program(*both_families(world))
    with world.bed.connect(vip, PORT) as connection:
        assert connection.recv(200).decode().split()[1] == CLIENTS[vip]
        connection.sendall(b"x" * 4000)
        assert connection.recv(100)


@both
def test_without_a_gateway_answers_follow_the_nodes_routes(world: NftWorld, vip: str) -> None:
    world.gateways = ()
    world.program(*both_families(world))
    assert ways(world) == []
    with pytest.raises(TimeoutError):
        world.bed.connect(vip, PORT, timeout_s=0.7)


def test_a_family_without_a_gateway_keeps_the_nodes_routes(world: NftWorld) -> None:
    world.gateways = (build.ip(GATEWAYS[1]),)
    world.program(*both_families(world))
    with world.bed.connect(V6, PORT) as connection:
        assert connection.recv(100)
    with pytest.raises(TimeoutError):
        world.bed.connect(V4, PORT, timeout_s=0.7)


@both
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["TCP", "UDP"])
@pytest.mark.parametrize("pods", [(1, 2), ()], ids=["another port", "nobody anywhere"])
def test_refusals_go_the_same_way(
    world: NftWorld, vip: str, kind: socket.SocketKind, pods: tuple[int, ...]
) -> None:
    protocol = "TCP" if kind is socket.SOCK_STREAM else "UDP"
    place = build.place(vip, protocol)
    world.program(serve(world, place, pods))
    family = socket.AF_INET6 if ":" in vip else socket.AF_INET
    with network_of(world.bed.client):
        client = socket.socket(family, kind)
    client.settimeout(2)
    with client, pytest.raises(ConnectionRefusedError):
        client.connect((vip, place.port + bool(pods)))
        client.send(b"hello")
        client.recv(100)


@both
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_so_do_refusals_of_places_that_nobody_serves(
    world: NftWorld, vip: str, protocol: str
) -> None:
    others = [serve(world, build.place(other), (1,)) for other in ("198.18.0.9", "2001:2::9")]
    vacant = build.place(vip, protocol)
    world.program(serve(world, vacant, ()), *others)
    assert world.refuses(vacant)


@both
def test_so_do_answers_to_pings(world: NftWorld, vip: str) -> None:
    world.program(*both_families(world))
    assert world.pings(vip, timeout_s=5)


def test_what_the_pods_send_by_themselves_takes_the_nodes_routes(world: NftWorld) -> None:
    world.program(*both_families(world))
    for vip, uplink in UPLINK.items():
        pod = world.address(1, 6 if ":" in vip else 4)
        asked = ("ip", "route", "get", CLIENTS[vip], "from", pod, "iif", "pod1")
        assert "uplink0" in sh(*asked, inside=world.bed.node)
        assert uplink[1] in sh(*asked, inside=world.bed.node)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("version", ["-4", "-6"])
def test_damage_is_repaired(world: NftWorld, damage: str, version: str) -> None:
    wanted = both_families(world)
    world.program(*wanted)
    whole = ways(world)
    assert len(whole) == 4
    for line in damage.splitlines():
        sh("ip", version, *line.split(), inside=world.bed.node)
    assert ways(world) != whole
    assert world.program(*wanted).changed > 0
    assert ways(world) == whole
    assert world.program(*wanted).changed == 0


def test_rules_and_routes_of_others_are_not_touched(world: NftWorld) -> None:
    others = (
        ("rule", "add", "pref", "7001", "fwmark", "0x1b000001", "lookup", "7001"),
        ("route", "add", "default", "dev", "uplink0", "table", "7001", "proto", "27"),
    )
    show = (("rule", "show"), ("route", "show", "table", "7001"))
    try:
        for words in others:
            sh("ip", *words, inside=world.bed.node)
        before = [sh("ip", *words, inside=world.bed.node) for words in show]
        world.program(*both_families(world))
        world.gateways = ()
        world.program()
        assert [sh("ip", *words, inside=world.bed.node) for words in show] == before
    finally:
        with contextlib.suppress(RuntimeError):
            sh("ip", "rule", "del", "pref", "7001", inside=world.bed.node)
            sh("ip", "route", "flush", "table", "7001", inside=world.bed.node)


def test_a_running_agent_finds_that_the_service_interface_took_its_routes_along(
    world: NftWorld,
) -> None:
    wanted = both_families(world)

    async def scenario() -> None:
        backend, told = world.backend(), asyncio.Event()
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(backend.follow(told.set))
            await told.wait()
            await backend.program(wanted)
            whole = ways(world)
            told.clear()
            for state in ("down", "up"):
                sh("ip", "link", "set", "svc0", state, inside=world.bed.node)
            assert ways(world) != whole
            await told.wait()
            assert (await backend.program(wanted)).changed > 0
            assert ways(world) == whole
            following.cancel()

    with network_of(world.bed.node):
        asyncio.run(scenario())
    leg = dataplane_bed.LEGS[1]
    sh("ip", "address", "replace", f"{leg}/80", "dev", "svc0", "nodad", inside=world.bed.node)
