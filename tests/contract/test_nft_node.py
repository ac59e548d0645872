"""What only a real kernel can break: packets, tables of others, damage, connections."""

import asyncio
import contextlib
import socket

import pytest

import dataplane_builders as build
from dataplane_bed import network_of
from dataplane_worlds import PORT, TARGET, V4, V6, NftWorld, names, serve, talks
from lbctl.model.policy import Limits
from lbctl_dataplane.backends.port import NodeBackend
from lbctl_dataplane.rules.frontend import Frontend
from nft_agents import CLIENTS, OURS, load, nft, with_one_agent
from spaces import named, sh

pytestmark = pytest.mark.root

PROXY = """
table inet proxy {{
    chain services {{
        type nat hook prerouting priority -100;
        ip daddr {vip} tcp dport {port} dnat ip to {pod}:{target}
    }}
}}
"""
both = pytest.mark.parametrize("vip", [V4, V6])


@pytest.fixture
def world(nft_world: NftWorld) -> NftWorld:
    return nft_world


@both
def test_the_client_address_is_kept(world: NftWorld, vip: str) -> None:
    world.program(serve(world, build.place(vip), (1,)))
    with world.bed.connect(vip, PORT) as connection:
        assert connection.recv(200).decode().split()[1] == CLIENTS[vip]


@both
def test_without_members_clients_are_refused_at_once(world: NftWorld, vip: str) -> None:
    wanted = (serve(world, build.place(vip, name), (), (1,)) for name in ("TCP", "UDP"))
    world.program(*wanted)
    for port in (PORT, PORT + 1):
        with pytest.raises(ConnectionRefusedError):
            world.bed.connect(vip, port)
        with world.bed.udp(vip, port) as datagrams, pytest.raises(ConnectionRefusedError):
            datagrams.send(b"hello")
            datagrams.recv(100)


@both
def test_affinity_sends_a_client_to_one_member(world: NftWorld, vip: str) -> None:
    world.program(serve(world, build.place(vip), (1, 2, 3), affinity=True))
    with talks(world, build.place(vip), 12) as made:
        assert len(set(names(made))) == 1


@both
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_only_clients_in_the_source_ranges_connect(
    world: NftWorld, vip: str, protocol: str
) -> None:
    at = build.place(vip, protocol)
    for ranges, served in (((CLIENTS[vip],), True), ((f"{vip}",), False), ((), False)):
        length = "/128" if ":" in vip else "/32"
        limits = tuple(address + length for address in ranges)
        limited = serve(world, at, (1, 2), source_ranges=limits, open_to_all=False)
        world.program(limited)
        with talks(world, at, 1) as made:
            assert bool(names(made)[0]) is served
        assert world.program(limited).changed == 0


def test_source_ranges_that_hold_each_other_replace_each_other(world: NftWorld) -> None:
    four = [("10.0.0.0/8",), ("10.0.0.0/9",), ("10.0.0.0/8",), ("0.0.0.0/0",)]
    six = [("fd00::/16",), ("fd00::/17", "fd00:8000::/128"), ("::/0",), ("fd00::/16",)]
    for ranges in zip(four, six, strict=True):
        wanted = [
            serve(world, build.place(vip), (1,), source_ranges=allowed, open_to_all=False)
            for vip, allowed in zip((V4, V6), ranges, strict=True)
        ]
        assert world.program(*wanted).changed > 0
        assert world.program(*wanted).changed == 0


@both
def test_datagrams_from_one_port_leave_a_member_that_vanished(world: NftWorld, vip: str) -> None:
    at = build.place(vip, "UDP")

    async def scenario(backend: NodeBackend) -> None:
        await backend.program([serve(world, at, (1,))])
        with talks(world, at, 1) as made:
            assert names(made) == ["pod1"]
            await backend.program([serve(world, at, (2,), lingering=(1,))])
            assert names(made) == ["pod1"]
            await backend.program([serve(world, at, (2,))])
            assert names(made) == ["pod2"]

    with_one_agent(world, scenario)


@both
@pytest.mark.parametrize("left", [(2,), ()], ids=["another member", "no member"])
def test_a_client_of_a_member_that_vanished_is_reset(
    world: NftWorld, vip: str, left: tuple[int, ...]
) -> None:
    other = serve(world, build.place(vip, port=PORT + 1), (3,))

    async def scenario(backend: NodeBackend) -> None:
        await backend.program([serve(world, build.place(vip), (1,)), other])
        with world.bed.connect(vip, PORT) as connection:
            assert connection.recv(100).startswith(b"pod1 ")
            wanted = [serve(world, build.place(vip), left)] if left else []
            await backend.program([*wanted, other])
            connection.sendall(b"ping")
            with pytest.raises(ConnectionResetError):
                connection.recv(100)

    with_one_agent(world, scenario)


def test_connections_that_ended_while_no_agent_ran_are_dropped(world: NftWorld) -> None:
    at = build.place(V4, "UDP")
    world.program(serve(world, at, (1,)))
    with talks(world, at, 1) as made:
        assert names(made) == ["pod1"]
        world.program(serve(world, at, (2,)))
        assert names(made) == ["pod2"]


@both
def test_a_restarted_agent_changes_nothing_and_breaks_nothing(world: NftWorld, vip: str) -> None:
    at = build.place(vip)
    wanted = serve(world, at, (1, 2, 3), lingering=(4,))
    world.program(serve(world, at, (1, 2, 3, 4)))
    with talks(world, at, 20) as made:
        before = names(made)
        world.program(wanted)
        assert world.program(wanted).changed == 0
        assert names(made) == before


def test_the_same_objects_cost_no_command(world: NftWorld) -> None:
    wanted = [serve(world, build.place(V4), (1, 2))]

    async def scenario(backend: NodeBackend) -> None:
        assert (await backend.program(wanted)).changed
        nft(world, "delete", "table", *OURS)
        # Not even looked at: the audit comes later.
        assert (await backend.program(wanted)).changed == 0

    with_one_agent(world, scenario)


DAMAGE = {
    "a slot taken away": "delete element {table} slots4x23 {{ {place} . 3 }}",
    "a way taken away": "delete element {table} ways4 {{ {place} }}",
    "a way that leads elsewhere": (
        "delete element {table} ways4 {{ {place} }}\n"
        "add element {table} ways4 {{ {place} : goto by4x1 }}"
    ),
    "a VIP taken away": "delete element {table} vips4 {{ {vip} }}",
    "another limit": (
        "delete element {table} counts4 {{ {place} }}\n"
        "add element {table} counts4 {{ {place} ct count over 2 }}"
    ),
    "another interface": "add element {table} fabric {{ other0 }}",
    "a chain flushed": "flush chain {table} vip4",
    "a rule added": "insert rule {table} vip4 drop",
    "a chain added": "add chain {table} other",
    "a set added": "add set {table} other {{ type ipv4_addr; }}",
    "the table gone": "delete table {table}",
    "two sets of members": "add element {table} single4 {{ {place} : 10.9.9.9 . 1 }}",
    "a slot too many": "add element {table} slots4x23 {{ {place} . 99 : 10.9.9.9 . 1 }}",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_repaired_and_no_connection_notices(world: NftWorld, damage: str) -> None:
    at = build.place(V4)
    wanted = serve(world, at, (1, 2), limits=Limits(connections=1000))
    world.program(wanted)
    whole = nft(world, "list", "table", *OURS)
    with talks(world, at, 5) as made:
        before = names(made)
        load(world, damage.format(table=" ".join(OURS), vip=V4, place=f"{V4} . 6 . {PORT}"))
        assert world.program(wanted).changed > 0
        assert nft(world, "list", "table", *OURS) == whole
        assert names(made) == before
    with talks(world, at, 5) as made:
        assert set(names(made)) <= {"pod1", "pod2"}


def test_tables_of_others_are_not_touched(world: NftWorld) -> None:
    load(world, PROXY.format(vip=V4, port=PORT, pod="192.0.2.1", target=1))
    load(world, "table inet lbctl {\n chain route {\n ct mark set 1\n }\n}\n")
    others = [nft(world, "list", "table", "inet", name) for name in ("proxy", "lbctl")]
    try:
        world.program(serve(world, build.place(V4), (1,)))
        world.program()
        found = [nft(world, "list", "table", "inet", name) for name in ("proxy", "lbctl")]
        assert found == others
    finally:
        load(world, "delete table inet proxy\ndelete table inet lbctl\n")


def test_kube_proxy_has_what_enters_elsewhere_and_we_what_enters_from_the_fabric(
    world: NftWorld,
) -> None:
    pod_two = world.address(2, 4)
    load(world, PROXY.format(vip=V4, port=PORT, pod=pod_two, target=TARGET))
    try:
        world.program(serve(world, build.place(V4), (1,)))
        with world.bed.connect(V4, PORT) as connection:
            assert connection.recv(100).startswith(b"pod1 ")
        with (
            network_of(named("routed", "pod3")),
            socket.create_connection((V4, PORT), timeout=2) as connection,
        ):
            assert connection.recv(100).startswith(b"pod2 ")
    finally:
        load(world, "delete table inet proxy\n")


def test_a_member_serves_as_soon_as_there_is_a_route_to_it(world: NftWorld) -> None:
    late = "10.244.71.77"
    wanted = [Frontend("default.kuard", build.place(V4), build.members(late))]

    async def scenario() -> None:
        backend, told = world.backend(), asyncio.Event()
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(backend.follow(told.set))
            await told.wait()
            outcome = await backend.program(wanted)
            assert outcome.missing == {"default.kuard": (build.ip(late),)}
            told.clear()
            sh("ip", "route", "add", late, "dev", "pod1", inside=world.bed.node)
            await told.wait()
            assert (await backend.program(wanted)).missing == {}
            following.cancel()

    try:
        with network_of(world.bed.node):
            asyncio.run(scenario())
    finally:
        with contextlib.suppress(RuntimeError):
            sh("ip", "route", "delete", late, inside=world.bed.node)


def test_sctp_is_taken_as_the_others_are(world: NftWorld) -> None:
    wanted = [serve(world, build.place(vip, "SCTP"), (1, 2)) for vip in (V4, V6)]
    assert world.program(*wanted).changed > 0
    assert world.program(*wanted).changed == 0


def test_a_load_in_several_transactions_is_read_back_as_one(world: NftWorld) -> None:
    vips = (build.ip("198.18.1.0") + number for number in range(1, 301))
    wanted = [serve(world, build.place(str(vip)), (1, 2)) for vip in vips]
    world.program(*wanted)
    assert world.program(*wanted).changed == 0
