"""A Service as the API server sent it becomes the facts that decisions need. Pure.

Source: Kubernetes `v1.Service`, KEP-1959 (loadBalancerClass), KEP-980 (finalizer).
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.model.reasons import ConditionType, Reason, Refused
from lbctl.model.virtual_service import Address, Policy

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
ADDRESSES_ANNOTATION = "lbctl.io/load-balancer-ips"
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
    ports: tuple[ServicePort, ...]
    policy: Policy
    wanted: Mapping[int, Address] | Refused
    """Addresses asked for, by family; a refusal when the text does not parse."""
    ingress: tuple[Address, ...]
    conditions: tuple[ShownCondition, ...]
    """Ours only."""

    @property
    def touched(self) -> bool:
        """Tell whether the Service carries marks of ours."""
        return bool(self.conditions)


def translate_service(
    obj: Mapping[str, Any], ownership: Ownership, *, served: bool = True
) -> ServiceFacts:
    """Return the facts of one Service; it is not ours where its namespace is not `served`."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    status = obj.get("status") or {}
    load_balancer = spec.get("type") == "LoadBalancer"
    families = tuple(int(family[-1]) for family in spec.get("ipFamilies") or ("IPv4",))
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
        ports=tuple(
            ServicePort(port.get("name") or "", port.get("protocol") or "TCP", port["port"])
            for port in spec.get("ports") or ()
        ),
        policy=_policy(spec),
        wanted=_wanted(meta, spec, families),
        ingress=tuple(_addresses(status.get("loadBalancer") or {})),
        conditions=tuple(_conditions(status)),
    )


def _class_is_ours(found: str | None, ownership: Ownership) -> bool:
    if found is None:
        return ownership.default_class
    return found == ownership.load_balancer_class


def _policy(spec: Mapping[str, Any]) -> Policy:
    affinity = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return Policy(
        external_traffic_policy=spec.get("externalTrafficPolicy") or "Cluster",
        session_affinity=spec.get("sessionAffinity") or "None",
        session_affinity_timeout_s=affinity.get("timeoutSeconds") or 0,
        source_ranges=tuple(spec.get("loadBalancerSourceRanges") or ()),
    )


def _wanted(
    meta: Mapping[str, Any], spec: Mapping[str, Any], families: tuple[int, ...]
) -> Mapping[int, Address] | Refused:
    annotation = (meta.get("annotations") or {}).get(ADDRESSES_ANNOTATION)
    field = f"annotation {ADDRESSES_ANNOTATION}" if annotation else "spec.loadBalancerIP"
    text = annotation or spec.get("loadBalancerIP") or ""
    wanted: dict[int, Address] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            address = ipaddress.ip_address(part)
        except ValueError:
            return Refused(Reason.ADDRESS_MALFORMED, f"{field}: {part!r} is not an IP address")
        if address.version not in families:
            shown = " and ".join(f"IPv{family}" for family in families)
            return Refused(
                Reason.ADDRESS_WRONG_FAMILY, f"{field}: {part}, but the Service is {shown}"
            )
        if address.version in wanted:
            return Refused(Reason.ADDRESS_MALFORMED, f"{field}: two IPv{address.version} addresses")
        wanted[address.version] = address
    return wanted


def _addresses(load_balancer: Mapping[str, Any]) -> Iterable[Address]:
    for entry in load_balancer.get("ingress") or ():
        if "ip" in entry:
            yield ipaddress.ip_address(entry["ip"])


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
