"""What to do next for one Service: the sequences of birth, change and withdrawal. Pure.

Each pass returns the steps that may be done now, all independent of each other; when they are
done, the next pass sees their effect and returns the next ones. So a crash between any two steps
is just a later pass. Up: IPAllocations, finalizer, L4VirtualService, acknowledgements, status.
Down: names, their TTL, withdrawal, acknowledgements, L4VirtualService, IPAllocations, finalizer.
"""

import dataclasses
import datetime

from lbctl.ipam.allocator import Grant
from lbctl.model.allocation import Allocation
from lbctl.model.reasons import Condition
from lbctl.model.virtual_service import (
    Address,
    NamePublication,
    Phase,
    ServiceRef,
    VirtualService,
)
from lbctl.plan import conditions, decision, readiness, steps, times
from lbctl.plan.steps import Step
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate.service import ServiceFacts


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and what to come back for."""

    steps: tuple[Step, ...] = ()
    wake_at: datetime.datetime | None = None
    """Look again then, if nothing else happened before."""
    waiting: bool = False
    """Look again when an agent acknowledges something."""


def plan_service(view: View, now: datetime.datetime) -> Plan:
    """Return the next steps for one Service; empty when all is as it should be."""
    service = view.service
    if view.decision is not None and not _same_service(view.decision, service):
        return _withdraw(view, view.decision, now)
    if service is None or not service.ours or service.deleting:
        return _clean_up(view, service)
    orphans = tuple(entry for entry in view.allocations if entry.holder.uid != service.uid)
    if orphans:
        return Plan(tuple(steps.ReleaseAllocation(entry) for entry in orphans))
    return _serve(view, service, now)


def _same_service(found: ObservedDecision, service: ServiceFacts | None) -> bool:
    """Tell whether the decision is about a Service that exists and is to be served."""
    if service is None or not service.ours or service.deleting:
        return False
    return found.virtual_service.service.uid == service.uid


# --- up -----------------------------------------------------------------------------------------


def _serve(view: View, service: ServiceFacts, now: datetime.datetime) -> Plan:
    claims = _claims(view, service)
    if claims:
        return Plan(claims)
    if not view.allocations:
        return Plan(_status_step(service, (), [conditions.address_condition(view, service)]))
    wanted = decision.desired_decision(view, service, now)
    found = view.decision
    if found is None or found.virtual_service != wanted:
        replaces = found.resource_version if found is not None else ""
        return Plan((steps.WriteDecision(wanted, replaces),))
    return _report(view, service, found, now)


def _claims(view: View, service: ServiceFacts) -> tuple[steps.Step, ...]:
    """Return the IPAllocations that are missing, else the finalizer if it is.

    In this order, because an IPAllocation tells whose it is and a finalizer does not: a Service
    that stops being ours between the two must not keep a finalizer that nobody knows as his.
    """
    holder = ServiceRef(service.namespace, service.name, service.uid)
    claims: tuple[steps.Step, ...] = tuple(
        steps.CreateAllocation(Allocation(offer.address, offer.pool, holder))
        for offer in view.offers.values()
        if isinstance(offer, Grant)
    )
    if not claims and view.allocations and not service.finalized:
        return (steps.AddFinalizer(service),)
    return claims


def _report(
    view: View, service: ServiceFacts, found: ObservedDecision, now: datetime.datetime
) -> Plan:
    ready = readiness.readiness(view, found)
    shown = conditions.ingress_of(found.virtual_service, service)
    todo: list[steps.Step] = list(_surplus(view, found))
    if ready.showable or service.ingress == shown:
        wanted = [
            conditions.address_condition(view, service),
            *readiness.dataplane_conditions(view, service, ready),
            conditions.name_condition(found.virtual_service, ready),
        ]
        todo += _status_step(service, shown, wanted)
    status = conditions.decision_status(view, found, ready)
    if status != found.status:
        todo.append(steps.WriteDecisionStatus(found.virtual_service.key, status))
    ends = decision.grace_ends(view)
    wake = ends if ends is not None and ends > now else None
    return Plan(tuple(todo), wake_at=wake, waiting=ready.waiting)


def _surplus(view: View, found: ObservedDecision) -> tuple[steps.Step, ...]:
    """Return the release of addresses that the decision no longer has, or never had."""
    if not readiness.withdrawn_everywhere(view, found):
        return ()
    decided = {vip.address for vip in found.virtual_service.vips}
    return tuple(
        steps.ReleaseAllocation(entry) for entry in view.allocations if entry.address not in decided
    )


def _status_step(
    service: ServiceFacts,
    ingress: tuple[Address, ...],
    wanted: list[Condition],
) -> tuple[steps.Step, ...]:
    shown = {(entry.type, entry.true, entry.reason, entry.message) for entry in service.conditions}
    asked = {(entry.type.value, entry.true, entry.reason.value, entry.message) for entry in wanted}
    if service.ingress == ingress and shown == asked:
        return ()
    return (steps.WriteServiceStatus(service, ingress, tuple(wanted)),)


# --- down ---------------------------------------------------------------------------------------


def _withdraw(view: View, found: ObservedDecision, now: datetime.datetime) -> Plan:
    phase = found.virtual_service.phase
    if phase is Phase.SERVING:
        return _begin_withdrawal(found, now)
    if phase is Phase.DRAINING:
        return _drain(found, now)
    if readiness.withdrawn_everywhere(view, found):
        return Plan((steps.DeleteDecision(found.virtual_service.key, found.uid),))
    return Plan(_leaving_step(found), waiting=True)


def _leaving_step(found: ObservedDecision) -> tuple[steps.Step, ...]:
    """Return the status that says what a decision on its way out is waiting for."""
    status = conditions.leaving_status(found)
    if status == found.status:
        return ()
    return (steps.WriteDecisionStatus(found.virtual_service.key, status),)


def _begin_withdrawal(found: ObservedDecision, now: datetime.datetime) -> Plan:
    """Take the names away; where none is out there, no TTL has to pass."""
    published = decision.is_published(found.virtual_service)
    phase = Phase.DRAINING if published else Phase.WITHDRAWN
    return _rephase(found, phase, times.render(now))


def _drain(found: ObservedDecision, now: datetime.datetime) -> Plan:
    current = found.virtual_service
    if not current.drain_start:  # only a hand-made edit leaves it out: the TTL starts now
        return _rephase(found, Phase.DRAINING, times.render(now))
    ttl_s = max((name.ttl_s for name in current.names), default=0)
    end = times.parse(current.drain_start) + datetime.timedelta(seconds=ttl_s)
    if now < end:
        return Plan(_leaving_step(found), wake_at=end)
    return _rephase(found, Phase.WITHDRAWN, current.drain_start)


def _rephase(found: ObservedDecision, phase: Phase, drain_start: str) -> Plan:
    wanted: VirtualService = dataclasses.replace(
        found.virtual_service,
        phase=phase,
        drain_start=drain_start,
        empty_since="",
        names=tuple(
            NamePublication(name.host, name.ttl_s, published=False)
            for name in found.virtual_service.names
        ),
    )
    return Plan((steps.WriteDecision(wanted, found.resource_version),))


def _clean_up(view: View, service: ServiceFacts | None) -> Plan:
    """Give back what is held for a Service that is gone, going or no longer ours.

    The finalizer goes after the addresses, unless they are all that tells it is ours (the type
    changed before any status was written); the marks in the status go last for the same reason.
    """
    releases = Plan(tuple(steps.ReleaseAllocation(entry) for entry in view.allocations))
    if service is None:
        return releases
    known = service.ours or service.touched
    if view.allocations and (known or not service.finalized):
        return releases
    if service.finalized and (known or view.allocations):
        return Plan((steps.RemoveFinalizer(service),))
    if service.touched and not service.deleting:
        return Plan((steps.ClearServiceStatus(service),))
    return Plan()
