"""What the status of a Service and of its decision should say. Pure."""

from lbctl.model.reasons import MEANING, Condition, ConditionType, Reason, Refused
from lbctl.model.virtual_service import Address, Phase, Vip, VirtualService
from lbctl.plan import readiness
from lbctl.plan.decision import is_published
from lbctl.plan.steps import DecisionStatus
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate.endpoints import Endpoint, usable
from lbctl.translate.service import ServiceFacts


def address_condition(view: View, service: ServiceFacts) -> Condition:
    """Return whether each family has its address, and which."""
    kind = ConditionType.ADDRESS_ALLOCATED
    refused = [offer for offer in view.offers.values() if isinstance(offer, Refused)]
    if refused:
        return Condition(kind, False, refused[0].reason, refused[0].detail)
    differs = _kept_against_request(view, service)
    if differs is not None:
        return Condition(kind, False, differs.reason, differs.detail)
    held = ", ".join(f"{entry.address} from pool {entry.pool}" for entry in view.allocations)
    return Condition(kind, True, Reason.ALLOCATED, held)


def name_condition(decision: VirtualService, found: readiness.Readiness) -> Condition:
    """Return whether DNS answers the Service's name."""
    kind = ConditionType.NAME_REGISTERED
    if not decision.names:
        return Condition(kind, False, Reason.NO_SUBDOMAIN, MEANING[Reason.NO_SUBDOMAIN])
    hosts = ", ".join(name.host for name in decision.names)
    if is_published(decision):
        return Condition(kind, True, Reason.PUBLISHED, hosts)
    empty = found.dataplane in readiness.EMPTY
    reason = found.dataplane if empty else Reason.NO_ENDPOINTS
    return Condition(kind, False, reason, f"{hosts}: {MEANING[reason]}")


def decision_status(
    view: View, decision: ObservedDecision, found: readiness.Readiness
) -> DecisionStatus:
    """Return the status of an L4VirtualService."""
    wanted = decision.virtual_service
    state, reason = _state(decision, found)
    up, total = _members(view, decision)
    return DecisionStatus(
        state=state,
        reason=reason,
        members_up=up,
        members_total=total,
        spec_version=decision.spec_version,
        generation=decision.generation,
        vip=",".join(str(vip.address) for vip in wanted.vips),
        host=",".join(name.host for name in wanted.names),
    )


def _state(decision: ObservedDecision, found: readiness.Readiness) -> tuple[str, str]:
    """Return state and reason; what is Up stays so while a change is being acknowledged."""
    state, reason = found.state
    on_its_way = reason in {entry.value for entry in readiness.ON_ITS_WAY}
    if on_its_way and decision.status is not None and decision.status.state == "Up":
        return "Up", ""
    return state, reason


def leaving_status(decision: ObservedDecision) -> DecisionStatus:
    """Return the status of an L4VirtualService that is being withdrawn."""
    draining = decision.virtual_service.phase is Phase.DRAINING
    return DecisionStatus(
        state="Down",
        reason=(Reason.DRAINING if draining else Reason.WITHDRAWN).value,
        members_up=0,
        members_total=0,
        spec_version=decision.spec_version,
        generation=decision.generation,
        vip=",".join(str(vip.address) for vip in decision.virtual_service.vips),
        host=",".join(name.host for name in decision.virtual_service.names),
    )


def ingress_of(decision: VirtualService, service: ServiceFacts) -> tuple[Address, ...]:
    """Return the addresses for the Service's status, its primary family first."""

    def rank(vip: Vip) -> int:
        return service.families.index(vip.address.version)

    return tuple(vip.address for vip in sorted(decision.vips, key=rank))


def _members(view: View, decision: ObservedDecision) -> tuple[int, int]:
    """Return usable and all members; a dual-stack pod counts once, by its primary address."""
    family = view.service.families[0] if view.service else 4
    up = [end for end in readiness.members_of(view, decision) if _of(end, family)]
    remaining = [end for end in view.endpoints if not end.terminating and _of(end, family)]
    still = [end for end in usable(view.endpoints) if end.terminating and _of(end, family)]
    return len(up), len(remaining) + len(still)


def _of(endpoint: Endpoint, family: int) -> bool:
    return endpoint.address.version == family


def _kept_against_request(view: View, service: ServiceFacts) -> Refused | None:
    if isinstance(service.wanted, Refused):
        return service.wanted
    for allocation in view.allocations:
        wanted = service.wanted.get(allocation.address.version)
        if wanted is not None and wanted != allocation.address:
            detail = (
                f"{wanted} was requested but the Service holds {allocation.address}: "
                "delete and create the Service to move it"
            )
            return Refused(Reason.ADDRESS_KEPT, detail)
    return None
