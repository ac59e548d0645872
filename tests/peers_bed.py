"""Nodes of one cluster behind a router that cannot weigh, in network namespaces. Needs root."""

import asyncio
import contextlib
import dataclasses
import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import dataplane_bed
import dataplane_builders as build
import spaces
from dataplane_bed import network_of
from lbctl.kube import resources
from lbctl.model.virtual_service import Address, Listener, VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane import serving_nodes
from lbctl_dataplane.backends.nft.backend import NftBackend
from lbctl_dataplane.backends.peers.forwarding import PeerForwarder
from lbctl_dataplane.decisions import Behind, View
from lbctl_dataplane.node import Beside, NodeRole
from lbctl_dataplane.roles import Programmed
from lbctl_dataplane.rules.router.legs import ServingNode
from spaces import sh

V4, V6 = "198.18.0.1", "2001:2::1"
PORT, TARGET = 80, 8080
PORTS = (("", "TCP", TARGET), ("u", "UDP", TARGET))
LISTENERS = (Listener("", "TCP", PORT, "pool"), Listener("u", "UDP", PORT, "pool-udp"))
CLIENT = {4: "203.0.113.10", 6: "2001:db8:c::10"}
ROUTER = {4: "203.0.113.1", 6: "2001:db8:c::1"}
LENGTH = {4: 24, 6: 64}
VIPS = {4: "198.18.0.0/15", 6: "2001:2::/48"}
COUNT = """
table netdev count {
    chain vips {
        type filter hook ingress device "svc0" priority -300;
        ip daddr 198.18.0.0/15 counter
        ip6 daddr 2001:2::/48 counter
    }
}
"""
"""Counts what enters for VIPs, before anybody acts on it."""


@dataclasses.dataclass(frozen=True)
class Pod:
    """A member: its number among all nodes' pods, and the number of its node."""

    number: int
    node: int
    ready: bool = True

    @property
    def name(self) -> str:
        return f"pod{self.number}"

    def address(self, version: int) -> str:
        if version == 4:
            return f"10.244.{70 + self.node}.{10 + self.number}"
        return f"fd00:10:244:{70 + self.node}::{10 + self.number:x}"

    def gateway(self, version: int) -> str:
        """Return the node's end of the pod's link."""
        node = 70 + self.node
        return f"10.244.{node}.1" if version == 4 else f"fd00:10:244:{node}::1"

    def endpoint(self, version: int) -> Endpoint:
        address = build.ip(self.address(version))
        return Endpoint(address, f"node-{self.node}", self.ready, self.ready, False, PORTS)


def service(**policy: object) -> VirtualService:
    from lbctl.model.virtual_service import Policy

    return build.service(listeners=LISTENERS, policy=Policy(**policy))  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Way:
    """A node's legs, each with a gateway."""

    legs: tuple[Address, ...]
    named: tuple[Address, ...]

    def now(self) -> tuple[Address, ...]:
        return self.legs

    def gateways(self) -> tuple[Address, ...]:
        return self.named


class PeersBed:
    """A client, a router, nodes on one link or on a link each, pods behind them."""

    def __init__(self, name: str, *, nodes: int, one_link: bool) -> None:
        self._name = name
        self.numbers = tuple(range(1, nodes + 1))
        self._one_link = one_link
        self.families: tuple[int, ...] = (4, 6)
        """IP versions that nodes have a leg of."""
        self.client, self.router = self._space("client"), self._space("router")
        self._spaces: list[str] = []
        self._servers: list[subprocess.Popen[str]] = []

    def _space(self, place: str) -> str:
        return spaces.named(self._name, place)

    def node(self, number: int) -> str:
        return self._space(f"node{number}")

    def leg(self, number: int, version: int) -> str:
        link = 0 if self._one_link else number
        return f"172.31.{240 + link}.{10 + number}" if version == 4 else f"fd00:1b:{link}::{number}"

    def way(self, number: int) -> "Way":
        """Return where a node stands."""
        legs, gateways = (
            tuple(build.ip(address(number, version)) for version in self.families)
            for address in (self.leg, self._gateway)
        )
        return Way(legs, gateways)

    def _gateway(self, number: int, version: int) -> str:
        link = 0 if self._one_link else number
        return f"172.31.{240 + link}.1" if version == 4 else f"fd00:1b:{link}::ffff"

    def up(self) -> None:
        for space in (self.client, self.router, *map(self.node, self.numbers)):
            spaces.add(space)
            self._spaces.append(space)
            dataplane_bed.forward(space)
        self._connect(self.client, "eth0", self.router, "client0")
        for version in (4, 6):
            self._address(self.client, "eth0", CLIENT[version], version)
            self._address(self.router, "client0", ROUTER[version], version)
            sh("ip", "route", "add", "default", "via", ROUTER[version], inside=self.client)
        if self._one_link:
            sh("ip", "link", "add", "link0", "type", "bridge", inside=self.router)
            sh("ip", "link", "set", "link0", "up", inside=self.router)
        for number in self.numbers:
            self._plug(number)
        sh("sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1", inside=self.router)
        sh("sysctl", "-qw", "net.ipv6.fib_multipath_hash_policy=1", inside=self.router)
        self.spread_over(*self.numbers)

    def _plug(self, number: int) -> None:
        node, leaf = self.node(number), f"leaf{number}"
        self._connect(node, "svc0", self.router, leaf)
        if self._one_link:
            sh("ip", "link", "set", leaf, "master", "link0", inside=self.router)
        for version in (4, 6):
            gateway = self._gateway(number, version)
            if not self._one_link or number == 1:
                self._address(self.router, "link0" if self._one_link else leaf, gateway, version)
            self._address(node, "svc0", self.leg(number, version), version)
            sh("ip", "route", "add", "default", "via", gateway, inside=node)
        self.count_anew(number)

    @staticmethod
    def _connect(one: str, device: str, other: str, peer: str) -> None:
        ends = ("netns", one, "type", "veth", "peer", "name", peer, "netns", other)
        sh("ip", "link", "add", device, *ends)
        sh("ip", "link", "set", device, "up", inside=one)
        sh("ip", "link", "set", peer, "up", inside=other)

    @staticmethod
    def _address(space: str, device: str, address: str, version: int) -> None:
        text = f"{address}/{LENGTH[version]}"
        sh("ip", "address", "add", text, "dev", device, "nodad", inside=space)

    def spread_over(self, *numbers: int) -> None:
        """Have the router send VIPs to these nodes, by the hash of each flow."""
        for version in (4, 6):
            hops = [
                word for number in numbers for word in ("nexthop", "via", self.leg(number, version))
            ]
            sh("ip", "route", "replace", VIPS[version], *hops, inside=self.router)

    def add(self, pod: Pod) -> None:
        """Start a pod on its node."""
        space, node = self._space(pod.name), self.node(pod.node)
        spaces.add(space)
        self._spaces.append(space)
        self._connect(space, "eth0", node, pod.name)
        for version in (4, 6):
            own, gateway = pod.address(version), pod.gateway(version)
            bits = "32" if version == 4 else "128"
            sh("ip", "address", "add", f"{own}/{bits}", "dev", "eth0", "nodad", inside=space)
            sh("ip", "route", "add", gateway, "dev", "eth0", inside=space)
            sh("ip", "route", "add", "default", "via", gateway, "dev", "eth0", inside=space)
            here = (f"{gateway}/{bits}", "dev", pod.name, "nodad")
            sh("ip", "address", "add", *here, inside=node)
            sh("ip", "route", "add", f"{own}/{bits}", "dev", pod.name, inside=node)
        self._servers.append(dataplane_bed.pod_server(space, pod.name, TARGET))

    def serving_nodes(self) -> list[dict[str, Any]]:
        """Return what the nodes say about themselves."""
        return list(map(self._serving_node, self.numbers))

    def _serving_node(self, number: int) -> dict[str, Any]:
        legs = [(self.leg(number, version), self._mac(number)) for version in self.families]
        said = build.serving_node(f"node-{number}", legs, decisions=1, slices=1)
        said["spec"]["backend"] = "nft"
        return said

    def _mac(self, number: int) -> str:
        shown = sh("ip", "-j", "link", "show", "dev", "svc0", inside=self.node(number))
        return str(json.loads(shown)[0]["address"])

    def count_anew(self, number: int) -> None:
        """Count what enters a node for VIPs from now on."""
        node = self.node(number)
        sh("nft", "add table netdev count; delete table netdev count", inside=node)
        sh("nft", COUNT, inside=node)

    def counted(self, number: int) -> int:
        """Return how many packets for VIPs entered a node by its leg."""
        listing = sh("nft", "-j", "list", "table", "netdev", "count", inside=self.node(number))
        entries = json.loads(listing)["nftables"]
        parts = [part for entry in entries if "rule" in entry for part in entry["rule"]["expr"]]
        return sum(part["counter"]["packets"] for part in parts if "counter" in part)

    def connect(self, vip: str, timeout_s: float = 2.0) -> socket.socket:
        with network_of(self.client):
            return socket.create_connection((vip, PORT), timeout=timeout_s)

    def udp(self, vip: str, timeout_s: float = 2.0) -> socket.socket:
        return dataplane_bed.datagrams_from(self.client, vip, PORT, timeout_s)

    def down(self) -> None:
        for server in self._servers:
            dataplane_bed.stop(server)
        for space in self._spaces:
            spaces.delete(space)


class Agents:
    """An agent for each node of a bed; they live on between passes."""

    def __init__(self, bed: PeersBed, *, everywhere: bool) -> None:
        self._bed, self._everywhere = bed, everywhere
        self._loop = asyncio.Runner()
        self._roles = {number: self._role(number) for number in bed.numbers}
        self._version = 1

    def _role(self, number: int) -> NodeRole:
        name = f"node-{number}"
        way = self._bed.way(number)
        peers = PeerForwarder(name, "svc0", way, everywhere=self._everywhere)
        backend = NftBackend("svc0", way.now, lambda: ())
        return NodeRole(name, backend, build.CHOSEN, Beside(peers=peers))

    def restart(self) -> None:
        """Begin anew with what the kernels hold."""
        self._roles = {number: self._role(number) for number in self._bed.numbers}

    def program(self, wanted: VirtualService, *pods: Pod) -> dict[int, Programmed]:
        """Let every node take one virtual service with these members."""
        return {number: self.program_one(number, wanted, *pods) for number in self._bed.numbers}

    def program_one(self, number: int, wanted: VirtualService, *pods: Pod) -> Programmed:
        ends = tuple(pod.endpoint(version) for pod in pods for version in (4, 6))
        view = View((wanted,), {wanted.key: 1}, {wanted.key: Behind(ends)}, 1, 1, concerned=True)
        with network_of(self._bed.node(number)):
            return self._loop.run(self._pass(number, view))

    def serving_nodes(self) -> dict[str, ServingNode]:
        """Return what the nodes say about themselves since the last pass."""
        said = self._bed.serving_nodes()
        for obj, role in zip(said, self._roles.values(), strict=True):
            obj["spec"].update(serving_nodes.render_forwarding(role.forwarding()))
        return serving_nodes.parse_nodes(said)

    def end(self) -> None:
        """Take away all virtual services, and the agents."""
        nothing: Mapping[str, Behind] = {}
        with self._loop:
            for number in self._bed.numbers:
                with network_of(self._bed.node(number)):
                    self._loop.run(self._pass(number, View((), {}, nothing, 1, 1, concerned=True)))

    async def _pass(self, number: int, view: View) -> Programmed:
        role, known = self._roles[number], asyncio.Event()
        store = role.stores[resources.SERVING_NODES]
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(role.follow(known.set))
            await known.wait()
            self._version += 1
            store.replace(self._bed.serving_nodes(), self._version)
            done = await role.program(view)
            following.cancel()
        return done


_Bed = TypeVar("_Bed", bound=PeersBed)
_Agents = TypeVar("_Agents", bound=Agents)


@contextlib.contextmanager
def standing(bed: _Bed, *pods: Pod) -> Iterator[_Bed]:
    """Have nodes with pods until the block ends."""
    try:
        bed.up()
        for pod in pods:
            bed.add(pod)
        yield bed
    finally:
        bed.down()


@contextlib.contextmanager
def acting(agents: _Agents, bed: PeersBed) -> Iterator[_Agents]:
    """Have agents on nodes; afterwards the router spreads over all of these again."""
    try:
        yield agents
    finally:
        agents.end()
        bed.spread_over(*bed.numbers)
