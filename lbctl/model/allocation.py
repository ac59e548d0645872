"""One address and who holds it, and its form as an IPAllocation. Pure."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.model import names
from lbctl.model.virtual_service import Address, ServiceRef


@dataclass(frozen=True, slots=True)
class Allocation:
    """One address given to one Service."""

    address: Address
    pool: str
    holder: ServiceRef
    uid: str = ""
    """Of the IPAllocation; empty before it is created."""
    resource_version: str = ""

    @property
    def name(self) -> str:
        """Return the name of the IPAllocation."""
        return names.allocation_name(self.address)


def render_allocation(allocation: Allocation, bound_at: str) -> dict[str, Any]:
    """Return the IPAllocation to create."""
    holder = allocation.holder
    return {
        "metadata": {"name": allocation.name},
        "spec": {
            "address": str(allocation.address),
            "pool": allocation.pool,
            "state": "Bound",
            "boundAt": bound_at,
            "holders": [{"uid": holder.uid, "namespace": holder.namespace, "name": holder.name}],
        },
    }


def parse_allocation(obj: Mapping[str, Any]) -> Allocation:
    """Return the allocation in an IPAllocation; the first holder counts."""
    spec, meta = obj["spec"], obj["metadata"]
    holder = (spec.get("holders") or [{"namespace": "", "name": "", "uid": ""}])[0]
    return Allocation(
        address=ipaddress.ip_address(spec["address"]),
        pool=spec["pool"],
        holder=ServiceRef(holder["namespace"], holder["name"], holder["uid"]),
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
    )
