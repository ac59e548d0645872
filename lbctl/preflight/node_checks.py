"""Judge what was found out about a node, against the settings. Pure."""

from collections.abc import Iterator

from lbctl.preflight.checks import kube_proxy, unread
from lbctl.preflight.facts import Fact, NodeFacts, Unread
from lbctl.preflight.findings import Finding, ok, problem, warning
from lbctl.settings_agent import AgentSettings

USERSPACE = "netdev"
STRICT = 1
NO_PROXY = "where kube-proxy is not used, there is nothing to do"
NOBODY_ELSE = (
    "with agent.backend announce-only nothing but kube-proxy, or what stands in for it, "
    "moves packets: see that it runs here, or choose another backend"
)


def node(facts: NodeFacts, settings: AgentSettings) -> tuple[Finding, ...]:
    """Return one finding or more per check of the node."""
    if settings.backend == "announce-only":
        return (
            rp_filter(facts.rp_filter, settings.service_interface),
            kube_proxy(facts.proxy, NOBODY_ELSE),
        )
    if by_routes(facts, settings):
        return (
            conntrack(present=facts.conntrack, needed=True),
            rp_filter(facts.rp_filter, settings.service_interface),
            kube_proxy(facts.proxy, NO_PROXY),
        )
    return (
        switch(facts.bridges),
        *bridge(facts, settings),
        netdev_hook(facts.netdev_hook, facts.datapath),
        conntrack(present=facts.conntrack, needed=False),
        rp_filter(facts.rp_filter, settings.service_interface),
        mtu(facts, settings.service_interface),
        *offloads(facts),
        kube_proxy(facts.proxy, NO_PROXY),
    )


def by_routes(facts: NodeFacts, settings: AgentSettings) -> bool:
    """Tell whether the kernel moves packets here and not Open vSwitch."""
    if settings.backend != "auto":
        return settings.backend in ("nft", "ipvs")
    return isinstance(facts.bridges, Unread) or settings.bridge not in facts.bridges


def switch(bridges: Fact[tuple[str, ...]]) -> Finding:
    """Tell whether Open vSwitch answers."""
    if isinstance(bridges, Unread):
        fix = "install and start Open vSwitch (Debian: openvswitch-switch); run this as root"
        return problem("Open vSwitch", bridges.reason, fix)
    return ok("Open vSwitch", f"answers; bridges: {', '.join(bridges) or 'none'}")


def bridge(facts: NodeFacts, settings: AgentSettings) -> Iterator[Finding]:
    """Tell whether our bridge is there, speaks OpenFlow 1.5 and has the service interface."""
    name, port = settings.bridge, settings.service_interface
    if isinstance(facts.bridges, Unread):
        return
    if name not in facts.bridges:
        fix = f"name the bridge of the pods in agent.bridge, or: ovs-vsctl add-br {name}"
        yield problem("Bridge", f"Open vSwitch has no bridge {name}", fix)
        return
    yield ok("Bridge", name)
    if isinstance(facts.openflow, Unread):
        fix = f"ovs-vsctl add bridge {name} protocols OpenFlow15"
        yield problem("OpenFlow 1.5", facts.openflow.reason, fix)
    else:
        yield ok("OpenFlow 1.5", f"bridge {name} speaks it")
    if isinstance(facts.ports, Unread):
        yield unread("Service interface", facts.ports, f"look: ovs-vsctl list-ports {name}")
    elif port not in facts.ports:
        fix = f"set agent.serviceInterface, or: ovs-vsctl add-port {name} {port}"
        yield problem("Service interface", f"bridge {name} has no port {port}", fix)
    else:
        yield ok("Service interface", f"{port} is a port of {name}")


def netdev_hook(complaint: Fact[str], datapath: Fact[str]) -> Finding:
    """Tell whether the kernel can be kept off frames that the userspace datapath reads."""
    title = "nft netdev hook"
    if complaint == "":
        return ok(title, "the kernel takes a chain at ingress")
    if not isinstance(datapath, Unread) and datapath != USERSPACE:
        return ok(title, "not needed: the bridge has the kernel's datapath")
    if isinstance(complaint, Unread):
        return unread(title, complaint, "run this as root: it tries in a network namespace")
    fix = "install nftables, and a kernel with NETFILTER_INGRESS and NF_TABLES_NETDEV"
    return problem(title, complaint, fix)


def conntrack(*, present: bool, needed: bool) -> Finding:
    """Tell whether there is the tool that connections in the kernel are dropped with."""
    if present:
        return ok("conntrack tool", "is there")
    if needed:
        reason = "not on PATH: clients of members that vanished would wait for an answer"
        return problem("conntrack tool", reason, "apt-get install conntrack")
    reason = "not on PATH; nodes do without, a router's agent (--role router) does not"
    return warning("conntrack tool", reason, "on a router: apt-get install conntrack")


def rp_filter(found: Fact[int], interface: str) -> Finding:
    """Tell whether the kernel drops what comes from clients that it has no route to there."""
    title = "rp_filter"
    if isinstance(found, Unread):
        return unread(title, found, f"look: sysctl net.ipv4.conf.{interface}.rp_filter")
    if found == STRICT:
        reason = f"strict on {interface}: packets of clients with another route back are dropped"
        fix = (
            f"sysctl -w net.ipv4.conf.{interface}.rp_filter=2 "
            "(loose; wins over `all`), and in /etc/sysctl.d to keep it"
        )
        return problem(title, reason, fix)
    return ok(title, f"{'loose' if found else 'off'} on {interface}")


def mtu(facts: NodeFacts, interface: str) -> Finding:
    """Tell whether the largest packet of every pod fits through the service interface."""
    title, own, pods = "MTU", facts.mtu, facts.pod_mtus
    if isinstance(own, Unread):
        return unread(title, own, f"look: ip link show {interface}")
    if isinstance(pods, Unread):
        return unread(title, pods, "compare the pods' MTU with it by hand")
    larger = sorted(device for device, size in pods.items() if size > own)
    if larger:
        first = larger[0]
        reason = (
            f"{interface} has {own}, {len(larger)} pods have more ({first}: {pods[first]}): "
            "their larger packets are lost"
        )
        fix = f"ip link set {interface} mtu {max(pods.values())}, or a smaller MTU for pods"
        return problem(title, reason, fix)
    if not pods:
        reason = f"not checked: no pod is on the bridge yet; {interface} has {own}"
        return warning(title, reason, "run this again when there is a pod on this node")
    return ok(title, f"{interface} has {own}, pods at most {max(pods.values())}")


def offloads(facts: NodeFacts) -> Iterator[Finding]:
    """Tell where checksums would be left to hardware that does not exist."""
    if not isinstance(facts.datapath, Unread) and facts.datapath != USERSPACE:
        yield ok("Checksum offload", "no matter: the bridge has the kernel's datapath")
        return
    for device, on in facts.offloads.items():
        title = f"Checksum offload of {device}"
        if isinstance(on, Unread):
            yield unread(title, on, f"look: ethtool -k {device}")
        elif on:
            fix = f"the agent turns it off when it starts; to do it now: ethtool -K {device} tx off"
            yield warning(title, "on: the userspace datapath takes such frames for damaged", fix)
        else:
            yield ok(title, "off")
