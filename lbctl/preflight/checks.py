"""Judge what was found out about a cluster, against the settings. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from lbctl.model.pool import AddressRange
from lbctl.model.virtual_service import Address
from lbctl.preflight import rivals
from lbctl.preflight.facts import ClusterFacts, Delegation, Fact, Proxy, Service, Unread
from lbctl.preflight.findings import Finding, ok, problem, warning
from lbctl.settings import Settings
from lbctl.translate.namespaces import scope_of
from lbctl.translate.pools import configured_pools

OLDEST = (1, 30)
"""Agents prove which node they are by a claim in their token, which 1.30 brought."""
CRDS = (
    "addresspools.lbctl.io",
    "fabrics.lbctl.io",
    "ipallocations.lbctl.io",
    "l4policies.lbctl.io",
    "l4virtualservices.lbctl.io",
    "servingnodes.lbctl.io",
)
CRD_VERSION = "v1alpha1"
NO_ERROR, SERVER_FAILURE = 0, 2
_NAMED = 5
"""A finding names at most so many examples."""

Pools = Sequence[tuple[str, AddressRange]]


def cluster(facts: ClusterFacts, settings: Settings) -> tuple[Finding, ...]:
    """Return one finding or more per check of the cluster."""
    try:
        ranges = _ranges(settings)
    except ValueError as error:
        fix = "correct it; `lbctl config check FILE` checks the file alone"
        return (problem("Address pools", f"addressPools: {error}", fix),)
    return (
        version(facts.version),
        definitions(facts),
        *pools(facts, settings, ranges),
        rivals.check(facts.workloads, facts.definitions, facts.cilium_pools, settings.l4),
        kube_proxy(facts.proxy, "on a node, `lbctl preflight --node` asks kube-proxy itself"),
        *(delegation(zone, found, settings) for zone, found in facts.delegations.items()),
    )


def unread(title: str, fact: Unread, needed: str) -> Finding:
    """Return the warning that a check could not be made; `needed` is what it would take."""
    return warning(title, f"not checked: {fact.reason}", needed)


def version(found: Fact[tuple[int, int]]) -> Finding:
    """Tell whether Kubernetes is new enough."""
    title = "Kubernetes version"
    if isinstance(found, Unread):
        return unread(title, found, "look at `kubectl version`: 1.30 or later is needed")
    text = f"{found[0]}.{found[1]}"
    if found < OLDEST:
        reason = f"{text}: agents cannot prove which node they are before 1.30"
        return problem(title, reason, "upgrade the cluster to 1.30 or later")
    return ok(title, text)


def definitions(facts: ClusterFacts) -> Finding:
    """Tell whether lbctl's definitions are there, or may be made."""
    title, found = "Definitions", facts.definitions
    if isinstance(found, Unread):
        return unread(title, found, "run this with rights to list customresourcedefinitions")
    versions = {definition.name: definition.versions for definition in found}
    missing = [name for name in CRDS if name not in versions]
    foreign = [name for name in CRDS if CRD_VERSION not in versions.get(name, (CRD_VERSION,))]
    if foreign:
        reason = f"{_some(foreign)}: no version {CRD_VERSION}, another lbctl made them"
        return problem(title, reason, "upgrade the chart so that it brings its own definitions")
    if not missing:
        return ok(title, f"all {len(CRDS)} are there")
    if isinstance(facts.may_define, Unread):
        return unread(title, facts.may_define, "look: kubectl auth can-i create crd")
    if not facts.may_define:
        reason = f"{_some(missing)}: missing, and this account may not create them"
        return problem(title, reason, "let a cluster administrator run `kubectl apply` on the CRDs")
    return ok(title, f"{len(missing)} to be made; this account may")


def pools(facts: ClusterFacts, settings: Settings, ranges: Pools) -> tuple[Finding, ...]:
    """Tell whether there are addresses to give, and whom they would be in the way of."""
    title = "Address pools"
    if not ranges:
        reason = "none: every Service would wait for an address; nothing was compared with them"
        fix = "set addressPools in the settings and pass them with --config"
        return (warning(title, reason, fix),)
    return (
        ok(title, f"{len({name for name, _ in ranges})} with addresses"),
        pod_networks(facts, ranges),
        service_networks(facts, ranges),
        node_addresses(facts, ranges),
        kept_addresses(facts, settings, ranges),
        taken_addresses(facts, settings, ranges),
    )


def pod_networks(facts: ClusterFacts, ranges: Pools) -> Finding:
    """Tell whether a pool overlaps with a node's pod networks."""
    title, nodes = "Pools and pod networks", facts.nodes
    if isinstance(nodes, Unread):
        return unread(title, nodes, "run this with rights to list nodes")
    networks = [(cidr, f"node {node.name}") for node in nodes for cidr in node.pod_cidrs]
    both = list(_overlaps(ranges, networks))
    if both:
        return problem(title, _some(both), "give the pool addresses that no pod can have")
    silent = [node.name for node in nodes if not node.pod_cidrs]
    if silent:
        reason = f"not checked for {_some(silent)}: no spec.podCIDRs, the network plug-in assigns"
        return warning(title, reason, "compare the pools with the plug-in's own address pools")
    return ok(title, f"no overlap with {len(networks)} networks")


def service_networks(facts: ClusterFacts, ranges: Pools) -> Finding:
    """Tell whether a pool overlaps with the cluster's Service networks."""
    title, cidrs = "Pools and Service networks", facts.service_cidrs
    fix = "give the pool addresses outside of the API server's --service-cluster-ip-range"
    if not isinstance(cidrs, Unread):
        both = list(_overlaps(ranges, [(cidr, "a ServiceCIDR") for cidr in cidrs]))
        return problem(title, _some(both), fix) if both else ok(title, f"none with {_some(cidrs)}")
    if isinstance(facts.services, Unread):
        return unread(title, cidrs, "run this with rights to list servicecidrs and services")
    inside = [
        f"{ip} of {service.key} is in pool {pool}"
        for service in facts.services
        for ip in service.cluster_ips
        for pool in _holders(ranges, ip)
    ]
    if inside:
        return problem(title, _some(inside), fix)
    reason = f"only the ClusterIPs in use were compared: {cidrs.reason}"
    return warning(title, reason, "compare the pools with --service-cluster-ip-range by hand")


def node_addresses(facts: ClusterFacts, ranges: Pools) -> Finding:
    """Tell whether a pool holds an address or a service leg of a node."""
    title, nodes = "Pools and node addresses", facts.nodes
    if isinstance(nodes, Unread):
        return unread(title, nodes, "run this with rights to list nodes")
    inside = [
        f"{address} of node {node.name} is in pool {pool}"
        for node in nodes
        for address in node.addresses
        for pool in _holders(ranges, address)
    ]
    if inside:
        return problem(title, _some(inside), "leave the nodes' addresses out: write first-last")
    return ok(title, f"none of {len(nodes)} nodes has an address of a pool")


def kept_addresses(facts: ClusterFacts, settings: Settings, ranges: Pools) -> Finding:
    """Tell which Services would lose an address that is not from our pools."""
    title = "Addresses to be replaced"
    if isinstance(facts.services, Unread):
        return unread(title, facts.services, "run this with rights to list services")
    if isinstance(facts.labels, Unread):
        return unread(title, facts.labels, "run this with rights to list namespaces")
    scope, labels = scope_of(settings.lbctl), facts.labels
    replaced = [
        f"{service.key} shows {shown}"
        for service in facts.services
        if _ours(service, settings)
        and scope.selects(service.namespace, labels.get(service.namespace, {}))
        for shown in service.shown
        if not _from_pools(ranges, shown)
    ]
    if not replaced:
        return ok(title, "none")
    fix = (
        "add those addresses to a pool, or leave these Services alone: "
        "L4Settings.defaultLBController: false, or their namespace in blockedNamespaceList"
    )
    return problem(title, f"{_some(replaced)}: from no pool, clients would lose it", fix)


def taken_addresses(facts: ClusterFacts, settings: Settings, ranges: Pools) -> Finding:
    """Tell which addresses of our pools Services of another class show."""
    title = "Addresses given by others"
    if isinstance(facts.services, Unread):
        return unread(title, facts.services, "run this with rights to list services")
    taken = [
        f"{shown} at {service.key}"
        for service in facts.services
        if service.balanced and not _ours(service, settings)
        for shown in service.shown
        if _from_pools(ranges, shown)
    ]
    if taken:
        fix = "take them out of our pools or of the other controller's"
        return problem(title, f"{_some(taken)}: from our pools, by another controller", fix)
    return ok(title, "none from our pools")


def kube_proxy(found: Fact[Proxy], needed: str) -> Finding:
    """Tell whether kube-proxy would make nodes answer for addresses of ours."""
    title = "kube-proxy"
    if isinstance(found, Unread):
        return unread(title, found, needed)
    if found.mode == "ipvs" and not found.strict_arp:
        known = "without" if found.strict_arp is False else "maybe without"
        reason = f"mode ipvs {known} strictARP: nodes answer ARP for every VIP on every interface"
        fix = "set ipvs.strictARP: true (or mode: nftables) in its configuration; restart it"
        return warning(title, reason, fix)
    return ok(title, f"mode {found.mode}")


def delegation(zone: str, found: Fact[Delegation], settings: Settings) -> Finding:
    """Tell whether the parent zone leads resolvers to lbctl's DNS."""
    title = f"Delegation of {zone}"
    fix = f"in the parent zone:\n{records(zone, settings)}"
    if isinstance(found, Unread):
        return unread(title, found, f"see that there is, {fix}")
    if not found.servers:
        if found.code == SERVER_FAILURE:
            reason = "SERVFAIL: not delegated, or lbctl's DNS does not answer yet"
        else:
            reason = f"the resolver knows no name servers of it (RCODE {found.code})"
        return warning(title, reason, fix)
    expected = set(_servers(zone, settings))
    if expected.isdisjoint(found.servers):
        return warning(title, f"it leads to {_some(found.servers)}, not to us", fix)
    return ok(title, f"leads to {_some(found.servers)}")


def records(zone: str, settings: Settings) -> str:
    """Return the lines that the parent zone needs: NS, and glue inside the zone."""
    servers = _servers(zone, settings)
    lines = [f"{zone}. NS {name}." for name in servers]
    for name, addresses in servers.items():
        lines += [f"{name}. {'A' if ip.version == 4 else 'AAAA'} {ip}" for ip in addresses]
        if not addresses:
            lines.append(f"{name}. A <address of lbctl's DNS; set nameservice.nsAddresses to it>")
    return "\n".join(lines)


# --- inside -------------------------------------------------------------------------------------


def _servers(zone: str, settings: Settings) -> dict[str, list[Address]]:
    """Return the name servers that lbctl's DNS names, as `lbctl dns` does."""
    found: dict[str, list[Address]] = {}
    counts = {4: 0, 6: 0}
    for text in settings.nameservice.ns_addresses:
        address = ipaddress.ip_address(text)
        counts[address.version] += 1
        found.setdefault(f"ns{counts[address.version]}.{zone}", []).append(address)
    primary = settings.nameservice.soa.mname.rstrip(".").lower() or f"ns1.{zone}"
    return found or {primary: []}


def _ranges(settings: Settings) -> Pools:
    parsed = configured_pools(settings.pools)
    return [(pool.name, part) for pool in parsed for part in (*pool.ranges, *pool.static)]


def _overlaps(ranges: Pools, networks: Iterable[tuple[str, str]]) -> Iterator[str]:
    for cidr, owner in networks:
        network = ipaddress.ip_network(cidr, strict=False)
        for name, part in ranges:
            if network.version == part.family and (
                int(part.first) <= int(network[-1]) and int(network[0]) <= int(part.last)
            ):
                yield f"pool {name} ({part.first}-{part.last}) overlaps with {cidr} of {owner}"


def _holders(ranges: Pools, address: Address) -> list[str]:
    return [name for name, part in ranges if address in part]


def _from_pools(ranges: Pools, shown: str) -> bool:
    """Tell whether what a Service shows is an address of ours; a host name never is."""
    try:
        return bool(_holders(ranges, ipaddress.ip_address(shown)))
    except ValueError:
        return False


def _ours(service: Service, settings: Settings) -> bool:
    asked = service.load_balancer_class
    by_default = not asked and settings.l4.default_lb_controller
    return service.balanced and (asked == settings.l4.load_balancer_class or by_default)


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + more
