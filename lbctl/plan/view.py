"""Everything one pass over one Service may look at, frozen. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lbctl.ipam.allocator import Grant
from lbctl.model.allocation import Allocation
from lbctl.model.policy import DeclaredPolicy
from lbctl.model.reasons import Refused
from lbctl.model.virtual_service import Address, VirtualService
from lbctl.plan.hostnames import Naming
from lbctl.plan.steps import DecisionStatus
from lbctl.translate.endpoints import Endpoint
from lbctl.translate.remote import NOBODY, Crew
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
class View:
    """One Service and what is known around it at one moment."""

    key: str
    """`<namespace>/<name>`."""
    service: ServiceFacts | None
    decision: ObservedDecision | None
    allocations: tuple[Allocation, ...]
    """Those held for this namespace and name, under whatever UID; sorted by address."""
    offers: Mapping[int, Grant | Refused]
    """IPAM's answer for each family in which it does not hold what it asks for."""
    endpoints: tuple[Endpoint, ...]
    named_endpoints: bool
    """Whether a slice lists names, which are in `endpoints` not."""
    slices_version: int
    """Highest resourceVersion of its EndpointSlices; 0 without any."""
    agents: tuple[AgentState, ...]
    fabric: bool
    """Whether a Fabric exists."""
    name_taken: bool
    """Whether another Service's decision has the plain virtual service name."""
    naming: Naming
    settling: bool = False
    """The Service is new and selects pods, but has no EndpointSlice yet: it may have in a moment.

    Kubernetes makes one within milliseconds, also where no pod is selected.
    """
    unfit: frozenset[Address] = frozenset()
    """Addresses that it holds and that are not what it asks for now."""
    reserved: tuple[Allocation, ...] = ()
    """Addresses that nobody holds and that are kept for this namespace and name."""
    policies: tuple[DeclaredPolicy, ...] = ()
    """Those that are for the Service, in no particular order."""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    rivals: Mapping[str, str] = field(default_factory=dict)
    """Who has a name that the Service asks for, as `<namespace>/<name>`; its own are not there."""
    crew: Crew = NOBODY
    """Whose nodes serve, and who serves endpoints on others, which are remote in `endpoints`."""
    reuse_delays: Mapping[str, int] = field(default_factory=dict)
    """Seconds for which a pool keeps what was given back, by pool; a missing one: 0."""
