"""A router of its own in network namespaces: a client, and nodes that answer for VIPs. Needs root.

The nodes stand in for real ones: each has the VIPs on its loopback and a server that names it.
"""

import ipaddress
import json
import socket
import subprocess
import sys

import dataplane_bed
import spaces
from dataplane_bed import SERVER, network_of
from spaces import sh

CLIENT_LINK = (("203.0.113.10/24", "203.0.113.1/24"), ("2001:db8:c::10/64", "2001:db8:c::1/64"))


class RouterBed:
    """Client `client`, router `router`, nodes `node-1`, `node-2`, …; VIPs end on the nodes."""

    def __init__(self, name: str, nodes: int) -> None:
        self._name = name
        self._nodes = range(1, nodes + 1)
        self._servers: list[subprocess.Popen[str]] = []
        self._spaces: list[str] = []

    def space(self, place: str) -> str:
        return spaces.named(self._name, place)

    def up(self, vips: tuple[str, ...], port: int) -> None:
        for place in ("client", "router", *(f"node-{n}" for n in self._nodes)):
            self._add_space(self.space(place))
        self._link("client", "eth0", "router", "client0")
        for one, other in CLIENT_LINK:
            self._address("client", "eth0", one)
            self._address("router", "client0", other)
            gateway = other.partition("/")[0]
            sh("ip", "route", "add", "default", "via", gateway, inside=self.space("client"))
        for number in self._nodes:
            self._node(number, vips, port)

    def legs(self, number: int) -> tuple[str, str]:
        return f"172.31.241.{4 * number + 2}", f"fd00:1b:0:241:{number}::2"

    def mac(self, number: int) -> str:
        shown = sh("ip", "-j", "link", "show", "dev", "svc0", inside=self.space(f"node-{number}"))
        return str(json.loads(shown)[0]["address"])

    def _node(self, number: int, vips: tuple[str, ...], port: int) -> None:
        place = f"node-{number}"
        self._link(place, "svc0", "router", f"leaf-{number}")
        near = (f"172.31.241.{4 * number + 1}", f"fd00:1b:0:241:{number}::1")
        for leg, gateway in zip(self.legs(number), near, strict=True):
            length = 80 if ":" in leg else 30
            self._address(place, "svc0", f"{leg}/{length}")
            self._address("router", f"leaf-{number}", f"{gateway}/{length}")
            sh("ip", "route", "add", "default", "via", gateway, inside=self.space(place))
        for vip in vips:
            self._address(place, "lo", f"{vip}/{ipaddress.ip_address(vip).max_prefixlen}")
        self._serve(place, port, vips)

    def _serve(self, place: str, port: int, vips: tuple[str, ...]) -> None:
        # An answer to a datagram comes from the VIP only where the socket is bound to it.
        server = subprocess.Popen(
            [
                *("nsenter", f"--net=/run/netns/{self.space(place)}"),
                *(sys.executable, "-c", SERVER, place, str(port), *vips),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"

    def connect(self, vip: str, port: int, timeout_s: float = 2.0) -> tuple[socket.socket, str]:
        """Return a connection and the name of the node that took it."""
        with network_of(self.space("client")):
            connection = socket.create_connection((vip, port), timeout=timeout_s)
        return connection, connection.recv(200).decode().split()[0]

    def udp(self, vip: str, port: int, timeout_s: float = 2.0) -> socket.socket:
        return dataplane_bed.datagrams_from(self.space("client"), vip, port, timeout_s)

    def down(self) -> None:
        for server in self._servers:
            server.kill()
            server.wait()
            if server.stdout is not None:
                server.stdout.close()
        for space in self._spaces:
            spaces.delete(space)

    def _add_space(self, space: str) -> None:
        spaces.add(space)
        self._spaces.append(space)
        dataplane_bed.forward(space)

    def _link(self, one: str, device: str, other: str, peer: str) -> None:
        sh(
            *("ip", "link", "add", device, "netns", self.space(one), "type", "veth"),
            *("peer", "name", peer, "netns", self.space(other)),
        )
        sh("ip", "link", "set", device, "up", inside=self.space(one))
        sh("ip", "link", "set", peer, "up", inside=self.space(other))

    def _address(self, place: str, device: str, address: str) -> None:
        sh("ip", "address", "add", address, "dev", device, "nodad", inside=self.space(place))
