"""How pods are reached: by nodes among themselves, and from outside of the cluster. Pure.

Pods that are no ports of Open vSwitch are on a bridge of the node's kernel, `cni0`. Nodes then
route to each other's pods over the node network, or through a VXLAN overlay as flannel and Calico
make it, with nothing learned: who has which pods stands in static entries.
"""

from collections.abc import Sequence

from lbctl_lab import plan

OVERLAY_ID = 1
OVERLAY_PORT = 8472
OVERLAY_MTU = 1450
"""An Ethernet frame less what VXLAN over IPv4 puts around it."""
MASQUERADE = f"""
table inet lbctl-lab {{
    chain outbound {{
        type nat hook postrouting priority srcnat;
        oifname "eth0" ip saddr {plan.PODS_V4} masquerade
        oifname "eth0" ip6 saddr {plan.PODS_V6} masquerade
    }}
}}
"""
"""Pods of an overlay go out under the node's address: nobody outside knows the way to theirs."""


def mtu(cni: plan.Cni) -> int:
    """Return the largest packet of a pod, bytes."""
    return OVERLAY_MTU if cni == "vxlan" else 1500


def outside_lines(nodes: Sequence[plan.Node], cni: plan.Cni) -> list[str]:
    """Return the routes to pods of those that are no nodes, for `ip -batch`."""
    return [] if cni == "vxlan" else _routes(nodes)


def node_lines(node: plan.Node, others: Sequence[plan.Node], cni: plan.Cni) -> list[str]:
    """Return a node's ways to its own pods (the switch's are its own) and to those of others."""
    if cni == "ovs":
        return _routes(others)
    return _bridge(node) + (_overlay(node, others) if cni == "vxlan" else _routes(others))


def overlay_peers(node: plan.Node, nodes: Sequence[plan.Node]) -> list[str]:
    """Return where the overlay's frames go, for `bridge -batch`."""
    return [
        f"fdb append {other.overlay_mac} dev {plan.OVERLAY} dst {other.address_v4} self permanent"
        for other in nodes
        if other != node
    ]


def _routes(nodes: Sequence[plan.Node]) -> list[str]:
    lines = []
    for node in nodes:
        lines.append(f"route add {node.pods_v4} via {node.address_v4}")
        lines.append(f"route add {node.pods_v6} via {node.address_v6}")
    return lines


def _bridge(node: plan.Node) -> list[str]:
    bridge = plan.POD_BRIDGE
    return [
        f"link add {bridge} address {node.bridge_mac} type bridge mcast_snooping 0",
        f"addr add {node.gateway_v4}/24 dev {bridge}",
        f"addr add {node.gateway_v6}/64 dev {bridge} nodad",
        f"link set {bridge} up",
    ]


def _overlay(node: plan.Node, others: Sequence[plan.Node]) -> list[str]:
    device = plan.OVERLAY
    lines = [
        f"link add {device} address {node.overlay_mac} mtu {OVERLAY_MTU} type vxlan id {OVERLAY_ID}"
        f" local {node.address_v4} dstport {OVERLAY_PORT} nolearning",
        f"addr add {node.overlay_v4}/32 dev {device}",
        f"addr add {node.overlay_v6}/128 dev {device} nodad",
        f"link set {device} up",
    ]
    for other in others:
        ways = ((other.overlay_v4, other.pods_v4), (other.overlay_v6, other.pods_v6))
        for end, pods in ways:
            lines.append(f"neigh add {end} lladdr {other.overlay_mac} dev {device} nud permanent")
            lines.append(f"route add {pods} via {end} dev {device} onlink")
    return lines
