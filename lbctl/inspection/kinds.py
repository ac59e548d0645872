"""What `lbctl get` can list: each kind, what it is made from, and how. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lbctl.inspection import agents, members, pools, published, vips, virtual_services
from lbctl.inspection.listing import Listing
from lbctl.inspection.scene import Scene
from lbctl.kube import resources
from lbctl.kube.resources import Resource


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind."""

    reads: tuple[Resource, ...]
    """What has to be listed; the right to do so is needed."""
    listing: Callable[[Scene], Listing]


_DECISIONS = resources.L4_VIRTUAL_SERVICES
_TRAFFIC = (_DECISIONS, resources.ENDPOINT_SLICES, resources.SERVING_NODES)
KINDS: Mapping[str, Kind] = {
    "vs": Kind(
        (*_TRAFFIC, resources.SERVICES, resources.NAMESPACES, resources.IP_ALLOCATIONS),
        virtual_services.listing,
    ),
    "pools": Kind((resources.ADDRESS_POOLS, resources.IP_ALLOCATIONS), pools.listing),
    "members": Kind(_TRAFFIC, members.listing),
    "vips": Kind((resources.IP_ALLOCATIONS, _DECISIONS), vips.listing),
    "records": Kind((_DECISIONS,), published.listing),
    "nodes": Kind((resources.SERVING_NODES,), agents.listing),
}
"""By the name on the command line."""
