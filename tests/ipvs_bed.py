"""A node whose kernel is a guest with IPVS; the client and the pods are namespaces outside of it.

Two cables lead to the guest: `vec0` (called svc0 there) from the client, `vec1` from the pods.
Needs root.
"""

import contextlib
import socket
import subprocess
from collections.abc import Iterator

import dataplane_bed
import guest_kernel
import spaces
from dataplane_bed import FABRIC, LEGS, VIPS, network_of
from spaces import sh

TAPS = ("tap-fabric", "tap-pods")
GATEWAYS = ("10.244.71.1", "fd00:10:244:71::1")
PODS_NETWORK = ("10.244.71.0/24", "fd00:10:244:71::/64")
MODULES = ("ip_vs", "ip_vs_mh")


class IpvsBed:
    """One node in a guest kernel, one client, pods by number 1, 2, …"""

    def __init__(self, name: str) -> None:
        self._name = name
        self._servers: dict[int, subprocess.Popen[str]] = {}
        self.client = spaces.named(name, "client")
        self._wires = spaces.named(name, "wires")

    def up(self, guest: guest_kernel.Guest) -> None:
        """Connect a guest that is on the wires."""
        self.guest = guest
        self._cable(self.client, "up0", TAPS[0])
        for address in FABRIC:
            sh("ip", "address", "add", address, "dev", "up0", "nodad", inside=self.client)
        for vips, leg in zip(VIPS, LEGS, strict=True):
            sh("ip", "route", "add", vips, "via", leg, inside=self.client)
        guest.call("guest.commands:load", *MODULES)
        guest.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        guest.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        guest.run("ip", "link", "set", "vec0", "name", "svc0")
        self._addresses("svc0", [f"{LEGS[0]}/30", f"{LEGS[1]}/80"])
        self._addresses("vec1", [f"{GATEWAYS[0]}/24", f"{GATEWAYS[1]}/64"])

    def _addresses(self, device: str, addresses: list[str]) -> None:
        for address in addresses:
            self.guest.run("ip", "address", "add", address, "dev", device, "nodad")
        self.guest.run("ip", "link", "set", device, "up")

    def _cable(self, space: str, device: str, tap: str) -> None:
        """Connect a device in a new namespace with a tap of the guest."""
        spaces.add(space)
        dataplane_bed.forward(space)
        far = space.removeprefix(spaces.PREFIX)[-15:]
        pair = ("type", "veth", "peer", "name", device, "netns", space)
        sh("ip", "link", "add", far, "netns", self._wires, *pair)
        sh("ip", "link", "set", far, "master", f"{tap}-br", "up", inside=self._wires)
        sh("ip", "link", "set", device, "up", inside=space)

    def pod_addresses(self, number: int) -> tuple[str, str]:
        return f"10.244.71.{10 + number}", f"fd00:10:244:71::{10 + number:x}"

    def add_pod(self, number: int, port: int) -> None:
        space = self.pod_space(number)
        self._cable(space, "eth0", TAPS[1])
        lengths = zip(self.pod_addresses(number), GATEWAYS, (24, 64), strict=True)
        for address, gateway, length in lengths:
            sh("ip", "address", "add", f"{address}/{length}", "dev", "eth0", "nodad", inside=space)
            sh("ip", "route", "add", "default", "via", gateway, "dev", "eth0", inside=space)
        self._servers[number] = dataplane_bed.pod_server(space, f"pod{number}", port)

    def pod_space(self, number: int) -> str:
        return spaces.named(self._name, f"pod{number}")

    def connect(self, address: str, port: int, timeout_s: float = 2.0) -> socket.socket:
        with network_of(self.client):
            return socket.create_connection((address, port), timeout=timeout_s)

    def udp(self, address: str, port: int, timeout_s: float = 2.0) -> socket.socket:
        return dataplane_bed.datagrams_from(self.client, address, port, timeout_s)

    @contextlib.contextmanager
    def wires(self) -> Iterator[guest_kernel.Guest]:
        """The namespace of the cables, with a bridge for each tap and the guest at their ends."""
        spaces.add(self._wires)
        try:
            with guest_kernel.guest(self._wires, TAPS) as guest:
                for tap in TAPS:
                    bridge = ("ip", "link", "add", f"{tap}-br", "type", "bridge")
                    sh(*bridge, "forward_delay", "0", inside=self._wires)
                    sh("ip", "link", "set", tap, "master", f"{tap}-br", inside=self._wires)
                    sh("ip", "link", "set", f"{tap}-br", "up", inside=self._wires)
                yield guest
        finally:
            spaces.delete(self._wires)

    def down(self) -> None:
        for server in self._servers.values():
            dataplane_bed.stop(server)
        for space in (self.client, *map(self.pod_space, self._servers)):
            spaces.delete(space)


@contextlib.contextmanager
def bed_with_pods(name: str, pods: tuple[int, ...], port: int) -> Iterator[IpvsBed]:
    """A node with pods that answer on a port."""
    made = IpvsBed(name)
    with made.wires() as guest:
        try:
            made.up(guest)
            for pod in pods:
                made.add_pod(pod, port)
            yield made
        finally:
            made.down()
