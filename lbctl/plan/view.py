"""Everything one pass over one Service may look at, frozen. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from lbctl.ipam.allocator import Grant
from lbctl.model.allocation import Allocation
from lbctl.model.reasons import Refused
from lbctl.model.virtual_service import VirtualService
from lbctl.plan.steps import DecisionStatus
from lbctl.translate.endpoints import Endpoint
from lbctl.translate.service import ServiceFacts
from lbctl.translate.serving_nodes import AgentState


@dataclass(frozen=True, slots=True)
class ObservedDecision:
    """An L4VirtualService as it stands in the API."""

    virtual_service: VirtualService
    uid: str
    resource_version: str
    generation: int
    spec_version: int
    status: DecisionStatus | None


@dataclass(frozen=True, slots=True)
class Naming:
    """What names are made of, from the settings."""

    cluster: str
    subdomain: str
    """Empty: Services get no name."""
    ttl_s: int
    empty_grace_s: float
    flat: bool = False
    """Names have one label before the subdomain."""


@dataclass(frozen=True, slots=True)
class View:
    """One Service and what is known around it at one moment."""

    service: ServiceFacts | None
    decision: ObservedDecision | None
    allocations: tuple[Allocation, ...]
    """Those held for this namespace and name, under whatever UID; sorted by address."""
    offers: Mapping[int, Grant | Refused]
    """IPAM's answer for each family that has no allocation yet."""
    endpoints: tuple[Endpoint, ...]
    slices_version: int
    """Highest resourceVersion of its EndpointSlices; 0 without any."""
    agents: tuple[AgentState, ...]
    fabric: bool
    """Whether a Fabric exists."""
    name_taken: bool
    """Whether another Service's decision has the plain virtual service name."""
    naming: Naming
