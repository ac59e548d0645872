"""A node whose packets kube-proxy moves: the agent tells of it and leaves the kernel alone."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import dataplane_bed
import dataplane_builders as build
from dataplane_bed import network_of
from dataplane_worlds import PORT, TARGET, V4, V6, PacketWorld
from lbctl.model import errors
from lbctl_dataplane import decisions
from lbctl_dataplane.backends import announce
from lbctl_dataplane.backends.choice import Choice
from lbctl_dataplane.backends.port import NodeBackend
from lbctl_dataplane.decisions import View
from lbctl_dataplane.node import NodeRole
from lbctl_dataplane.roles import Programmed
from spaces import sh

pytestmark = pytest.mark.root

NODE = "node-1"
CHOSEN = Choice("announce-only", "setting agent.backend")
SERVICE = build.service(vips=(V4, V6))
PROXY = """
table inet proxy {{
    chain services {{
        type nat hook prerouting priority -100;
        ip daddr {V4} tcp dport {port} dnat ip to {four}:{target}
        ip6 daddr {V6} tcp dport {port} dnat ip6 to [{six}]:{target}
    }}
}}
"""
"""What kube-proxy makes of a Service with one member."""
both = pytest.mark.parametrize("vip", [V4, V6])


class World(PacketWorld):
    interface = "svc0"

    def backend(self) -> NodeBackend:
        return announce.AnnounceOnly(self.interface, lambda: self.legs)


@pytest.fixture
def world(routed_bed: dataplane_bed.Bed) -> World:
    return World(routed_bed)


@contextlib.contextmanager
def kube_proxy(world: World, members: Sequence[str]) -> Iterator[None]:
    """Have a node whose Service leads to a member of each family."""
    rules = world.bed.folder / "proxy.nft"
    four, six = members
    rules.write_text(PROXY.format(V4=V4, V6=V6, port=PORT, target=TARGET, four=four, six=six))
    sh("nft", "-f", str(rules), inside=world.bed.node)
    try:
        yield
    finally:
        sh("nft", "delete", "table", "inet", "proxy", inside=world.bed.node)


def announced(world: World, members: Sequence[str]) -> tuple[NodeRole, Programmed]:
    """Let the node's role take a Service with these members, once."""
    slices = build.slice_object("kuard-1", 1, *((address, NODE) for address in members))
    behind = decisions.read_slices([slices])
    view = View((SERVICE,), {SERVICE.key: 1}, {SERVICE.key: behind}, 1, 1, True)
    role = NodeRole(NODE, world.backend(), CHOSEN)
    with network_of(world.bed.node):
        return role, asyncio.run(role.program(view))


def greeting(world: World, vip: str) -> str:
    with world.bed.connect(vip, PORT) as connection:
        return connection.recv(200).decode()


@both
def test_kube_proxy_carries_what_the_agent_tells_of(world: World, vip: str) -> None:
    members = world.bed.pod_addresses(1)
    with kube_proxy(world, members):
        before = sh("nft", "list", "ruleset", inside=world.bed.node)
        role, done = announced(world, members)
        legs = role.legs() or ()
        assert {leg.address for leg in legs} == set(world.legs)
        assert all(leg.mac for leg in legs)
        assert done == Programmed(0)
        assert sh("nft", "list", "ruleset", inside=world.bed.node) == before
        assert greeting(world, vip).startswith("pod1 ")


@both
def test_a_member_may_be_the_node_itself(world: World, vip: str) -> None:
    server = dataplane_bed.pod_server(world.bed.node, "host", TARGET)
    try:
        with kube_proxy(world, dataplane_bed.LEGS):
            _, done = announced(world, dataplane_bed.LEGS)
            assert done.exceptions == ()
            assert greeting(world, vip).startswith("host ")
    finally:
        dataplane_bed.stop(server)


def test_an_interface_that_is_not_there_is_told_with_the_setting_to_mend(world: World) -> None:
    world.interface = "nosuch0"
    with pytest.raises(errors.Unavailable, match=r"nosuch0 \(setting agent.serviceInterface\)"):
        announced(world, world.bed.pod_addresses(1))


def test_a_node_that_does_not_forward_says_so(world: World) -> None:
    with network_of(world.bed.node):
        switch = Path("/proc/sys/net/ipv4/ip_forward")
        switch.write_text("0")
        try:
            with pytest.raises(errors.Unavailable, match=r"net.ipv4.ip_forward is 0"):
                announced(world, world.bed.pod_addresses(1))
        finally:
            switch.write_text("1")
