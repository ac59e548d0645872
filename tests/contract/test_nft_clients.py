"""Limits of each client on the real kernel: what a policy's `connectionsPerClient` does on nft."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

import dataplane_builders as build
import event_loops
import nft_agents
from dataplane_bed import network_of
from dataplane_worlds import PORT, V4, V6, NftWorld, serve
from lbctl.model.policy import Limits
from lbctl_dataplane.backends.port import NodeBackend
from lbctl_dataplane.rules.frontend import Place
from nft_agents import OURS, nft
from spaces import sh

pytestmark = pytest.mark.root

both = pytest.mark.parametrize("vip", [V4, V6])
OTHERS = {V4: "192.0.2.77", V6: "2001:db8:77::1"}
"""The client's second addresses, by the VIP."""


@pytest.fixture
def world(nft_world: NftWorld) -> Iterator[NftWorld]:
    bed = nft_world.bed
    ways = [(OTHERS[vip], nft_agents.CLIENTS[vip]) for vip in (V4, V6)]
    for other, first in ways:
        sh("ip", "address", "add", other, "dev", "lo", "nodad", inside=bed.client)
        sh("ip", "route", "add", other, "via", first, inside=bed.node)
    yield nft_world
    nft_world.program()
    for other, first in ways:
        sh("ip", "route", "delete", other, "via", first, inside=bed.node)
        sh("ip", "address", "delete", other, "dev", "lo", inside=bed.client)


class Clients:
    """Connections of one client, which stay."""

    def __init__(self, world: NftWorld, keep: contextlib.ExitStack) -> None:
        self._world, self._keep = world, keep

    def connects(self, vip: str, source: str = "", port: int = PORT) -> bool:
        """Tell whether one more connection is taken; any end but a refusal is an error."""
        own = (source, 0) if source else None
        try:
            with network_of(self._world.bed.client):
                made = socket.create_connection((vip, port), 2, source_address=own)
        except ConnectionRefusedError:
            return False
        assert self._keep.enter_context(made).recv(100)
        return True


@pytest.fixture
def clients(world: NftWorld) -> Iterator[Clients]:
    with contextlib.ExitStack() as keep:
        yield Clients(world, keep)


def limited(world: NftWorld, at: Place, limit: int) -> None:
    world.program(serve(world, at, (1, 2), limits=Limits(connections_per_client=limit)))


@both
def test_a_client_beyond_its_limit_is_refused_at_once_and_others_are_not(
    world: NftWorld, clients: Clients, vip: str
) -> None:
    limited(world, build.place(vip), 2)
    assert [clients.connects(vip) for _ in range(4)] == [True, True, False, False]
    assert [clients.connects(vip, OTHERS[vip]) for _ in range(3)] == [True, True, False]


@both
def test_each_place_counts_by_itself_also_where_limits_are_equal(
    world: NftWorld, clients: Clients, vip: str
) -> None:
    places = build.place(vip), build.place(vip, port=PORT + 1)
    limits = Limits(connections_per_client=1)
    world.program(*(serve(world, at, (1,), limits=limits) for at in places))
    for at in places:
        assert [clients.connects(vip, port=at.port) for _ in range(2)] == [True, False]


@both
def test_a_client_that_is_refused_uses_up_nothing_of_the_place(
    world: NftWorld, clients: Clients, vip: str
) -> None:
    limits = Limits(connections=3, connections_per_s=3, connections_per_client=1)
    world.program(serve(world, build.place(vip), (1,), limits=limits))
    assert [clients.connects(vip) for _ in range(8)] == [True] + [False] * 7
    assert clients.connects(vip, OTHERS[vip])


@both
def test_counts_survive_audits_and_restarts_and_a_change_of_members(
    world: NftWorld, clients: Clients, vip: str
) -> None:
    at, limits = build.place(vip), Limits(connections_per_client=2)
    limited(world, at, 2)
    assert [clients.connects(vip) for _ in range(2)] == [True, True]
    assert world.program(serve(world, at, (1, 2), limits=limits)).changed == 0
    world.program(serve(world, at, (1, 2, 3), limits=limits))
    assert not clients.connects(vip)


@both
def test_a_new_limit_counts_anew_and_leaves_no_meter_behind(
    world: NftWorld, clients: Clients, vip: str
) -> None:
    at = build.place(vip)
    limited(world, at, 1)
    assert [clients.connects(vip) for _ in range(2)] == [True, False]
    limited(world, at, 2)
    assert [clients.connects(vip) for _ in range(3)] == [True, True, False]
    listed = nft(world, "list", "table", *OURS)
    assert f"atmost{at.vip.version}x2" in listed
    assert f"atmost{at.vip.version}x1" not in listed
    world.program(serve(world, at, (1,)))
    assert clients.connects(vip)
    assert f"atmost{at.vip.version}x" not in nft(world, "list", "table", *OURS)


@both
def test_the_kernel_forgets_clients_that_left(world: NftWorld, vip: str) -> None:
    at = build.place(vip)
    limited(world, at, 1)
    meter = ("list", "set", *OURS, f"clients{at.vip.version}")
    with contextlib.ExitStack() as keep:
        assert Clients(world, keep).connects(vip)
        assert "elements" in nft(world, *meter)
    event_loops.run(event_loops.until(lambda: "elements" not in nft(world, *meter)))


def test_who_finds_no_room_in_a_meter_gets_through(world: NftWorld, clients: Clients) -> None:
    """A meter with room for one stands for a full one: the kernel treats both alike."""
    limited(world, build.place(V4), 1)
    listed = nft(world, "list", "table", *OURS)
    assert "size 65535" in listed
    small = (
        f"flush chain {' '.join(OURS)} atmost4x1\n"
        f"add set {' '.join(OURS)} small {{ type ipv4_addr; size 1; flags dynamic; }}\n"
        f"add rule {' '.join(OURS)} atmost4x1"
        " add @small { ip saddr ct count over 1 } goto over\n"
    )
    nft_agents.load(world, small)
    assert [clients.connects(V4) for _ in range(2)] == [True, False]
    assert [clients.connects(V4, OTHERS[V4]) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize(
    "damage",
    [
        "flush chain inet lbctl-node atmost4x2",
        "add chain inet lbctl-node atmost4x9",
        "add rule inet lbctl-node atmost4x2 drop",
    ],
)
def test_a_meter_that_somebody_damaged_or_made_is_repaired(
    world: NftWorld, clients: Clients, damage: str
) -> None:
    at = build.place(V4)
    limited(world, at, 2)
    nft_agents.load(world, damage + "\n")
    limited(world, at, 2)
    listed = nft(world, "list", "table", *OURS)
    assert "atmost4x9" not in listed
    assert [clients.connects(V4) for _ in range(3)] == [True, True, False]


def test_an_agent_changes_limits_one_after_the_other(world: NftWorld) -> None:
    at = build.place(V4)

    async def body(backend: NodeBackend) -> None:
        for limit in (1, 2, 0, 3):
            limits = Limits(connections_per_client=limit)
            await backend.program([serve(world, at, (1,), limits=limits)])
            assert (await backend.program([serve(world, at, (1,), limits=limits)])).changed == 0

    nft_agents.with_one_agent(world, body)
    assert "atmost4x3" in nft(world, "list", "table", *OURS)
