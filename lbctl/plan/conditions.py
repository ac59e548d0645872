"""What the status of a Service and of its decision should say. Pure."""

import dataclasses

from lbctl.model.reasons import MEANING, Condition, ConditionType, Reason, Refused
from lbctl.model.virtual_service import Address, Phase, Vip, VirtualService
from lbctl.plan import readiness, terms, vips
from lbctl.plan.hostnames import WantedNames, wanted_names
from lbctl.plan.steps import DecisionStatus
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate.endpoints import Endpoint, usable, weighed
from lbctl.translate.service import ServiceFacts

MAX_STRANGE = 5
"""Unknown annotations that a message names."""


def address_condition(view: View, service: ServiceFacts) -> Condition:
    """Return whether each family has its address, and which; slips of the pen are named, too."""
    found = _address_condition(view, service)
    note = unknown_annotations(service)
    return dataclasses.replace(found, message=f"{found.message}; {note}") if note else found


def unknown_annotations(service: ServiceFacts) -> str:
    """Return what to tell of annotations that look like ours and mean nothing; empty: none."""
    if not service.strange:
        return ""
    return f"ignored, as lbctl knows no annotation {', '.join(service.strange[:MAX_STRANGE])}"


def _address_condition(view: View, service: ServiceFacts) -> Condition:
    kind = ConditionType.ADDRESS_ALLOCATED
    for family, offer in view.offers.items():
        if isinstance(offer, Refused):
            kept = [str(e.address) for e in view.allocations if e.address.version == family]
            stays = f"; the Service keeps {', '.join(kept)}" if kept else ""
            return Condition(kind, False, offer.reason, f"{offer.detail}{stays}")
    for refused in terms.refusals(view, service):
        return Condition(kind, False, refused.reason, refused.detail)
    held = ", ".join(f"{entry.address} from pool {entry.pool}" for entry in view.allocations)
    return Condition(kind, True, Reason.ALLOCATED, held)


def name_condition(
    view: View, service: ServiceFacts, decision: VirtualService, found: readiness.Readiness
) -> Condition:
    """Return whether DNS answers every name that the Service is to have, and which it answers."""
    kind = ConditionType.NAME_REGISTERED
    asked = wanted_names(view.naming, service, view.namespace_labels)
    told = name_faults(asked, decision)
    answered = ", ".join(name.host for name in decision.names if name.published)
    if told:
        listed = "; ".join(fault.detail for fault in told)
        stays = f"; answered: {answered}" if answered else ""
        return Condition(kind, False, told[0].reason, f"{listed}{stays}")
    if not decision.names:
        reason = Reason.NAMES_DECLINED if asked.declined else Reason.NO_SUBDOMAIN
        return Condition(kind, False, reason, MEANING[reason])
    if answered:
        return Condition(kind, True, Reason.PUBLISHED, answered)
    hosts = ", ".join(name.host for name in decision.names)
    empty = found.dataplane in readiness.EMPTY
    reason = found.dataplane if empty else Reason.NO_ENDPOINTS
    kept = ", the name stays without an address" if decision.names[0].no_data else ""
    return Condition(kind, False, reason, f"{hosts}: {MEANING[reason]}{kept}")


def name_faults(asked: WantedNames, decision: VirtualService) -> tuple[Refused, ...]:
    """Return what is the matter with single names: first those that others have."""
    taken = (
        Refused(Reason.HOSTNAME_TAKEN, f"{name.host} belongs to Service {name.taken_by}")
        for name in decision.names
        if name.taken_by
    )
    return (*taken, *asked.refused)


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
        vip=",".join(str(vip.address) for vip in vips.current(wanted)),
        host=_hosts_of(wanted),
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
        vip=",".join(str(vip.address) for vip in vips.current(decision.virtual_service)),
        host=_hosts_of(decision.virtual_service),
    )


def ingress_of(decision: VirtualService, service: ServiceFacts) -> tuple[Address, ...]:
    """Return the addresses for the Service's status, its primary family first."""

    def rank(vip: Vip) -> int:
        return service.families.index(vip.address.version)

    return tuple(vip.address for vip in sorted(vips.current(decision), key=rank))


def _hosts_of(decision: VirtualService) -> str:
    """Return the names of a decision that no other one has."""
    return ",".join(name.host for name in decision.names if not name.taken_by)


def _members(view: View, decision: ObservedDecision) -> tuple[int, int]:
    """Return members that are up, and all; a dual-stack pod counts once, by its primary address.

    Up is who is usable and passes its health monitor on every port.
    """
    family = view.service.families[0] if view.service else 4
    failing = readiness.failures_of(view, decision.virtual_service)
    members = readiness.members_of(view, decision.virtual_service)
    taking = usable(weighed(view.endpoints, decision.virtual_service.policy.weights))
    up = [end for end in members if _of(end, family) and end not in failing]
    remaining = [end for end in view.endpoints if not end.terminating and _of(end, family)]
    still = [end for end in taking if end.terminating and _of(end, family)]
    return len(up), len(remaining) + len(still)


def _of(endpoint: Endpoint, family: int) -> bool:
    return endpoint.address.version == family
