"""The router's kernel does what the plan says: real packets through real nftables and routes."""

import asyncio
import collections
import contextlib
import socket
from collections.abc import Iterator

import pytest

import dataplane_builders as build
import pings
import router_bed
from dataplane_bed import network_of
from lbctl_dataplane.backends.router import kernel
from lbctl_dataplane.rules.frontend import Place
from lbctl_dataplane.rules.router import legs, routes, spread
from spaces import sh

pytestmark = pytest.mark.root

VIPS = ("198.18.0.1", "2001:2::1")
PORT = 80
NODES = 3


@pytest.fixture(scope="module")
def bed() -> Iterator[router_bed.RouterBed]:
    made = router_bed.RouterBed("rt", NODES)
    try:
        made.up(VIPS, PORT)
        yield made
    finally:
        made.down()


@pytest.fixture(autouse=True)
def _clean(bed: router_bed.RouterBed) -> Iterator[None]:
    yield
    with network_of(bed.space("router")):
        asyncio.run(_program(None))


async def _program(wanted: kernel.Wanted | None) -> int:
    linux = kernel.LinuxRouter()
    return await linux.apply(wanted or kernel.Wanted(None, {}), await linux.observe())


def program(
    bed: router_bed.RouterBed,
    weights: dict[int, int],
    *,
    ways: bool = True,
    ports: tuple[int, ...] = (PORT,),
) -> int:
    """Spread both VIPs over nodes by weight; all nodes have a way unless told otherwise."""

    async def run() -> int:
        linux = kernel.LinuxRouter()
        found = await linux.observe()
        own = {
            number: tuple(
                legs.LegAddress(build.ip(leg), bed.mac(number)) for leg in bed.legs(number)
            )
            for number in range(1, NODES + 1)
            if ways
        }
        vips = {build.ip(vip) for vip in VIPS}
        entries = {
            **routes.ways(own, found.links),
            **dict.fromkeys(map(routes.reject, vips), ""),
        }
        shares = tuple(sorted((leg, weight) for leg, weight in weights.items() if weight))
        places = {
            Place(build.ip(vip), "TCP", port): spread.Spread(6 if ":" in vip else 4, False, shares)
            for vip in VIPS
            for port in ports
            if shares
        }
        answering = frozenset(place.vip for place in places)
        ruleset = spread.Ruleset(frozenset({"client0"}), frozenset(vips), places, answering)
        return await linux.apply(kernel.Wanted(ruleset, entries), found)

    with network_of(bed.space("router")):
        return asyncio.run(run())


def takers(bed: router_bed.RouterBed, vip: str, count: int) -> collections.Counter[str]:
    found: collections.Counter[str] = collections.Counter()
    for _ in range(count):
        connection, name = bed.connect(vip, PORT)
        connection.close()
        found[name] += 1
    return found


@contextlib.contextmanager
def held(bed: router_bed.RouterBed, vip: str, count: int) -> Iterator[list[socket.socket]]:
    connections = [bed.connect(vip, PORT)[0] for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def alive(connections: list[socket.socket]) -> int:
    count = 0
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.sendall(b"ping")
            count += connection.recv(10) == b"ping"
    return count


@pytest.mark.parametrize("vip", VIPS)
def test_new_connections_follow_the_weights(bed: router_bed.RouterBed, vip: str) -> None:
    program(bed, {1: 3, 2: 1})
    # So many that chance alone does not leave these bounds in 10,000 runs.
    found = takers(bed, vip, 600)
    assert found.keys() == {"node-1", "node-2"}
    assert 2 < found["node-1"] / found["node-2"] < 4.6


@pytest.mark.parametrize("vip", VIPS)
def test_no_change_of_weights_breaks_a_connection(bed: router_bed.RouterBed, vip: str) -> None:
    program(bed, {1: 1, 2: 1})
    with held(bed, vip, 60) as connections:
        program(bed, {1: 3, 2: 2, 3: 1})
        assert alive(connections) == 60
        program(bed, {1: 3, 3: 1})
        assert alive(connections) == 60
        assert "node-2" not in takers(bed, vip, 30)


@pytest.mark.parametrize("vip", VIPS)
def test_who_leaves_a_shared_vip_breaks_no_connection_of_the_others(
    bed: router_bed.RouterBed, vip: str
) -> None:
    program(bed, {1: 1, 2: 1}, ports=(PORT, PORT + 1))
    with held(bed, vip, 20) as connections:
        assert program(bed, {1: 1, 2: 1}) > 0
        assert alive(connections) == 20
        assert sum(takers(bed, vip, 10).values()) == 10
        program(bed, {1: 1, 2: 1}, ports=(PORT, PORT + 1))
        assert alive(connections) == 20


def test_a_second_pass_changes_nothing(bed: router_bed.RouterBed) -> None:
    assert program(bed, {1: 2, 2: 1}) > 0
    assert program(bed, {1: 2, 2: 1}) == 0


@pytest.mark.parametrize("vip", VIPS)
@pytest.mark.parametrize(
    ("weights", "port"), [({}, PORT), ({1: 1}, PORT + 1)], ids=["no leg", "no such port"]
)
def test_who_connects_where_nobody_serves_is_refused_each_time(
    bed: router_bed.RouterBed, vip: str, weights: dict[int, int], port: int
) -> None:
    program(bed, weights)
    for _ in range(10):
        with pytest.raises(ConnectionRefusedError):
            bed.connect(vip, port)
    with bed.udp(vip, port) as datagrams, pytest.raises(ConnectionRefusedError):
        datagrams.send(b"hello")
        datagrams.recv(100)


@pytest.mark.parametrize("vip", VIPS)
def test_pings_are_answered_as_long_as_a_node_takes_the_vip(
    bed: router_bed.RouterBed, vip: str
) -> None:
    program(bed, {1: 1})
    with contextlib.closing(pings.Pinger(bed.space("client"), vip)) as pinger:
        assert pinger.answered(timeout_s=5)
        program(bed, {})
        assert not pinger.answered(timeout_s=0.5)
        program(bed, {2: 1})
        assert pinger.answered(timeout_s=5)


@pytest.mark.parametrize("vip", VIPS)
def test_withdrawal_leaves_nothing_and_ends_old_connections(
    bed: router_bed.RouterBed, vip: str
) -> None:
    program(bed, {1: 1})
    router = bed.space("router")
    with held(bed, vip, 3) as connections:
        with network_of(router):
            asyncio.run(_program(None))
        for connection in connections:
            connection.settimeout(0.3)
        assert alive(connections) == 0
    assert "lbctl" not in sh("nft", "list", "ruleset", inside=router)
    for family in ("-4", "-6"):
        shown = sh("ip", family, "route", "show", "table", "all", "proto", "27", inside=router)
        assert shown == ""
        assert "proto 27" not in sh("ip", family, "rule", inside=router)
        assert sh("ip", family, "neigh", "show", "nud", "permanent", inside=router) == ""
    tracked = sh("conntrack", "-L", "--mark", "0x1b000001", inside=router)
    assert tracked == ""


@pytest.mark.parametrize(
    "damage",
    [
        ("nft", "flush", "chain", "inet", "lbctl", "route"),
        ("nft", "delete", "table", "inet", "lbctl"),
        ("nft", "flush", "map", "inet", "lbctl", "places4"),
        ("ip", "rule", "del", "pref", "7001"),
        ("ip", "route", "flush", "table", "7001"),
        ("ip", "neigh", "flush", "dev", "leaf-1", "nud", "permanent"),
    ],
    ids=" ".join,
)
def test_damage_is_repaired_and_what_others_made_is_left_alone(
    bed: router_bed.RouterBed, damage: tuple[str, ...]
) -> None:
    router = bed.space("router")
    sh("nft", "add", "table", "inet", "others", inside=router)
    sh("ip", "route", "replace", "192.0.2.0/24", "dev", "client0", inside=router)
    program(bed, {1: 1})
    with held(bed, VIPS[0], 5) as connections:
        sh(*damage, inside=router)
        assert program(bed, {1: 1}) > 0
        assert alive(connections) == 5
    assert takers(bed, VIPS[0], 5) == {"node-1": 5}
    assert "table inet others" in sh("nft", "list", "tables", inside=router)
    assert "192.0.2.0/24" in sh("ip", "route", inside=router)
