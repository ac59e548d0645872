"""The single actions that a plan consists of. Pure values; `lbctl.engine.executor` does them."""

from dataclasses import dataclass
from typing import TypeAlias

from lbctl.model.allocation import Allocation
from lbctl.model.reasons import Condition
from lbctl.model.virtual_service import Address, VirtualService
from lbctl.translate.service import ServiceFacts


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Keep the Service from vanishing while we hold something for it."""

    service: ServiceFacts


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Nothing is held for the Service any more."""

    service: ServiceFacts


@dataclass(frozen=True, slots=True)
class CreateAllocation:
    """Take an address; another writer may have been first."""

    allocation: Allocation


@dataclass(frozen=True, slots=True)
class ReleaseAllocation:
    """Give an address back."""

    allocation: Allocation


@dataclass(frozen=True, slots=True)
class WriteDecision:
    """Create the L4VirtualService, or replace the spec of the version that was read."""

    wanted: VirtualService
    replaces: str
    """resourceVersion; empty: create."""


@dataclass(frozen=True, slots=True)
class DeleteDecision:
    """Delete the L4VirtualService, which every agent has acknowledged as withdrawn."""

    key: str
    uid: str


@dataclass(frozen=True, slots=True)
class DecisionStatus:
    """The status of an L4VirtualService."""

    state: str
    """Up, Down or Pending."""
    reason: str
    members_up: int
    members_total: int
    spec_version: int
    generation: int
    vip: str
    host: str


@dataclass(frozen=True, slots=True)
class WriteDecisionStatus:
    """Write the status of the L4VirtualService; receivers ignore it, people read it."""

    key: str
    status: DecisionStatus


@dataclass(frozen=True, slots=True)
class WriteServiceStatus:
    """Write addresses and our conditions to the Service; others' conditions stay."""

    service: ServiceFacts
    ingress: tuple[Address, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class ClearServiceStatus:
    """Take addresses and our conditions off a Service that is no longer ours."""

    service: ServiceFacts


Step: TypeAlias = (
    AddFinalizer
    | RemoveFinalizer
    | CreateAllocation
    | ReleaseAllocation
    | WriteDecision
    | DeleteDecision
    | WriteDecisionStatus
    | WriteServiceStatus
    | ClearServiceStatus
)
