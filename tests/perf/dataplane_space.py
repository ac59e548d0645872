"""Nodes of `make bench-dataplane` in network namespaces: pods that greet, a client that hurries."""

import contextlib
import functools
import ipaddress
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dataplane_bed
import routed_bed
from lbctl_dataplane.rules.frontend import Frontend, Member, Place
from spaces import PREFIX, sh

PODS = (1, 2, 3, 4)
PORT, TARGET, SINK_TARGET = 80, 8080, 8081
FIRST_VIP = ipaddress.IPv4Address("198.18.0.1")
SINK_VIP = ipaddress.IPv4Address("198.19.255.254")
"""Of one more Service, which takes streams."""
CLIENTS = (ipaddress.IPv4Address("203.0.113.16"), 16)
"""The first source address of the client's connections, and how many there are."""
FABRIC = dataplane_bed.FABRIC[0].partition("/")[0]
LEG = dataplane_bed.LEGS[0]
_SOURCE = Path(__file__).with_name("dataplane_load.c")


def vip(number: int) -> ipaddress.IPv4Address:
    """Return the address of Service `number`."""
    return FIRST_VIP + number


@functools.cache
def load_program() -> Path:
    """Build what loads and greets; it stays until the process ends."""
    folder = Path(_kept_folder().name)
    argv = ["gcc", "-O2", "-Wall", "-pthread", "-o", str(folder / "load"), str(_SOURCE)]
    subprocess.run(argv, check=True)
    return folder / "load"


@functools.cache
def _kept_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=PREFIX)


def entering(space: str, *argv: str) -> tuple[str, ...]:
    """Return the words that run a command in a namespace."""
    return ("nsenter", f"--net=/run/netns/{space}", *argv)


class Node(dataplane_bed.Bed):
    """Pods greet by the compiled server, and the client has many addresses."""

    def _serve(self, space: str, name: str, port: int) -> subprocess.Popen[str]:
        argv = entering(space, str(load_program()), "serve", str(port), str(SINK_TARGET))
        server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        if server.stdout.readline() != "up\n":
            raise RuntimeError(f"no server in {name}")
        return server

    def up(self) -> None:
        super().up()
        first, count = CLIENTS
        for number in range(count):
            sh("ip", "address", "add", f"{first + number}/32", "dev", "up0", inside=self.client)

    def programs(self) -> tuple[int, ...]:
        """Return the processes that take part in every connection, but for the client."""
        return tuple(server.pid for server in self._servers.values())


class RoutedNode(Node, routed_bed.RoutedBed):
    """A node whose pods are plain routes."""

    def up(self) -> None:
        super().up()
        sh("ip", "route", "add", "default", "via", FABRIC, inside=self.node)
        sh("ip", "route", "add", "10.244.71.0/24", "via", LEG, inside=self.client)


class PlainNode(RoutedNode):
    """The same without what cables of namespaces spare themselves, as Open vSwitch needs it."""

    def up(self) -> None:
        super().up()
        for space, device in ((self.node, "svc0"), (self.client, "up0")):
            dataplane_bed.plain(space, device)

    def _plug(self, number: int, space: str, device: str) -> None:
        super()._plug(number, space, device)
        dataplane_bed.plain(self.node, device)
        dataplane_bed.plain(space, "eth0")


class SwitchedNode(Node):
    """A node whose pods are ports of Open vSwitch."""

    def programs(self) -> tuple[int, ...]:
        return (*super().programs(), int((self.folder / "ovs-vswitchd.pid").read_text()))


@contextlib.contextmanager
def node(name: str, kind: type[Node]) -> Iterator[Node]:
    """Have a node with its pods until the block ends."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        made = kind(Path(folder), name)
        try:
            made.up()
            for pod in PODS:
                made.add_pod(pod, TARGET)
            yield made
        finally:
            made.down()


def pod_addresses(bed: dataplane_bed.Bed) -> list[str]:
    """Return the pods' IPv4 addresses."""
    return [bed.pod_addresses(pod)[0] for pod in PODS]


def frontends(bed: dataplane_bed.Bed, count: int) -> list[Frontend]:
    """Return so many Services of all pods, and the sink."""
    greeting, sink = (
        tuple(Member(ipaddress.ip_address(address), target) for address in pod_addresses(bed))
        for target in (TARGET, SINK_TARGET)
    )
    made = [
        Frontend(f"bench.svc-{number}", Place(vip(number), "TCP", PORT), greeting)
        for number in range(count)
    ]
    return [*made, Frontend("bench.sink", Place(SINK_VIP, "TCP", PORT), sink)]
