"""The single actions that a plan consists of. Pure values; `lbctl.engine.executor` does them."""

from dataclasses import dataclass
from typing import TypeAlias

from lbctl.model.allocation import Allocation
from lbctl.model.reasons import Condition, ConditionType
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
    """New, or with a resourceVersion: in the place of the one that is shared or reserved."""


@dataclass(frozen=True, slots=True)
class ChangeAllocation:
    """Enter with an address on what terms it is held, in the place of the version that was read."""

    allocation: Allocation


@dataclass(frozen=True, slots=True)
class ReleaseAllocation:
    """Give an address back: nobody may have changed the IPAllocation since it was read."""

    allocation: Allocation
    kept: Allocation | None = None
    """What stays of it, for those who share it or as a reservation; None: it is deleted."""


@dataclass(frozen=True, slots=True)
class WriteDecision:
    """Create the L4VirtualService, or replace the spec of the version that was read."""

    wanted: VirtualService
    replaces: str
    """resourceVersion; empty: create."""
    awaited: bool = True
    """Somebody waits for it: not so at birth, when the address is shown and no member is there."""


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
    """Write addresses and our conditions to the Service; others' conditions stay.

    The finalizer goes with the addresses where it is missing: no address is ever shown without.
    """

    service: ServiceFacts
    ingress: tuple[Address, ...]
    conditions: tuple[Condition, ...]

    @property
    def finalizes(self) -> bool:
        """Tell whether this write puts the finalizer on."""
        return bool(self.ingress) and not self.service.finalized


@dataclass(frozen=True, slots=True)
class ClearServiceStatus:
    """Take addresses and our conditions off a Service that is no longer ours."""

    service: ServiceFacts


Step: TypeAlias = (
    AddFinalizer
    | RemoveFinalizer
    | CreateAllocation
    | ChangeAllocation
    | ReleaseAllocation
    | WriteDecision
    | DeleteDecision
    | WriteDecisionStatus
    | WriteServiceStatus
    | ClearServiceStatus
)


def is_patient(step: Step) -> bool:
    """Tell whether a step may wait while others do things that somebody waits for.

    Conditions and the status of a decision are read by people only, a decision about nothing by
    nobody.
    """
    match step:
        case WriteDecisionStatus():
            return True
        case WriteServiceStatus(service, ingress):
            return _has_addresses(step) and service.ingress == ingress and not step.finalizes
        case WriteDecision():
            return not step.awaited
        case _:
            return False


def _has_addresses(step: WriteServiceStatus) -> bool:
    """Tell whether addresses are shown, or held back only until traffic to them works."""
    refused = any(
        entry.type is ConditionType.ADDRESS_ALLOCATED and not entry.true
        for entry in step.conditions
    )
    return bool(step.ingress) or not refused
