"""Make the lab's namespaces, links, addresses and routes.

What is to be made is computed as text for `ip -batch` (pure functions); `make` applies it.
"""

from collections.abc import Sequence

from lbctl_lab import commands, plan, pod_networks

COMMON_SYSCTLS = (
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
    # Addresses must work at once: duplicate address detection takes a second or two.
    "net.ipv6.conf.all.accept_dad=0",
    "net.ipv6.conf.default.accept_dad=0",
    "net.ipv6.conf.all.accept_ra=0",
    "net.ipv6.conf.default.accept_ra=0",
    "net.ipv6.conf.all.disable_ipv6=0",
    "net.ipv6.conf.default.disable_ipv6=0",
)
FORWARDING_SYSCTLS = (
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1",
    "net.ipv6.conf.default.forwarding=1",
    # A redirect would send pods of one node past kube-proxy's un-NAT.
    "net.ipv4.conf.all.send_redirects=0",
    "net.ipv4.conf.default.send_redirects=0",
)


def sysctls(place: str) -> tuple[str, ...]:
    """Return the kernel settings of a namespace, set before any link is in it."""
    return COMMON_SYSCTLS if place == plan.CLIENT else COMMON_SYSCTLS + FORWARDING_SYSCTLS


def host_lines(nodes: Sequence[plan.Node], cni: plan.Cni) -> list[str]:
    """Return the host's part: the bridge with the API server's address, one port per place."""
    bridge = plan.BRIDGE
    lines = [
        f"link add {bridge} address 02:1b:00:00:00:01 type bridge mcast_snooping 0",
        f"addr add {plan.HOST_V4}/24 dev {bridge}",
        f"addr add {plan.HOST_V6}/64 dev {bridge} nodad",
        f"link set {bridge} up",
    ]
    ports = [(node.port, plan.namespace(node.name), node.node_mac) for node in nodes]
    ports.append((f"{plan.PREFIX}r", plan.namespace(plan.ROUTER), "02:1b:00:00:04:fe"))
    for port, namespace, mac in ports:
        lines += [
            f"link add {port} type veth peer name eth0 address {mac} netns {namespace}",
            f"link set {port} addrgenmode none",
            f"link set {port} master {bridge} up",
        ]
    lines += pod_networks.outside_lines(nodes, cni)
    lines.append(f"route add {plan.CLIENT_NET_V4} via {plan.ROUTER_V4}")
    lines.append(f"route add {plan.CLIENT_NET_V6} via {plan.ROUTER_V6}")
    return lines


def router_lines(nodes: Sequence[plan.Node], cni: plan.Cni) -> list[str]:
    """Return the router's part. It has no default route: an unallocated VIP is unreachable."""
    client = plan.namespace(plan.CLIENT)
    lines = [
        "link set lo up",
        f"link add {plan.CLIENT_INTERFACE} address 02:1b:00:00:05:01 type veth"
        f" peer name eth0 address 02:1b:00:00:05:0a netns {client}",
        f"addr add {plan.CLIENT_GATEWAY_V4}/24 dev {plan.CLIENT_INTERFACE}",
        f"addr add {plan.CLIENT_GATEWAY_V6}/64 dev {plan.CLIENT_INTERFACE} nodad",
        f"link set {plan.CLIENT_INTERFACE} up",
        f"addr add {plan.ROUTER_V4}/24 dev eth0",
        f"addr add {plan.ROUTER_V6}/64 dev eth0 nodad",
        "link set eth0 up",
    ]
    for node in nodes:
        namespace = plan.namespace(node.name)
        lines += [
            f"link add {node.leaf} address {node.leaf_mac} type veth"
            f" peer name {plan.SERVICE_INTERFACE} address {node.service_mac} netns {namespace}",
            f"addr add {node.leg_router_v4}/30 dev {node.leaf}",
            f"addr add {node.leg_router_v6}/64 dev {node.leaf} nodad",
            f"link set {node.leaf} up",
        ]
    return lines + pod_networks.outside_lines(nodes, cni)


def client_lines() -> list[str]:
    """Return the client's part: the VIP ranges, nodes and pods lie behind the router."""
    v4 = (plan.VIPS_V4, plan.NODE_NET_V4, plan.PODS_V4)
    v6 = (plan.VIPS_V6, plan.NODE_NET_V6, plan.PODS_V6)
    return [
        "link set lo up",
        f"addr add {plan.CLIENT_V4}/24 dev eth0",
        f"addr add {plan.CLIENT_V6}/64 dev eth0 nodad",
        "link set eth0 up",
        *(f"route add {prefix} via {plan.CLIENT_GATEWAY_V4}" for prefix in v4),
        *(f"route add {prefix} via {plan.CLIENT_GATEWAY_V6}" for prefix in v6),
    ]


def node_lines(node: plan.Node, nodes: Sequence[plan.Node], cni: plan.Cni) -> list[str]:
    """Return a node's part, without what Open vSwitch makes (`nodes.gateway_script`).

    No default route. The Service ranges need a route although kube-proxy rewrites them: a node's
    own packet is routed once before it is.
    """
    others = [other for other in nodes if other != node]
    v4 = (plan.CLIENT_NET_V4, plan.VIPS_V4)
    v6 = (plan.CLIENT_NET_V6, plan.VIPS_V6)
    return [
        "link set lo up",
        f"addr add {node.address_v4}/24 dev eth0",
        f"addr add {node.address_v6}/64 dev eth0 nodad",
        "link set eth0 up",
        *_leg_lines(node, cni),
        *pod_networks.node_lines(node, others, cni),
        *(f"route add {prefix} via {plan.ROUTER_V4}" for prefix in v4),
        *(f"route add {prefix} via {plan.ROUTER_V6}" for prefix in v6),
        f"route add {plan.SERVICES_V4} via {plan.HOST_V4}",
        f"route add {plan.SERVICES_V6} via {plan.HOST_V6}",
    ]


def _leg_lines(node: plan.Node, cni: plan.Cni) -> list[str]:
    """Return the leg's part; as a port of the switch svc0 carries no address of the kernel's."""
    leg = plan.SERVICE_INTERFACE
    if cni == "ovs":
        return [f"link set {leg} addrgenmode none", f"link set {leg} up"]
    return [
        # With a link-local address as well: the kernel asks for IPv6 neighbours with it.
        f"addr add {node.leg_v4}/30 dev {leg}",
        f"addr add {node.leg_v6}/64 dev {leg} nodad",
        f"link set {leg} up",
        # To the legs of other nodes: nodes pass each other packets that they have no member for.
        f"route add {plan.LEGS_V4} via {node.leg_router_v4}",
        f"route add {plan.LEGS_V6} via {node.leg_router_v6}",
    ]


def plain_links(nodes: Sequence[plan.Node]) -> list[tuple[str, str]]:
    """Return (place, interface) of every link whose offloads go off.

    The userspace switch reads frames as they lie in memory: a checksum the sender left to the
    hardware, or a segment of 64 KiB, would reach the pod broken.
    """
    links = [(plan.CLIENT, "eth0"), (plan.ROUTER, plan.CLIENT_INTERFACE), (plan.ROUTER, "eth0")]
    for node in nodes:
        links.append((plan.ROUTER, node.leaf))
        links.append((node.name, plan.SERVICE_INTERFACE))
        links.append((node.name, "eth0"))
    return links


def make(nodes: Sequence[plan.Node], cni: plan.Cni) -> None:
    """Make all namespaces, links, addresses and routes; raises when one of them exists."""
    places = plan.places(len(nodes))
    _batch("", [f"netns add {plan.namespace(place)}" for place in places])
    for place in places:
        commands.run(["sysctl", "-q", "-w", *sysctls(place)], place=place)
    _batch("", host_lines(nodes, cni))
    _batch(plan.ROUTER, router_lines(nodes, cni))
    _batch(plan.CLIENT, client_lines())
    for node in nodes:
        _batch(node.name, node_lines(node, nodes, cni))
    if cni == "vxlan":
        _make_overlay(nodes)
    for place, link in plain_links(nodes) if cni == "ovs" else ():
        off = ["tx", "off", "tso", "off", "gso", "off", "gro", "off"]
        commands.run(["ethtool", "-K", link, *off], place=place)


def _make_overlay(nodes: Sequence[plan.Node]) -> None:
    for node in nodes:
        others = "\n".join(pod_networks.overlay_peers(node, nodes)) + "\n"
        commands.run(["bridge", "-batch", "-"], place=node.name, text=others)
        commands.run(["nft", "-f", "-"], place=node.name, text=pod_networks.MASQUERADE)


def _batch(place: str, lines: Sequence[str]) -> None:
    commands.run(["ip", "-batch", "-"], place=place, text="\n".join(lines) + "\n")
