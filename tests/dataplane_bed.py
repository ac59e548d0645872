"""A node of its own in network namespaces: Open vSwitch, pods that answer, a client. Needs root."""

import contextlib
import ctypes
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import spaces
from spaces import sh

CLONE_NEWNET = 0x40000000
SERVICE_PORT = 100
BRIDGE_MAC = "02:1b:c7:00:00:01"
LEGS = ("172.31.241.6", "fd00:1b:0:241:1::2")
FABRIC = ("172.31.241.5/30", "fd00:1b:0:241:1::1/80")
VIPS = ("198.18.0.0/15", "2001:2::/48")

SERVER = """
import socket, sys, threading
name, port, addresses = sys.argv[1], int(sys.argv[2]), sys.argv[3:] or ["::"]
def serve(conn, peer):
    with conn:
        conn.sendall(f"{name} {peer[0].removeprefix('::ffff:')}\\n".encode())
        while data := conn.recv(4096):
            conn.sendall(data)
def datagrams(address):
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind((address if ":" in address else f"::ffff:{address}", port))
    while True:
        data, peer = udp.recvfrom(65535)
        if data != b"silent":
            udp.sendto(name.encode() + b" " + data, peer)
for address in addresses:
    threading.Thread(target=datagrams, args=[address], daemon=True).start()
v6 = socket.AF_INET6
listener = socket.create_server(("::", port), family=v6, dualstack_ipv6=True, backlog=256)
print("up", flush=True)
while True:
    threading.Thread(target=serve, args=listener.accept(), daemon=True).start()
"""


def forward(space: str) -> None:
    """Let a namespace route, with no filter on where answers come from.

    It reports each error: as a rule a kernel spares one client more than one a second.
    """
    sh(
        "sysctl",
        "-qw",
        "net.ipv4.ip_forward=1",
        "net.ipv6.conf.default.accept_dad=0",
        "net.ipv6.conf.all.forwarding=1",
        "net.ipv4.conf.all.rp_filter=0",
        "net.ipv4.conf.default.rp_filter=0",
        "net.ipv4.icmp_ratelimit=0",
        "net.ipv6.icmp.ratelimit=0",
        inside=space,
    )


@contextlib.contextmanager
def network_of(namespace: str) -> Iterator[None]:
    """Be in another network namespace; sockets made meanwhile stay in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = Path("/proc/thread-self/ns/net")
    with here.open("rb") as before, Path(f"/run/netns/{namespace}").open("rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(before.fileno(), CLONE_NEWNET)


def plain(space: str, device: str) -> None:
    """Have a device up that leaves checksums and sizes of frames to nobody else."""
    off = [word for name in ("tx", "gso", "tso", "gro") for word in (name, "off")]
    sh("ethtool", "-K", device, *off, inside=space)
    sh("ip", "link", "set", device, "up", inside=space)


def pod_server(space: str, name: str, port: int, *own: str) -> subprocess.Popen[str]:
    """Start what answers in a pod, by TCP and UDP, with the pod's name; from `own` addresses."""
    enter = ("nsenter", f"--net=/run/netns/{space}")
    server = subprocess.Popen(
        [*enter, sys.executable, "-c", SERVER, name, str(port), *own],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "up\n"
    return server


def stop(server: subprocess.Popen[str]) -> None:
    server.kill()
    server.wait()
    if server.stdout is not None:
        server.stdout.close()


def datagrams_from(space: str, address: str, port: int, timeout_s: float) -> socket.socket:
    """Return a UDP socket of a namespace that is connected to an address."""
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    with network_of(space):
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
    datagrams.settimeout(timeout_s)
    datagrams.connect((address, port))
    return datagrams


class Bed:
    """One node, one client on its fabric leg, pods by number 1, 2, …"""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.node = spaces.named(name, "node")
        self.client = spaces.named(name, "client")
        self.env = {"OVS_RUNDIR": str(folder), "OVS_LOGDIR": str(folder), "OVS_DBDIR": str(folder)}
        self._servers: dict[int, subprocess.Popen[str]] = {}
        self._spaces: list[str] = []
        self._name = name

    def up(self) -> None:
        for space in (self.node, self.client):
            self._add_space(space)
        self.start_switch()
        sh(
            "ip",
            "link",
            "add",
            "svc0",
            "netns",
            self.node,
            "type",
            "veth",
            "peer",
            "name",
            "up0",
            "netns",
            self.client,
        )
        for space, device in ((self.node, "svc0"), (self.client, "up0")):
            plain(space, device)
        self.vsctl(
            "add-port",
            "br-int",
            "svc0",
            "--",
            "set",
            "Interface",
            "svc0",
            f"ofport_request={SERVICE_PORT}",
        )
        self._client_side()
        for address in ("10.244.71.1/24", "fd00:10:244:71::1/64"):
            sh("ip", "address", "add", address, "dev", "br-int", "nodad", inside=self.node)
        sh("ip", "link", "set", "br-int", "up", inside=self.node)
        sh("ethtool", "-K", "br-int", "tx", "off", inside=self.node)

    def _add_space(self, space: str) -> None:
        spaces.add(space)
        self._spaces.append(space)
        forward(space)

    def start_switch(self) -> None:
        database = self.folder / "conf.db"
        sh("ovsdb-tool", "create", str(database), "/usr/share/openvswitch/vswitch.ovsschema")
        sh(
            "ovsdb-server",
            str(database),
            f"--remote=punix:{self.folder}/db.sock",
            "--pidfile",
            "--detach",
            "--log-file",
            "-vconsole:off",
            inside=self.node,
            env=self.env,
        )
        self.vsctl("--no-wait", "init")
        self.start_vswitchd()
        self.vsctl(
            "add-br",
            "br-int",
            "--",
            "set",
            "bridge",
            "br-int",
            "datapath_type=netdev",
            "fail_mode=secure",
            f'other-config:hwaddr="{BRIDGE_MAC}"',
            "protocols=OpenFlow10,OpenFlow13,OpenFlow15",
        )
        self.base_flow()

    def base_flow(self) -> None:
        self.ofctl("add-flow", "br-int", "cookie=0x77,priority=0,actions=NORMAL")

    def start_vswitchd(self) -> None:
        sh(
            "ovs-vswitchd",
            f"unix:{self.folder}/db.sock",
            "--pidfile",
            "--detach",
            "--log-file",
            "-vconsole:off",
            inside=self.node,
            env=self.env,
        )

    def stop_switch(self) -> None:
        for daemon in ("ovs-vswitchd", "ovsdb-server"):
            _end(self.folder / f"{daemon}.pid")

    def restart_vswitchd(self) -> None:
        """Have the switch begin anew, without any flow of ours."""
        self.stop_vswitchd()
        self.start_vswitchd()
        self.base_flow()

    def stop_vswitchd(self) -> None:
        _end(self.folder / "ovs-vswitchd.pid")

    def _client_side(self) -> None:
        for address in FABRIC:
            sh("ip", "address", "add", address, "dev", "up0", "nodad", inside=self.client)
        for vips, leg in zip(VIPS, LEGS, strict=True):
            sh("ip", "route", "add", vips, "via", leg, inside=self.client)

    def vsctl(self, *argv: str) -> str:
        return sh("ovs-vsctl", *argv, env=self.env)

    def ofctl(self, *argv: str) -> str:
        return sh("ovs-ofctl", "-O", "OpenFlow15", *argv, env=self.env)

    def pod_addresses(self, number: int) -> tuple[str, str]:
        return f"10.244.71.{10 + number}", f"fd00:10:244:71::{10 + number:x}"

    def add_pod(self, number: int, port: int = 8080) -> None:
        space, device = self.pod_space(number), f"pod{number}"
        self._add_space(space)
        sh(
            "ip",
            "link",
            "add",
            device,
            "netns",
            self.node,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            space,
        )
        plain(self.node, device)
        plain(space, "eth0")
        for address, gateway in zip(
            self.pod_addresses(number), ("10.244.71.1", "fd00:10:244:71::1"), strict=True
        ):
            length = "128" if ":" in address else "32"
            sh("ip", "address", "add", f"{address}/{length}", "dev", "eth0", "nodad", inside=space)
            sh("ip", "route", "add", f"{gateway}/{length}", "dev", "eth0", inside=space)
            sh("ip", "route", "add", "default", "via", gateway, "dev", "eth0", inside=space)
        self._plug(number, space, device)
        self._servers[number] = self._serve(space, f"pod{number}", port)

    def _serve(self, space: str, name: str, port: int) -> subprocess.Popen[str]:
        return pod_server(space, name, port)

    def _plug(self, number: int, space: str, device: str) -> None:
        self.plug(device, space, *self.pod_addresses(number))

    def plug(self, device: str, space: str, four: str, six: str) -> None:
        """Make a device a port of the switch; the pod behind it has two addresses."""
        self.vsctl(
            "add-port",
            "br-int",
            device,
            "--",
            "set",
            "Interface",
            device,
            f"external_ids:iface-id={device}",
            f'external_ids:attached-mac="{_mac(space)}"',
            f'external_ids:pod-ip="{four}"',
            f'external_ids:pod-ip6="{six}"',
        )

    def delete_pod(self, number: int) -> None:
        self.vsctl("del-port", "br-int", f"pod{number}")
        self._stop_server(number)
        self._spaces.remove(self.pod_space(number))
        spaces.delete(self.pod_space(number))

    def pod_space(self, number: int) -> str:
        """Return the name of a pod's namespace."""
        return spaces.named(self._name, f"pod{number}")

    def _stop_server(self, number: int) -> None:
        stop(self._servers.pop(number))

    def connect(self, address: str, port: int, timeout_s: float = 2.0) -> socket.socket:
        """Return a connection from the client; the server's greeting is still to be read."""
        with network_of(self.client):
            return socket.create_connection((address, port), timeout=timeout_s)

    def udp(self, address: str, port: int, timeout_s: float = 2.0) -> socket.socket:
        return datagrams_from(self.client, address, port, timeout_s)

    def down(self) -> None:
        for number in list(self._servers):
            self._stop_server(number)
        self.stop_switch()
        for space in self._spaces:
            spaces.delete(space)


def _mac(space: str) -> str:
    import json

    return str(
        json.loads(sh("ip", "-j", "link", "show", "dev", "eth0", inside=space))[0]["address"]
    )


def _end(pid_file: Path) -> None:
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
