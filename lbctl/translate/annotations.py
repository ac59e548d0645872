"""The annotations of a Service that mean something to lbctl: one table for code and docs. Pure.

Who comes from another load balancer keeps its manifests: an annotation of a peer is an alias of
ours. Ours counts alone where it is there; else all aliases that are there must agree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PREFIX = "lbctl.io/"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One thing that users say by annotation."""

    own: str
    aliases: tuple[str, ...]
    field: str
    """Field of the Service that says the same and is asked like an alias; empty: none."""
    meaning: str
    """For the docs: one sentence."""
    example: str

    def said(self, annotations: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Return what counts as (key, text): ours alone, else every alias; blank is not said."""
        own = annotations.get(self.own, "").strip()
        if own:
            return ((self.own, own),)
        found = ((key, annotations.get(key, "").strip()) for key in self.aliases)
        return tuple((key, text) for key, text in found if text)


ADDRESSES = Annotation(
    own="lbctl.io/load-balancer-ips",
    aliases=(
        "metallb.io/loadBalancerIPs",
        "metallb.universe.tf/loadBalancerIPs",
        "kube-vip.io/loadbalancerIPs",
        "lbipam.cilium.io/ips",
        "io.cilium/lb-ipam-ips",
        "purelb.io/addresses",
        "ako.vmware.com/load-balancer-ip",
    ),
    field="spec.loadBalancerIP",
    meaning="The addresses that the Service gets, at most one of each family, or none at all.",
    example="192.0.2.7,2001:db8::7",
)
POOL = Annotation(
    own="lbctl.io/address-pool",
    aliases=(
        "metallb.io/address-pool",
        "metallb.universe.tf/address-pool",
        "purelb.io/service-group",
    ),
    field="",
    meaning="The pool that the addresses come from; also one that is not given from by itself.",
    example="public",
)
SHARING_KEY = Annotation(
    own="lbctl.io/shared-ip",
    aliases=(
        "metallb.io/allow-shared-ip",
        "metallb.universe.tf/allow-shared-ip",
        "lbipam.cilium.io/sharing-key",
        "io.cilium/lb-ipam-sharing-key",
        "purelb.io/allow-shared-ip",
        "ako.vmware.com/enable-shared-vip",
    ),
    field="",
    meaning="Services with the same key may share an address, each with ports of its own.",
    example="web",
)
SHARING_NAMESPACES = Annotation(
    own="lbctl.io/shared-ip-namespaces",
    aliases=(
        "lbipam.cilium.io/sharing-cross-namespace",
        "io.cilium/lb-ipam-sharing-cross-namespace",
    ),
    field="",
    meaning="Other namespaces whose Services may share the address, `*` for all; both sides must "
    "say so.",
    example="blue,green",
)
HOSTNAMES = Annotation(
    own="lbctl.io/hostname",
    aliases=("external-dns.alpha.kubernetes.io/hostname",),
    field="",
    meaning="Host names besides `<service>.<namespace>.<subdomain>`; the first label may be `*`.",
    example="www.lb.example,*.apps.lb.example",
)
DNS = Annotation(
    own="lbctl.io/dns",
    aliases=(),
    field="",
    meaning="`false`: the Service gets no name at all; `true`: also where `nameservice.optIn` is "
    "set.",
    example="false",
)
TTL = Annotation(
    own="lbctl.io/ttl",
    aliases=("external-dns.alpha.kubernetes.io/ttl",),
    field="",
    meaning="How long resolvers may keep its names: seconds, or a duration such as `1m30s`.",
    example="60",
)
AT_ZERO = Annotation(
    own="lbctl.io/dns-at-zero",
    aliases=(),
    field="",
    meaning="What DNS answers while no endpoint is usable: `nxdomain`, `nodata` or `keep`.",
    example="keep",
)
ALGORITHM = Annotation(
    own="lbctl.io/algorithm",
    aliases=(),
    field="",
    meaning="How a member is chosen: `maglev`, `round-robin`, `least-connections` or "
    "`source-hash`; what an L4Policy says counts before it.",
    example="source-hash",
)
HEALTH_MONITOR = Annotation(
    own="lbctl.io/health-monitor",
    aliases=(),
    field="",
    meaning="How nodes ask members whether they work: `tcp`, `half-open`, `udp`, `http` or "
    "`https`, with a port and for HTTP a path where they are wanted; what an L4Policy says counts "
    "before it.",
    example="http:8081/healthz",
)
DRAIN_TIMEOUT = Annotation(
    own="lbctl.io/drain-timeout",
    aliases=(),
    field="",
    meaning="How long a terminating member keeps its connections: seconds, or a duration such as "
    "`1m30s`; what an L4Policy says counts before it.",
    example="60",
)

ALL = (
    ADDRESSES,
    POOL,
    SHARING_KEY,
    SHARING_NAMESPACES,
    HOSTNAMES,
    DNS,
    TTL,
    AT_ZERO,
    ALGORITHM,
    HEALTH_MONITOR,
    DRAIN_TIMEOUT,
)
"""In the order of the docs."""

SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
"""Upstream's own older form of `spec.loadBalancerSourceRanges`, which wins over it."""


def unknown(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Return the annotations with our prefix that mean nothing: slips of the pen, sorted.

    >>> unknown({"lbctl.io/adress-pool": "public", "other.io/x": ""})
    ('lbctl.io/adress-pool',)
    """
    known = {annotation.own for annotation in ALL}
    return tuple(sorted(key for key in annotations if key.startswith(PREFIX) and key not in known))


def table() -> Iterator[str]:
    """Yield the lines of the docs' table."""
    yield "| annotation | means | example | read as the same where it is absent |"
    yield "|---|---|---|---|"
    for annotation in ALL:
        aliases = [*annotation.aliases, *filter(None, (annotation.field,))]
        listed = ", ".join(f"`{alias}`" for alias in aliases)
        yield (f"| `{annotation.own}` | {annotation.meaning} | `{annotation.example}` | {listed} |")
