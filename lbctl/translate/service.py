"""A Service as the API server sent it becomes the facts that decisions need. Pure.

Source: Kubernetes `v1.Service`, KEP-1959 (loadBalancerClass), KEP-980 (finalizer).
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lbctl.model.policy import TrafficRules
from lbctl.model.reasons import ConditionType, Reason, Refused
from lbctl.model.sharing import Sharing
from lbctl.model.virtual_service import Address, Policy
from lbctl.translate import annotations, hostnames, policies, source_ranges, wishes

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
CARRIED = frozenset({"TCP", "UDP"})
"""Protocols that every backend carries.

Not SCTP: the userspace datapath of Open vSwitch 3.1 translates addresses and no ports of it, and
takes all associations between two addresses for one (measured).
"""
NOT_SERVED = f"lbctl.io/{Reason.PROTOCOL_NOT_SERVED.value}"
"""Error of a port, in the form that `v1.PortStatus` asks of anything but Kubernetes itself."""
OURS = tuple(kind.value for kind in ConditionType)


@dataclass(frozen=True, slots=True)
class Ownership:
    """Which Services are ours, from the settings."""

    load_balancer_class: str
    default_class: bool


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service."""

    name: str
    protocol: str
    port: int
    node_port: int = 0
    """Where kube-proxy takes its connections on every node; 0: nowhere."""

    @property
    def carried(self) -> bool:
        """Tell whether backends carry its protocol."""
        return self.protocol in CARRIED


@dataclass(frozen=True, slots=True)
class PortError:
    """A port in `status.loadBalancer.ingress[].ports`, which says why it does not work."""

    port: int
    protocol: str
    error: str
    """`<domain>/<CamelCase>`; empty: the port works."""


@dataclass(frozen=True, slots=True)
class ShownCondition:
    """A condition that stands in the Service's status now."""

    type: str
    true: bool
    reason: str
    message: str
    since: str
    """lastTransitionTime."""


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What decisions need to know of one Service."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    ours: bool
    """Type LoadBalancer, a class that is ours, a namespace that we serve; also being deleted."""
    load_balancer: bool
    deleting: bool
    finalized: bool
    families: tuple[int, ...]
    """4 and 6 in the Service's order; the first is the primary one."""
    requires_both: bool
    """ipFamilyPolicy RequireDualStack."""
    ports: tuple[ServicePort, ...]
    policy: Policy
    """What its fields say of its traffic."""
    rules: TrafficRules | Refused
    """What its annotations say of it; a refusal when one can't be followed."""
    wanted: Mapping[int, Address] | Refused
    """Addresses asked for, by family; a refusal when a wish does not parse, or two disagree."""
    pool_wanted: str
    """Pool asked for; empty: any."""
    sharing: Sharing | None
    names: hostnames.NameWishes
    ingress: tuple[Address, ...]
    shown_port_errors: tuple[PortError, ...]
    """What the status says about ports now; empty: nothing."""
    conditions: tuple[ShownCondition, ...]
    """Ours only."""
    labels: Mapping[str, str]
    selector: tuple[tuple[str, str], ...]
    """(key, value), sorted."""
    created: str
    """creationTimestamp."""
    strange: tuple[str, ...]
    """Annotations with our prefix that mean nothing."""
    range_faults: tuple[str, ...]
    """Source ranges that do not parse, which let nobody in."""

    @property
    def touched(self) -> bool:
        """Tell whether the Service carries marks of ours."""
        return bool(self.conditions)

    @property
    def selects(self) -> bool:
        """Tell whether Kubernetes makes its EndpointSlices; else somebody does by hand."""
        return bool(self.selector)

    @property
    def port_errors(self) -> tuple[PortError, ...]:
        """Return what the status should say: nothing, or every port when one can't be served."""
        if all(port.carried for port in self.ports):
            return ()
        return tuple(
            PortError(port.port, port.protocol, "" if port.carried else NOT_SERVED)
            for port in self.ports
        )

    @property
    def waiting_since(self) -> str:
        """Return since when it has been without an address that it should have; empty: it has."""
        return _unallocated_since(self.conditions)


def translate_service(
    obj: Mapping[str, Any], ownership: Ownership, *, served: bool = True
) -> ServiceFacts:
    """Return the facts of one Service; it is not ours where its namespace is not `served`."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    status = obj.get("status") or {}
    load_balancer = spec.get("type") == "LoadBalancer"
    families = tuple(int(family[-1]) for family in spec.get("ipFamilies") or ("IPv4",))
    notes: Mapping[str, str] = meta.get("annotations") or {}
    wished = wishes.read_wishes(notes, spec, families)
    ranges = source_ranges.read_source_ranges(notes, spec)
    balancer = status.get("loadBalancer") or {}
    return ServiceFacts(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        ours=served and load_balancer and _class_is_ours(spec.get("loadBalancerClass"), ownership),
        load_balancer=load_balancer,
        deleting="deletionTimestamp" in meta,
        finalized=FINALIZER in (meta.get("finalizers") or ()),
        families=families,
        requires_both=spec.get("ipFamilyPolicy") == "RequireDualStack",
        ports=tuple(map(_port, spec.get("ports") or ())),
        policy=_policy(spec, ranges.texts),
        rules=policies.read_rules(notes),
        wanted=wished.addresses,
        pool_wanted=wished.pool,
        sharing=wished.sharing,
        names=hostnames.read_names(notes),
        ingress=tuple(_addresses(balancer)),
        shown_port_errors=_port_errors(balancer),
        conditions=tuple(_conditions(status)),
        labels=meta.get("labels") or {},
        selector=tuple(sorted((spec.get("selector") or {}).items())),
        created=meta.get("creationTimestamp") or "",
        strange=annotations.unknown(notes),
        range_faults=ranges.faults,
    )


def waiting_since(status: Mapping[str, Any]) -> str:
    """Return `ServiceFacts.waiting_since` of a Service's status, without translating the rest."""
    return _unallocated_since(_conditions(status))


def _unallocated_since(conditions: Iterable[ShownCondition]) -> str:
    kind = ConditionType.ADDRESS_ALLOCATED.value
    return next((entry.since for entry in conditions if entry.type == kind and not entry.true), "")


def _class_is_ours(found: str | None, ownership: Ownership) -> bool:
    if found is None:
        return ownership.default_class
    return found == ownership.load_balancer_class


def _port(port: Mapping[str, Any]) -> ServicePort:
    return ServicePort(
        port.get("name") or "",
        port.get("protocol") or "TCP",
        port["port"],
        port.get("nodePort") or 0,
    )


def _policy(spec: Mapping[str, Any], ranges: tuple[str, ...]) -> Policy:
    affinity = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return Policy(
        external_traffic_policy=spec.get("externalTrafficPolicy") or "Cluster",
        health_check_node_port=spec.get("healthCheckNodePort") or 0,
        session_affinity=spec.get("sessionAffinity") or "None",
        session_affinity_timeout_s=affinity.get("timeoutSeconds") or 0,
        source_ranges=ranges,
    )


def _addresses(load_balancer: Mapping[str, Any]) -> Iterable[Address]:
    for entry in load_balancer.get("ingress") or ():
        if "ip" in entry:
            yield ipaddress.ip_address(entry["ip"])


def _port_errors(load_balancer: Mapping[str, Any]) -> tuple[PortError, ...]:
    """Return what the first address says; we write the same to each."""
    ingress: Sequence[Mapping[str, Any]] = load_balancer.get("ingress") or ({},)
    return tuple(
        PortError(entry["port"], entry["protocol"], entry.get("error") or "")
        for entry in ingress[0].get("ports") or ()
    )


def _conditions(status: Mapping[str, Any]) -> Iterable[ShownCondition]:
    for entry in status.get("conditions") or ():
        if entry["type"] in OURS:
            yield ShownCondition(
                entry["type"],
                entry["status"] == "True",
                entry.get("reason", ""),
                entry.get("message", ""),
                entry.get("lastTransitionTime", ""),
            )
