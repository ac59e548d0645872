"""The decision about one LoadBalancer Service, and its form as an L4VirtualService. Pure."""

import enum
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lbctl.model.monitors import Monitor, parse_monitor, render_monitor
from lbctl.model.policy import Limits, MemberWeight

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Phase(enum.Enum):
    """Where a virtual service is in its life; receivers act on it and acknowledge."""

    SERVING = "Serving"
    DRAINING = "Draining"
    """Names are gone, traffic goes on until their TTL has passed."""
    WITHDRAWN = "Withdrawn"
    """Remove everything of it, then acknowledge."""


class VipRole(enum.Enum):
    """An address change keeps two addresses for a while; the role tells which leads."""

    CURRENT = "Current"
    INCOMING = "Incoming"
    OUTGOING = "Outgoing"


@dataclass(frozen=True, slots=True)
class Vip:
    """One external address of a virtual service, with the IPAllocation that grants it."""

    address: Address
    role: VipRole
    allocation: str
    """Name of the IPAllocation."""
    allocation_uid: str
    drain_start: str = ""
    """RFC 3339 UTC; since when it is Outgoing, empty in other roles."""

    @property
    def family(self) -> str:
        """Return `IPv4` or `IPv6`, as Kubernetes writes it."""
        return f"IPv{self.address.version}"


@dataclass(frozen=True, slots=True)
class Listener:
    """One (port, protocol) of a virtual service."""

    name: str
    """The Service port's name; EndpointSlice ports are matched by name and protocol."""
    protocol: str
    """TCP, UDP or SCTP."""
    port: int
    pool: str
    node_port: int = 0
    """Where every node of the cluster takes its connections; 0: nowhere, or nobody asks there."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How traffic of one virtual service is spread and limited."""

    external_traffic_policy: str = "Cluster"
    session_affinity: str = "None"
    session_affinity_timeout_s: int = 0
    source_ranges: tuple[str, ...] = ()
    """CIDRs that may connect; empty: all."""
    algorithm: str = "maglev"
    """One of `lbctl.model.policy.ALGORITHMS`; a backend without it does as it does by default."""
    enabled: bool = True
    """False: nobody gets through, as if there were no member."""
    limits: Limits = field(default=Limits())
    drain_timeout_s: int | None = None
    """How long a terminating member keeps its connections; None: as long as it likes."""
    monitor: Monitor | None = None
    """Who asks members whether they work; None: Kubernetes' readiness alone says so."""
    weights: tuple[MemberWeight, ...] = ()
    """The first that fits a member counts; none: all get equal shares."""
    health_check_node_port: int = 0
    """Where nodes tell balancers whether they have ready members; 0: nowhere."""

    @property
    def by_client(self) -> bool:
        """Tell whether the client's address alone chooses the member."""
        return self.session_affinity == "ClientIP" or self.algorithm == "source-hash"


@dataclass(frozen=True, slots=True)
class NamePublication:
    """One host name and whether DNS answers it now."""

    host: str
    """Without a trailing dot."""
    ttl_s: int
    published: bool
    no_data: bool = False
    """While it is not published: the name exists, and has no address."""
    taken_by: str = ""
    """`<namespace>/<name>` of the Service that has the name; empty: this one has."""


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """The Service that a decision is about."""

    namespace: str
    name: str
    uid: str

    @property
    def key(self) -> str:
        """Return the name of its L4VirtualService: `<namespace>.<name>`."""
        return f"{self.namespace}.{self.name}"


@dataclass(frozen=True, slots=True)
class VirtualService:
    """One LoadBalancer Service as the world sees it: the whole spec of an L4VirtualService."""

    service: ServiceRef
    name: str
    """AKO's name: `<cluster>--<namespace>-<service>`."""
    phase: Phase
    vips: tuple[Vip, ...]
    """Sorted by family (IPv4 first), then role."""
    listeners: tuple[Listener, ...]
    """In the order of the Service's ports."""
    policy: Policy = field(default=Policy())
    names: tuple[NamePublication, ...] = ()
    drain_start: str = ""
    """RFC 3339 UTC; set when the phase left Serving."""
    empty_since: str = ""
    """RFC 3339 UTC; set while there are endpoints but none is usable."""

    @property
    def key(self) -> str:
        """Return the object's name: `<namespace>.<service>`."""
        return self.service.key


def render_virtual_service(virtual_service: VirtualService) -> dict[str, Any]:
    """Return the `spec` of the L4VirtualService; `parse_virtual_service` is the inverse."""
    spec: dict[str, Any] = {
        "service": {
            "namespace": virtual_service.service.namespace,
            "name": virtual_service.service.name,
            "uid": virtual_service.service.uid,
        },
        "name": virtual_service.name,
        "phase": virtual_service.phase.value,
        "vips": [_render_vip(vip) for vip in virtual_service.vips],
        "listeners": list(map(_render_listener, virtual_service.listeners)),
        "policy": _render_policy(virtual_service.policy),
        "names": [_render_name(name) for name in virtual_service.names],
    }
    if virtual_service.drain_start:
        spec["drainStart"] = virtual_service.drain_start
    if virtual_service.empty_since:
        spec["emptySince"] = virtual_service.empty_since
    return spec


def _render_listener(listener: Listener) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "name": listener.name,
        "protocol": listener.protocol,
        "port": listener.port,
        "pool": listener.pool,
    }
    if listener.node_port:
        rendered["nodePort"] = listener.node_port
    return rendered


def _render_policy(policy: Policy) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "externalTrafficPolicy": policy.external_traffic_policy,
        "sessionAffinity": policy.session_affinity,
        "sessionAffinityTimeoutSeconds": policy.session_affinity_timeout_s,
        "sourceRanges": list(policy.source_ranges),
        "algorithm": policy.algorithm,
    }
    # What is as usual is left out: who has no policy costs no bytes, and no write on an upgrade.
    if policy.health_check_node_port:
        rendered["healthCheckNodePort"] = policy.health_check_node_port
    if not policy.enabled:
        rendered["enabled"] = False
    limits = {
        "connections": policy.limits.connections,
        "connectionsPerSecond": policy.limits.connections_per_s,
        "connectionsPerClient": policy.limits.connections_per_client,
    }
    if any(limits.values()):
        rendered["limits"] = {key: value for key, value in limits.items() if value}
    if policy.drain_timeout_s is not None:
        rendered["drainTimeoutSeconds"] = policy.drain_timeout_s
    if policy.monitor is not None:
        rendered["monitor"] = render_monitor(policy.monitor)
    if policy.weights:
        rendered["memberWeights"] = list(map(_render_weight, policy.weights))
    return rendered


def _render_weight(entry: MemberWeight) -> dict[str, Any]:
    said = {"node": entry.node, "addresses": entry.addresses}
    return {"weight": entry.weight, **{key: value for key, value in said.items() if value}}


def _render_name(name: NamePublication) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "host": name.host,
        "ttlSeconds": name.ttl_s,
        "published": name.published,
    }
    if name.no_data:
        rendered["noData"] = True
    if name.taken_by:
        rendered["takenBy"] = name.taken_by
    return rendered


def _render_vip(vip: Vip) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "address": str(vip.address),
        "family": vip.family,
        "role": vip.role.value,
        "allocation": {"name": vip.allocation, "uid": vip.allocation_uid},
    }
    if vip.drain_start:
        rendered["drainStart"] = vip.drain_start
    return rendered


def parse_virtual_service(obj: Mapping[str, Any]) -> VirtualService:
    """Return the decision in an L4VirtualService as the API server sent it.

    Raises KeyError or ValueError on an object that the CRD's schema would refuse.
    """
    spec = obj["spec"]
    service = spec["service"]
    return VirtualService(
        service=ServiceRef(service["namespace"], service["name"], service["uid"]),
        name=spec["name"],
        phase=Phase(spec["phase"]),
        vips=tuple(_parse_vip(vip) for vip in spec.get("vips", ())),
        listeners=tuple(map(_parse_listener, spec.get("listeners", ()))),
        policy=_parse_policy(spec.get("policy", {})),
        names=tuple(
            NamePublication(
                name["host"],
                name["ttlSeconds"],
                name["published"],
                name.get("noData", False),
                name.get("takenBy", ""),
            )
            for name in spec.get("names", ())
        ),
        drain_start=spec.get("drainStart", ""),
        empty_since=spec.get("emptySince", ""),
    )


def _parse_listener(entry: Mapping[str, Any]) -> Listener:
    return Listener(
        entry.get("name", ""),
        entry["protocol"],
        entry["port"],
        entry["pool"],
        entry.get("nodePort", 0),
    )


def _parse_vip(vip: Mapping[str, Any]) -> Vip:
    allocation = vip.get("allocation", {})
    return Vip(
        ipaddress.ip_address(vip["address"]),
        VipRole(vip["role"]),
        allocation.get("name", ""),
        allocation.get("uid", ""),
        vip.get("drainStart", ""),
    )


def _parse_policy(policy: Mapping[str, Any]) -> Policy:
    return Policy(
        external_traffic_policy=policy.get("externalTrafficPolicy", "Cluster"),
        health_check_node_port=policy.get("healthCheckNodePort", 0),
        session_affinity=policy.get("sessionAffinity", "None"),
        session_affinity_timeout_s=policy.get("sessionAffinityTimeoutSeconds", 0),
        source_ranges=tuple(policy.get("sourceRanges", ())),
        algorithm=policy.get("algorithm", "maglev"),
        enabled=policy.get("enabled", True),
        limits=_parse_limits(policy.get("limits", {})),
        drain_timeout_s=policy.get("drainTimeoutSeconds"),
        monitor=parse_monitor(policy["monitor"]) if policy.get("monitor") else None,
        weights=tuple(MemberWeight(**entry) for entry in policy.get("memberWeights", ())),
    )


def _parse_limits(limits: Mapping[str, Any]) -> Limits:
    return Limits(
        limits.get("connections", 0),
        limits.get("connectionsPerSecond", 0),
        limits.get("connectionsPerClient", 0),
    )


def spec_version(obj: Mapping[str, Any]) -> int:
    """Return the resourceVersion of the last spec write, as far as it can be told.

    Status moves the object's version too; the leader notes the spec's in the status. Until it
    has, the object's own version is an upper bound (nobody acknowledges less than it saw).
    """
    meta, status = obj["metadata"], obj.get("status") or {}
    if status.get("observedGeneration") == meta.get("generation"):
        return int(status.get("specResourceVersion") or meta["resourceVersion"])
    return int(meta["resourceVersion"])
