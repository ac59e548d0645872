"""The lab's address and name plan. Pure.

Everything the lab creates on the host carries the prefix `lbctl-` or lives in a namespace that
does, which is how a sweep knows it again.
"""

from dataclasses import dataclass
from typing import Literal, get_args

PREFIX = "lbctl-"
BRIDGE = "lbctl-net"
ROUTER = "router"
CLIENT = "client"
MAX_NODES = 3

HOST_V4, HOST_V6 = "172.31.240.1", "fd00:1b:0:240::1"
ROUTER_V4, ROUTER_V6 = "172.31.240.2", "fd00:1b:0:240::2"
NODE_NET_V4, NODE_NET_V6 = "172.31.240.0/24", "fd00:1b:0:240::/64"

LEGS_V4, LEGS_V6 = "172.31.241.0/24", "fd00:1b:241::/48"
"""Where all service legs lie; the router knows the way from each to each."""

# Outside of the node network's /16: what comes from there is a node's, for Kubernetes' own tests.
CLIENT_NET_V4, CLIENT_NET_V6 = "172.30.242.0/24", "2001:db8:c::/64"
CLIENT_GATEWAY_V4, CLIENT_GATEWAY_V6 = "172.30.242.1", "2001:db8:c::1"
CLIENT_V4, CLIENT_V6 = "172.30.242.10", "2001:db8:c::10"

PODS_V4, PODS_V6 = "10.244.0.0/16", "fd00:10:244::/48"
SERVICES_V4, SERVICES_V6 = "10.96.0.0/16", "fd00:10:96::/112"
CLUSTER_DNS_V4, CLUSTER_DNS_V6 = "10.96.0.10", "fd00:10:96::a"
KUBERNETES_SERVICE_V4 = "10.96.0.1"
VIPS_V4, VIPS_V6 = "198.18.0.0/15", "2001:2::/48"
DNS_V4, DNS_V6 = "198.19.255.53", "2001:2:0:ff::53"
"""Where lbctl's name server is reached: in the VIP ranges, outside of the default pool."""
CLIENT_RESOLVER = f"nameserver {DNS_V4}\nnameserver {DNS_V6}\noptions attempts:3 timeout:2\n"
"""The client asks the name server directly, as often as a recursive server between them would."""
DEFAULT_POOL = ("198.18.0.0/16", "2001:2::/112")
"""What lbctl's default pool gives; a part of the VIP ranges, so that tests can add more."""

SUBDOMAIN = "lb.lab.test"
CLUSTER = "lab"
API_PORT = 6443
API_URL = f"https://{HOST_V4}:{API_PORT}"
INTEGRATION_BRIDGE = "br-int"
POD_BRIDGE = "cni0"
"""The kernel's bridge that pods are on where there is no switch."""
OVERLAY = "vxlan0"
SERVICE_INTERFACE = "svc0"
SERVICE_OFPORT = 100
CLIENT_INTERFACE = "client0"

Backend = Literal["ovs", "nft", "announce-only"]
"""What moves the packets of virtual addresses on the nodes."""
Cni = Literal["ovs", "bridge", "vxlan"]
"""The pods' network: ports of Open vSwitch; of a bridge of the kernel's, nodes and router route to
them; the same bridge, nodes reach each other's pods by an overlay and nobody else does."""
BACKENDS: tuple[Backend, ...] = get_args(Backend)
CNIS: tuple[Cni, ...] = get_args(Cni)
FITTING: dict[Backend, tuple[Cni, ...]] = {
    "ovs": ("ovs",),
    "nft": ("bridge", "vxlan"),
    "announce-only": ("bridge", "vxlan"),
}
"""The pods' networks that a backend works with, its default first."""


def cni_for(backend: Backend, asked: Cni | None) -> Cni:
    """Return the pods' network: as asked, or the backend's default.

    >>> cni_for("nft", None)
    'bridge'
    """
    fitting = FITTING[backend]
    if asked is not None and asked not in fitting:
        raise ValueError(f"backend {backend} works with pods by {' or '.join(fitting)}")
    return asked or fitting[0]


@dataclass(frozen=True, slots=True)
class Node:
    """One worker node: its names, addresses and MACs, all derived from its number (from 1)."""

    number: int

    @property
    def name(self) -> str:
        """Return the Kubernetes name of the node."""
        return f"node-{self.number}"

    @property
    def address_v4(self) -> str:
        """Return the node's IPv4 address on the node network."""
        return f"172.31.240.{10 + self.number}"

    @property
    def address_v6(self) -> str:
        """Return the node's IPv6 address on the node network."""
        return f"fd00:1b:0:240::{10 + self.number}"

    @property
    def pods_v4(self) -> str:
        """Return the IPv4 range of the node's pods."""
        return f"10.244.{70 + self.number}.0/24"

    @property
    def pods_v6(self) -> str:
        """Return the IPv6 range of the node's pods."""
        return f"fd00:10:244:{70 + self.number}::/64"

    @property
    def gateway_v4(self) -> str:
        """Return the address pods use as their IPv4 gateway; their bridge carries it."""
        return f"10.244.{70 + self.number}.1"

    @property
    def gateway_v6(self) -> str:
        """Return the address pods use as their IPv6 gateway; their bridge carries it."""
        return f"fd00:10:244:{70 + self.number}::1"

    @property
    def leg_v4(self) -> str:
        """Return the node's IPv4 address on its service leg."""
        return f"172.31.241.{4 * self.number + 2}"

    @property
    def leg_v6(self) -> str:
        """Return the node's IPv6 address on its service leg."""
        return f"fd00:1b:241:{self.number}::2"

    @property
    def leg_router_v4(self) -> str:
        """Return the router's IPv4 address on this node's service leg (a /30)."""
        return f"172.31.241.{4 * self.number + 1}"

    @property
    def leg_router_v6(self) -> str:
        """Return the router's IPv6 address on this node's service leg (a /64)."""
        return f"fd00:1b:241:{self.number}::1"

    @property
    def leaf(self) -> str:
        """Return the router's interface towards this node's service leg."""
        return f"leaf-{self.number}"

    @property
    def port(self) -> str:
        """Return the host's interface towards this node's eth0."""
        return f"{PREFIX}n{self.number}"

    @property
    def bridge_mac(self) -> str:
        """Return the fixed MAC of the pods' bridge."""
        return f"02:1b:00:00:01:{self.number:02x}"

    @property
    def service_mac(self) -> str:
        """Return the fixed MAC of svc0, the node's end of the service leg."""
        return f"02:1b:00:00:02:{self.number:02x}"

    @property
    def leaf_mac(self) -> str:
        """Return the fixed MAC of the router's end of the service leg."""
        return f"02:1b:00:00:03:{self.number:02x}"

    @property
    def overlay_v4(self) -> str:
        """Return the node's IPv4 address in the overlay: the pods' range itself, as flannel has."""
        return f"10.244.{70 + self.number}.0"

    @property
    def overlay_v6(self) -> str:
        """Return the node's IPv6 address in the overlay."""
        return f"fd00:10:244:{70 + self.number}::"

    @property
    def overlay_mac(self) -> str:
        """Return the fixed MAC of the node's end of the overlay."""
        return f"02:1b:00:00:06:{self.number:02x}"

    @property
    def node_mac(self) -> str:
        """Return the fixed MAC of eth0."""
        return f"02:1b:00:00:04:{self.number:02x}"


def nodes(count: int) -> tuple[Node, ...]:
    """Return the first `count` nodes (1 to 3), in order.

    >>> [node.address_v4 for node in nodes(2)]
    ['172.31.240.11', '172.31.240.12']
    """
    if not 1 <= count <= MAX_NODES:
        raise ValueError(f"nodes: {count} is not between 1 and {MAX_NODES}")
    return tuple(Node(number) for number in range(1, count + 1))


def namespace(place: str) -> str:
    """Return the network namespace of a place: `client`, `router` or a node's name."""
    return PREFIX + place


def places(count: int) -> tuple[str, ...]:
    """Return all places of a lab with this many nodes: nodes first, then router and client."""
    return (*(node.name for node in nodes(count)), ROUTER, CLIENT)
