"""Facts of a cluster and a node that are ready, and settings that go with them."""

import dataclasses
import ipaddress
from typing import Any

from lbctl.preflight import checks
from lbctl.preflight.facts import ClusterFacts, Definition, Node, NodeFacts, Proxy, Service
from lbctl.settings import Settings

READY = ClusterFacts(
    version=(1, 36),
    definitions=tuple(Definition(name, ("v1alpha1",)) for name in checks.CRDS),
    may_define=True,
    nodes=(
        Node(
            "node-1",
            (ipaddress.ip_address("10.0.0.11"), ipaddress.ip_address("fd00::11")),
            ("10.244.1.0/24", "fd00:10:244:1::/64"),
        ),
    ),
    service_cidrs=("10.96.0.0/16", "fd00:10:96::/112"),
    services=(),
    labels={"default": {}},
    workloads=(),
    cilium_pools=0,
    proxy=Proxy("nftables", False),
    delegations={},
)
READY_NODE = NodeFacts(
    netdev_hook="",
    conntrack=True,
    bridges=("br-int",),
    ports=("svc0", "veth1"),
    datapath="netdev",
    openflow=True,
    rp_filter=2,
    mtu=1500,
    pod_mtus={"veth1": 1450},
    offloads={"svc0": False, "br-int": False},
    proxy=Proxy("nftables", None),
)


def facts(**changed: Any) -> ClusterFacts:
    """Return the facts of a ready cluster, with changes."""
    return dataclasses.replace(READY, **changed)


def node_facts(**changed: Any) -> NodeFacts:
    """Return the facts of a ready node, with changes."""
    return dataclasses.replace(READY_NODE, **changed)


def settings(*addresses: str, **sections: Any) -> Settings:
    """Return settings with one pool of those addresses."""
    pool = {"name": "vips", "addresses": addresses or ("192.0.2.0/24", "2001:db8:1::/112")}
    return Settings.model_validate({"addressPools": [pool], **sections})


def service(
    *shown: str,
    lb_class: str = "",
    namespace: str = "default",
    cluster_ip: str = "10.96.0.7",
    balanced: bool = True,
) -> Service:
    """Return a Service that shows those addresses."""
    ips = (ipaddress.ip_address(cluster_ip),)
    return Service(namespace, "web", balanced, lb_class, shown, ips)
