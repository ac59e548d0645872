"""One address, who holds it or for whom it is kept, and its form as an IPAllocation. Pure."""

import enum
import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.model import names
from lbctl.model.virtual_service import Address, ServiceRef


class AllocationState(enum.Enum):
    """What an IPAllocation says of its address."""

    BOUND = "Bound"
    """Held by one Service, or by several that share it."""
    RESERVED = "Reserved"
    """Nobody holds it; only the Service of one namespace and name may have it."""
    RELEASING = "Releasing"
    """Nobody may have it: it is being given back to the external IPAM that gave it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One Service that holds an address, with what others must respect who want to share it."""

    service: ServiceRef
    ports: tuple[tuple[int, str], ...] = ()
    """(port, protocol), sorted."""
    traffic: str = ""
    """externalTrafficPolicy, for Local with a mark of the selector: `traffic_of`."""
    shares_with: frozenset[str] = frozenset()
    """Namespaces beside its own that may share the address; `*`: all."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """One address: given to one Service or several, or reserved for one."""

    address: Address
    pool: str
    holders: tuple[Holder, ...]
    """Sorted by UID; empty while Reserved."""
    sharing_key: str = ""
    """Empty: never shared."""
    state: AllocationState = AllocationState.BOUND
    reserved_for: str = ""
    """`<namespace>/<name>` of the Service it is kept for.

    On a Bound one: an administrator's reservation, which comes back when the holder goes.
    """
    released_at: str = ""
    """RFC 3339 UTC; the pool's reuse delay runs from here. Empty: reserved for ever."""
    bound_at: str = ""
    """RFC 3339 UTC."""
    source: str = ""
    """Pool whose external IPAM gave the address; empty: none did."""
    uid: str = ""
    """Of the IPAllocation; empty before it is created."""
    resource_version: str = ""

    @property
    def name(self) -> str:
        """Return the name of the IPAllocation."""
        return names.allocation_name(self.address)

    def is_held_by(self, uid: str) -> bool:
        """Tell whether the Service of that UID holds the address."""
        return any(holder.service.uid == uid for holder in self.holders)


def traffic_of(policy: str, selector: Iterable[tuple[str, str]]) -> str:
    """Return what Services that share an address must have in common.

    With externalTrafficPolicy Local the fabric sends to the nodes that have pods; it can do so for
    one address only if all who share it have the same pods.

    >>> traffic_of("Cluster", [("app", "kuard")])
    'Cluster'
    >>> traffic_of("Local", [("app", "kuard")])
    'Local/f8e72407'
    """
    if policy != "Local":
        return policy
    text = ",".join(f"{key}={value}" for key, value in sorted(selector))
    return f"Local/{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def render_allocation(allocation: Allocation) -> dict[str, Any]:
    """Return the IPAllocation to create, or to put in the place of the version that was read."""
    meta = {"name": allocation.name}
    if allocation.resource_version:
        meta |= {"uid": allocation.uid, "resourceVersion": allocation.resource_version}
    spec: dict[str, Any] = {
        "address": str(allocation.address),
        "pool": allocation.pool,
        "state": allocation.state.value,
        "holders": [_render_holder(holder) for holder in allocation.holders],
    }
    texts = {
        "boundAt": allocation.bound_at,
        "releasedAt": allocation.released_at,
        "sharingKey": allocation.sharing_key,
        "source": allocation.source,
    }
    spec |= {key: text for key, text in texts.items() if text}
    if allocation.reserved_for:
        namespace, _, name = allocation.reserved_for.partition("/")
        spec["reservedFor"] = {"namespace": namespace, "name": name}
    return {"metadata": meta, "spec": spec}


def _render_holder(holder: Holder) -> dict[str, Any]:
    service = holder.service
    found: dict[str, Any] = {
        "uid": service.uid,
        "namespace": service.namespace,
        "name": service.name,
    }
    if holder.ports:
        found["ports"] = [{"port": port, "protocol": name} for port, name in holder.ports]
    if holder.traffic:
        found["traffic"] = holder.traffic
    if holder.shares_with:
        found["sharesWith"] = sorted(holder.shares_with)
    return found


def parse_allocation(obj: Mapping[str, Any]) -> Allocation:
    """Return the allocation in an IPAllocation."""
    spec, meta = obj["spec"], obj["metadata"]
    holders = (_parse_holder(entry) for entry in spec.get("holders") or ())
    kept_for = spec.get("reservedFor")
    return Allocation(
        address=ipaddress.ip_address(spec["address"]),
        pool=spec.get("pool", ""),
        holders=tuple(sorted(holders, key=lambda holder: holder.service.uid)),
        sharing_key=spec.get("sharingKey", ""),
        state=AllocationState(spec["state"]),
        reserved_for=f"{kept_for['namespace']}/{kept_for['name']}" if kept_for else "",
        released_at=spec.get("releasedAt", ""),
        bound_at=spec.get("boundAt", ""),
        source=spec.get("source", ""),
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
    )


def _parse_holder(entry: Mapping[str, Any]) -> Holder:
    ports = ((int(port["port"]), port.get("protocol", "TCP")) for port in entry.get("ports") or ())
    return Holder(
        ServiceRef(entry["namespace"], entry["name"], entry["uid"]),
        tuple(sorted(ports)),
        entry.get("traffic", ""),
        frozenset(entry.get("sharesWith") or ()),
    )
