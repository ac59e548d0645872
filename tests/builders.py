"""Build Kubernetes objects and views for tests, with defaults that make a plain kuard."""

import dataclasses
import datetime
import ipaddress
from typing import Any

from lbctl.ipam.ledger import Ledger
from lbctl.ipam.pools import AddressPools
from lbctl.model.allocation import Allocation
from lbctl.model.pool import AddressPool, parse_range
from lbctl.plan import offers
from lbctl.plan.hostnames import Naming
from lbctl.plan.view import View
from lbctl.translate.endpoints import holds_names, parse_endpoints
from lbctl.translate.service import FINALIZER, Ownership, ServiceFacts, translate_service
from lbctl.translate.serving_nodes import AgentState

NOW = datetime.datetime(2026, 11, 21, 12, 0, 0, tzinfo=datetime.UTC)
OWNERSHIP = Ownership("lbctl.io/lbctl", default_class=True)
NAMING = Naming("lab", "lb.example", ttl_s=5, empty_grace_s=10.0, zones=("lb.example",))


def pool(name: str, *addresses: str, **fields: Any) -> AddressPool:
    """Return the pool of those CIDRs and ranges, open to everybody."""
    return AddressPool(name, tuple(parse_range(text) for text in addresses), **fields)


POOL = pool("default", "192.0.2.0/28", "2001:db8::/124")


def service(**overrides: Any) -> dict[str, Any]:
    """Return a Service of type LoadBalancer; keyword arguments override parts of its spec."""
    spec = {
        "type": "LoadBalancer",
        "ipFamilies": ["IPv4"],
        "ports": [{"port": 8080, "protocol": "TCP", "targetPort": 8080}],
        **overrides,
    }
    return {
        "metadata": {
            "namespace": "default",
            "name": "kuard",
            "uid": "uid-1",
            "resourceVersion": "10",
        },
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def finalized(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the Service with our finalizer."""
    return {**obj, "metadata": {**obj["metadata"], "finalizers": [FINALIZER]}}


def deleting(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the Service with a deletion time."""
    meta = {**obj["metadata"], "deletionTimestamp": "2026-11-21T12:00:00Z"}
    return {**obj, "metadata": meta}


def facts(obj: dict[str, Any]) -> ServiceFacts:
    """Return the facts of a Service under the default ownership."""
    return translate_service(obj, OWNERSHIP)


def endpoint(address: str, node: str = "node-1", **conditions: bool) -> dict[str, Any]:
    """Return one endpoint of a slice; ready unless told otherwise."""
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def endpoint_slice(*endpoints: dict[str, Any], port: int = 8080, version: int = 20) -> Any:
    """Return one EndpointSlice of kuard with one unnamed TCP port."""
    return {
        "metadata": {
            "namespace": "default",
            "name": "kuard-abc",
            "resourceVersion": str(version),
            "labels": {"kubernetes.io/service-name": "kuard"},
        },
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "", "port": port, "protocol": "TCP"}],
    }


def agent(node: str = "node-1", role: str = "node", **overrides: Any) -> AgentState:
    """Return an agent that is alive and has programmed everything."""
    base = AgentState(node, role, live=True, decisions=10**9, slices=10**9, exceptions={})
    return dataclasses.replace(base, **overrides)


def view(
    obj: dict[str, Any] | None = None,
    *,
    slices: tuple[Any, ...] = (),
    allocations: tuple[Allocation, ...] = (),
    **overrides: Any,
) -> View:
    """Return a view of one Service; offers come from the real allocator on an empty ledger."""
    known = facts(obj) if obj else None
    stock = offers.Stock(AddressPools([POOL]), Ledger())
    return dataclasses.replace(
        View(
            key="default/kuard",
            service=known,
            decision=None,
            allocations=allocations,
            offers=offers.offers(stock, known, allocations, None),
            endpoints=parse_endpoints(slices),
            named_endpoints=holds_names(slices),
            slices_version=20 if slices else 0,
            agents=(),
            fabric=False,
            name_taken=False,
            naming=NAMING,
            unfit=offers.unfit(stock, known, allocations),
        ),
        **overrides,
    )


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address of either family."""
    return ipaddress.ip_address(text)
