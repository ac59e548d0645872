"""What only the real switch can break: packets, damage, the kernel beside it."""

import asyncio
import dataclasses
import socket
import sys
from collections.abc import Iterator

import pytest

import dataplane_bed
import dataplane_builders as build
from dataplane_bed import network_of
from dataplane_worlds import (
    PODS,
    PORT,
    TARGET,
    V4,
    V6,
    OvsWorld,
    bed_with_pods,
    names,
    serve,
    talks,
)
from lbctl import delta
from lbctl_dataplane.backends.ovs import backend as ovs
from lbctl_dataplane.backends.ovs.refusals import Refusals
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.ovs import refusals
from lbctl_dataplane.rules.tables import elements
from spaces import sh

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("ovs") as made:
        yield made


def test_the_client_address_is_kept(world: OvsWorld) -> None:
    for vip, client in ((V4, "172.31.241.5"), (V6, "fd00:1b:0:241:1::1")):
        world.program(serve(world, build.place(vip), (1,)))
        with world.bed.connect(vip, PORT) as connection:
            assert connection.recv(200).decode().split()[1] == client


def test_one_way_datagrams_all_arrive(world: OvsWorld) -> None:
    # Until there is an answer conntrack calls each of them new.
    world.program(serve(world, build.place(V4, "UDP"), (1, 2, 3)))
    with world.bed.udp(V4, PORT) as datagrams:
        for _ in range(5):
            datagrams.send(b"silent")
        datagrams.send(b"hello")
        assert datagrams.recv(100).endswith(b" hello")


@pytest.mark.parametrize("vip", [V4, V6])
def test_fragmented_datagrams_pass_both_ways(world: OvsWorld, vip: str) -> None:
    world.program(serve(world, build.place(vip, "UDP"), (1,)))
    with world.bed.udp(vip, PORT) as datagrams:
        datagrams.send(b"hello")
        assert datagrams.recv(100) == b"pod1 hello"
        datagrams.send(b"x" * 5000)
        assert len(datagrams.recv(9000)) == 5000 + len(b"pod1 ")


def test_a_closed_port_is_reported_to_the_client(world: OvsWorld) -> None:
    closed = Frontend(
        "default.kuard",
        build.place(V4, "UDP"),
        build.members(world.address(1, 4), port=9),
    )
    world.program(closed)
    with world.bed.udp(V4, PORT) as datagrams:
        datagrams.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            datagrams.recv(10)


@pytest.mark.parametrize("vip", [V4, V6])
@pytest.mark.parametrize("left", [(2,), ()], ids=["others here", "others elsewhere"])
def test_the_client_of_a_pod_that_is_gone_is_reset_instead_of_left_alone(
    world: OvsWorld, left: tuple[int, ...], vip: str
) -> None:
    at = build.place(vip)
    world.program(serve(world, at, (1,)))
    with world.bed.connect(vip, PORT) as connection:
        assert connection.recv(200)
        world.program(serve(world, at, left, elsewhere=not left))
        connection.sendall(b"ping")
        with pytest.raises(ConnectionResetError):
            connection.recv(10)


def test_by_setting_no_vip_answers_pings(world: OvsWorld) -> None:
    class Silent(OvsWorld):
        names = dataclasses.replace(OvsWorld.names, answer_pings=False)

    silent = Silent(world.bed)
    for vip in (V4, V6):
        silent.program(serve(silent, build.place(vip), (1,)))
        assert not silent.pings(vip, timeout_s=0.5)


def test_source_ranges_let_in_who_may(world: OvsWorld) -> None:
    at = build.place(V4)
    for ranges, answer in ((("203.0.113.0/24",), ""), (("172.31.241.4/30",), "pod1")):
        limited = serve(world, at, (1,), source_ranges=ranges, open_to_all=False)
        world.program(limited)
        with talks(world, at, 1) as made:
            assert names(made) == [answer]


def test_affinity_keeps_a_client_with_one_member(world: OvsWorld) -> None:
    at = build.place(V4)
    world.program(serve(world, at, (1, 2, 3, 4, 5), affinity=True))
    with talks(world, at, 15) as made:
        first = set(names(made))
    assert len(first) == 1
    others = tuple(pod for pod in PODS if f"pod{pod}" not in first)[:2]
    left = (int(first.copy().pop().removeprefix("pod")), others[0])
    world.program(serve(world, at, tuple(sorted(left)), affinity=True))
    with talks(world, at, 15) as made:
        assert set(names(made)) == first


def test_others_flows_groups_and_traffic_are_left_alone(world: OvsWorld) -> None:
    bed = world.bed
    bed.ofctl("add-group", "br-int", "group_id=77,type=select,bucket=drop")
    bed.ofctl("add-flow", "br-int", "cookie=0x77,priority=1500,udp,tp_dst=9999,actions=drop")
    world.program(serve(world, build.place(V4), (1,)))
    world.program()
    flows = bed.ofctl("dump-flows", "br-int", "cookie=0x77/-1")
    assert "tp_dst=9999" in flows
    assert "NORMAL" in flows
    assert "group_id=77" in bed.ofctl("dump-groups", "br-int")
    with (
        network_of(bed.node),
        socket.create_connection((world.address(1, 4), TARGET), 2) as direct,
    ):
        assert direct.recv(100).startswith(b"pod1 10.244.71.1")


@pytest.mark.parametrize(
    "damage",
    [
        ("ovs-ofctl", "-O", "OpenFlow15", "del-flows", "br-int", "table=22"),
        ("ovs-ofctl", "-O", "OpenFlow15", "del-groups", "br-int"),
        ("ovs-ofctl", "-O", "OpenFlow15", "--strict", "mod-flows", "br-int",
         "table=20,priority=100,ip,nw_dst=198.18.0.1,actions=drop"),
        ("nft", "delete", "table", "netdev", "lbctl"),
        ("nft", "delete", "table", "netdev", "lbctl-refusals"),
        ("nft", "flush", "chain", "netdev", "lbctl-refusals", "entry"),
        ("nft", "flush", "set", "netdev", "lbctl-refusals", "taking4"),
        ("ethtool", "-K", "svc0", "tx", "on"),
    ],
    ids=lambda argv: " ".join(argv[:4]),
)  # fmt: skip
def test_damage_is_repaired(world: OvsWorld, damage: tuple[str, ...]) -> None:
    at = build.place(V4)
    wanted = serve(world, at, (1, 2))
    world.program(wanted)
    with talks(world, at, 6) as made:
        before = names(made)
        sh(*damage, inside=world.bed.node, env=world.bed.env)
        world.program(wanted)
        assert names(made) == before
    assert world.refuses(build.place(V4, port=PORT + 1))
    assert world.program(wanted).changed == 0
    guards = sh("nft", "list", "table", "netdev", "lbctl", inside=world.bed.node)
    assert guards.count("policy drop") == len(PODS) + 1
    offloads = sh("ethtool", "-k", "svc0", inside=world.bed.node)
    assert "tx-checksumming: off" in offloads


def test_a_kernel_that_cannot_refuse_at_ingress_costs_nothing_but_the_refusals(
    world: OvsWorld, caplog: pytest.LogCaptureFixture
) -> None:
    rules = refusals.table("svc0")
    # No kernel knows sockets at this hook.
    chains = {name: (hook, ("socket transparent 1",)) for name, (hook, _) in rules.chains.items()}
    beside = Refusals(dataclasses.replace(rules, chains=chains))
    change = delta.diff({elements.Element("vips4", V4): ()}, {})

    async def body() -> None:
        assert not beside.untouched()
        for _ in range(2):
            await beside.change(change)
            assert beside.untouched()

    with network_of(world.bed.node):
        asyncio.run(body())
    assert [entry.levelname for entry in caplog.records] == ["WARNING"]
    assert "nft_reject_netdev" in caplog.text


def test_the_kernel_answers_nothing_that_belongs_to_the_switch(world: OvsWorld) -> None:
    # The gateway's address is the node's, yet asked on the service leg nobody has it.
    world.program()
    client = world.bed.client
    sh("ip", "route", "replace", "10.244.71.1/32", "dev", "up0", inside=client)
    with pytest.raises(OSError, match=r"No route|timed out"):
        world.bed.connect("10.244.71.1", 22, timeout_s=4)
    leg = sh("ip", "neigh", "show", "10.244.71.1", inside=client)
    assert "lladdr" not in leg
    sh("ip", "route", "delete", "10.244.71.1/32", "dev", "up0", inside=client)


ONE_PASS = """
import asyncio
from lbctl_dataplane.backends.ovs import ground
from lbctl_dataplane.backends.ovs.backend import OvsBackend
async def run():
    backend = OvsBackend(ground.Names("br-int", "svc0"), tuple)
    known = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(backend.follow(known.set))
        await known.wait()
        await backend.program([])
        following.cancel()
asyncio.run(run())
print("programmed")
"""


def test_an_agent_in_another_pid_namespace_commands_the_switch(world: OvsWorld) -> None:
    # As in a pod without hostPID, where ovs-appctl takes the switch's PID file for a stale one.
    apart = ("unshare", "--pid", "--fork", "--mount-proc")
    with pytest.raises(RuntimeError, match=r"ovs-vswitchd\.pid"):
        sh(*apart, "ovs-appctl", "version", env=world.bed.env)
    command = (*apart, sys.executable, "-c", ONE_PASS)
    assert sh(*command, inside=world.bed.node, env=world.bed.env) == "programmed\n"


def test_a_pod_that_comes_and_goes_is_noticed_in_the_switch(world: OvsWorld) -> None:
    bed = world.bed

    async def follow() -> None:
        backend = ovs.OvsBackend(world.names, lambda: world.legs)
        news = asyncio.Event()
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(backend.follow(news.set))
            await news.wait()
            wanted = serve(world, build.place(V4), (1, 6))
            assert (await backend.program([wanted])).missing
            await asyncio.to_thread(bed.add_pod, 6)
            while (await backend.program([wanted])).missing:
                news.clear()
                await news.wait()
            following.cancel()

    try:
        with network_of(bed.node):
            asyncio.run(follow())
    finally:
        bed.delete_pod(6)
