"""What was found out about a cluster and a node, and what could not be. Pure: values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from lbctl.model.virtual_service import Address

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unread:
    """In a fact's place: why it could not be read. Never counts as good news."""

    reason: str


Fact: TypeAlias = T | Unread


@dataclass(frozen=True, slots=True)
class Definition:
    """A CustomResourceDefinition and the versions it serves."""

    name: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A node's addresses (service legs included) and the networks of its pods."""

    name: str
    addresses: tuple[Address, ...]
    pod_cidrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """A Service, with the addresses or host names that its status shows to clients."""

    namespace: str
    name: str
    balanced: bool
    """Is of type LoadBalancer."""
    load_balancer_class: str
    shown: tuple[str, ...]
    cluster_ips: tuple[Address, ...]

    @property
    def key(self) -> str:
        """Return `<namespace>/<name>`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, DaemonSet or StatefulSet, or a pod of kube-system (it may be a static one)."""

    kind: str
    namespace: str
    name: str
    arguments: tuple[str, ...]
    """Commands, arguments and variables (`NAME=value`) of all its containers."""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Proxy:
    """How kube-proxy works on nodes."""

    mode: str
    strict_arp: bool | None
    """None where it is not known."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """What the system's resolver said when it was asked for a zone's name servers."""

    code: int
    """RCODE of the answer (RFC 1035 §4.1.1)."""
    servers: tuple[str, ...]
    """Lower case, without the last dot."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What the API server and the resolver say."""

    version: Fact[tuple[int, int]]
    definitions: Fact[tuple[Definition, ...]]
    may_define: Fact[bool]
    """Whether we may create CustomResourceDefinitions."""
    nodes: Fact[tuple[Node, ...]]
    service_cidrs: Fact[tuple[str, ...]]
    services: Fact[tuple[Service, ...]]
    labels: Fact[Mapping[str, Mapping[str, str]]]
    """Labels by namespace."""
    workloads: Fact[tuple[Workload, ...]]
    cilium_pools: Fact[int]
    """CiliumLoadBalancerIPPools; 0 where there is no such type."""
    proxy: Fact[Proxy]
    delegations: Mapping[str, Fact[Delegation]]
    """By zone, in the order of the settings."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What this machine's kernel and switch say."""

    netdev_hook: Fact[str]
    """What nft says against a chain at the ingress of a device; empty: nothing, it works."""
    conntrack: bool
    """Whether there is the program `conntrack`."""
    bridges: Fact[tuple[str, ...]]
    ports: Fact[tuple[str, ...]]
    """Ports of our bridge."""
    datapath: Fact[str]
    """`datapath_type` of our bridge; `netdev` is the userspace one."""
    openflow: Fact[bool]
    """Whether our bridge speaks OpenFlow 1.5."""
    rp_filter: Fact[int]
    """What counts on the service interface: the larger of its own value and that of `all`."""
    mtu: Fact[int]
    """Of the service interface, bytes."""
    pod_mtus: Fact[Mapping[str, int]]
    """By device of a pod on the bridge, bytes."""
    offloads: Mapping[str, Fact[bool]]
    """Whether transmit checksum offload is on, by device."""
    proxy: Fact[Proxy]
