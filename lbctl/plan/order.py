"""What to do next for one Service: the sequences of birth, change and withdrawal. Pure.

Each pass returns the steps that may be done now, all independent of each other; when they are
done, the next pass sees their effect and returns the next ones. So a crash between any two steps
is just a later pass. Up: IPAllocations, finalizer, L4VirtualService, acknowledgements, status;
where there is no member, nobody has to acknowledge it and the status comes with the finalizer.
Down: names, their TTL, withdrawal, acknowledgements, L4VirtualService, IPAllocations, finalizer.
"""

import dataclasses
import datetime
from collections.abc import Iterable

from lbctl.ipam import release
from lbctl.ipam.allocator import Grant
from lbctl.model.allocation import Allocation
from lbctl.model.reasons import Condition, Refused
from lbctl.model.virtual_service import (
    Address,
    Phase,
    VirtualService,
)
from lbctl.plan import conditions, decision, readiness, steps, terms, times, vips
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
    plan = _plan(view, now)
    ends = [(entry, end) for entry in view.reserved if (end := _reservation_end(view, entry))]
    wake = min((end for _, end in ends if end > now), default=None)
    over = tuple(steps.ReleaseAllocation(entry) for entry, end in ends if end <= now)
    return Plan(plan.steps or over, _earlier(plan.wake_at, wake), plan.waiting)


def _plan(view: View, now: datetime.datetime) -> Plan:
    service = view.service
    if view.decision is not None and not _same_service(view.decision, service):
        return _withdraw(view, view.decision, now)
    if service is None or not service.ours or service.deleting:
        return _clean_up(view, service, now)
    orphans = tuple(
        _give_back(view, entry, gone, now)
        for entry in view.allocations
        if (gone := [uid for uid in _uids(view, entry) if uid != service.uid])
    )
    if orphans:
        return Plan(orphans)
    return _serve(view, service, now)


def _same_service(found: ObservedDecision, service: ServiceFacts | None) -> bool:
    """Tell whether the decision is about a Service that exists and is to be served."""
    if service is None or not service.ours or service.deleting:
        return False
    return found.virtual_service.service.uid == service.uid


# --- up -----------------------------------------------------------------------------------------


def _serve(view: View, service: ServiceFacts, now: datetime.datetime) -> Plan:
    lacks = _lacks_a_family(view, service)
    claims = () if lacks and _refuses(view) else _claims(view)
    if claims:
        return Plan(claims)
    if view.decision is None and (lacks or not _held_families(view, service)):
        return _refuse(view, service, now)
    entries = terms.widened(view, service)
    if entries:
        return Plan(entries)
    wanted = decision.desired_decision(view, service, now)
    found = view.decision
    refused = readiness.refused_policy(view, service)
    if found is None and refused is not None:
        return _keep_closed(view, service, _beyond(view, wanted), refused, now)
    if not service.finalized:
        return Plan((_finalizing(view, service, wanted),))
    if found is None:
        return _decide(view, service, wanted)
    if found.virtual_service != wanted:
        return Plan((steps.WriteDecision(wanted, found.resource_version),))
    return _report(view, service, found, now)


def _decide(view: View, service: ServiceFacts, wanted: VirtualService) -> Plan:
    """Make the first decision; before it, nothing is shown of a family that was given up."""
    kept = tuple(entry for entry in service.ingress if entry.version in service.families)
    if kept != service.ingress:
        told = (conditions.address_condition(view, service),)
        return Plan(_status_step(service, kept, told))
    awaited = not service.ingress or _idle(view, wanted) is None
    return Plan((steps.WriteDecision(wanted, "", awaited=awaited),))


def _refuse(view: View, service: ServiceFacts, now: datetime.datetime) -> Plan:
    """Say why there is no address; what is held of families that it gave up goes back."""
    left = [entry for entry in view.allocations if entry.address.version not in service.families]
    if left:
        return Plan(tuple(_give_back(view, entry, _uids(view, entry), now) for entry in left))
    return Plan(_status_step(service, (), (conditions.address_condition(view, service),)))


def _keep_closed(
    view: View,
    service: ServiceFacts,
    surplus: Iterable[Allocation],
    refused: Condition,
    now: datetime.datetime,
) -> Plan:
    """Say why a Service with an address is not announced: its policy never was right.

    It holds its address without the finalizer, as before a decision is made: an IPAllocation tells
    whose it is.
    """
    left = tuple(_give_back(view, entry, _uids(view, entry), now) for entry in surplus)
    if left:
        return Plan(left)
    told = (conditions.address_condition(view, service), refused)
    return Plan(_status_step(service, service.ingress, told))


def _held_families(view: View, service: ServiceFacts) -> set[int]:
    held: set[int] = {entry.address.version for entry in view.allocations}
    return held & {*service.families}


def _lacks_a_family(view: View, service: ServiceFacts) -> bool:
    """Tell whether a Service is to get both families or none, shows none and has not both yet.

    What a Service shows already it keeps, also when it comes to require more.
    """
    if not service.requires_both or view.decision is not None or service.ingress:
        return False
    return _held_families(view, service) != {*service.families}


def _refuses(view: View) -> bool:
    return any(isinstance(offer, Refused) for offer in view.offers.values())


def _claims(view: View) -> tuple[steps.Step, ...]:
    """Return the IPAllocations that are missing.

    They come before the finalizer, because an IPAllocation tells whose it is and a finalizer does
    not: a Service that stops being ours between the two must not keep a finalizer that nobody
    knows as his.
    """
    return tuple(
        steps.CreateAllocation(offer.allocation)
        for offer in view.offers.values()
        if isinstance(offer, Grant)
    )


def _finalizing(view: View, service: ServiceFacts, wanted: VirtualService) -> Step:
    """Return the write that puts the finalizer on: with the address where nobody is waited for."""
    empty = _idle(view, wanted)
    if view.decision is not None or empty is None:
        return steps.AddFinalizer(service)
    shown = conditions.ingress_of(wanted, service)
    return steps.WriteServiceStatus(service, shown, _conditions(view, service, wanted, empty))


def _idle(view: View, wanted: VirtualService) -> readiness.Readiness | None:
    """Return the readiness of a decision that gives neither agents nor DNS anything to do."""
    if view.settling or decision.is_published(wanted):
        return None
    return readiness.without_members(view, wanted)


def _report(
    view: View, service: ServiceFacts, found: ObservedDecision, now: datetime.datetime
) -> Plan:
    ready = readiness.readiness(view, found)
    shown = conditions.ingress_of(found.virtual_service, service)
    todo: list[steps.Step] = list(_surplus(view, service, found, now))
    # What is waited for is told, too, while the address is held back.
    ingress = shown if ready.showable and not view.settling else service.ingress
    told = _conditions(view, service, found.virtual_service, ready)
    todo += _status_step(service, ingress, told)
    status = conditions.decision_status(view, found, ready)
    if status != found.status:
        todo.append(steps.WriteDecisionStatus(found.virtual_service.key, status))
    wake = None
    for end in (decision.grace_ends(view), vips.drain_ends(view)):
        if end is not None and end > now:
            wake = _earlier(wake, end)
    waits = ready.waiting or view.settling or _waits_for_all(view, service, found)
    return Plan(tuple(todo), wake_at=wake, waiting=waits)


def _conditions(
    view: View, service: ServiceFacts, wanted: VirtualService, found: readiness.Readiness
) -> tuple[Condition, ...]:
    return (
        conditions.address_condition(view, service),
        *readiness.dataplane_conditions(view, service, found),
        conditions.name_condition(view, service, wanted, found),
    )


def _surplus(
    view: View, service: ServiceFacts, found: ObservedDecision, now: datetime.datetime
) -> tuple[steps.Step, ...]:
    """Return what is given back of addresses, or of ports of them, once nobody serves it."""
    if not readiness.withdrawn_everywhere(view, found):
        return ()
    left = _undecided(view, found)
    if left:
        return tuple(_give_back(view, entry, _uids(view, entry), now) for entry in left)
    return terms.settled(view, service)


def _waits_for_all(view: View, service: ServiceFacts, found: ObservedDecision) -> bool:
    """Tell whether something is given back as soon as the last agent has acknowledged."""
    if readiness.withdrawn_everywhere(view, found):
        return False
    return bool(_undecided(view, found) or terms.settled(view, service))


def _undecided(view: View, found: ObservedDecision) -> tuple[Allocation, ...]:
    """Return the addresses that the decision no longer has, or never had."""
    return _beyond(view, found.virtual_service)


def _beyond(view: View, decided: VirtualService) -> tuple[Allocation, ...]:
    kept = {vip.address for vip in decided.vips}
    return tuple(entry for entry in view.allocations if entry.address not in kept)


def _uids(view: View, entry: Allocation) -> list[str]:
    """Return under which UIDs this namespace and name holds an address."""
    return [
        holder.service.uid
        for holder in entry.holders
        if f"{holder.service.namespace}/{holder.service.name}" == view.key
    ]


def _give_back(
    view: View, entry: Allocation, uids: Iterable[str], now: datetime.datetime
) -> steps.Step:
    """Return the step by which holders leave an address."""
    kept: Allocation | None = entry
    for uid in uids:
        if kept is not None:
            delay_s = view.reuse_delays.get(entry.pool, 0)
            kept = release.without(kept, uid, times.render(now), delay_s)
    return steps.ReleaseAllocation(entry, kept)


def _reservation_end(view: View, entry: Allocation) -> datetime.datetime | None:
    return release.reservation_ends(entry, view.reuse_delays.get(entry.pool, 0))


def _earlier(
    one: datetime.datetime | None, other: datetime.datetime | None
) -> datetime.datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _status_step(
    service: ServiceFacts,
    ingress: tuple[Address, ...],
    wanted: tuple[Condition, ...],
) -> tuple[steps.Step, ...]:
    shown = {(entry.type, entry.true, entry.reason, entry.message) for entry in service.conditions}
    asked = {(entry.type.value, entry.true, entry.reason.value, entry.message) for entry in wanted}
    errors_shown = not ingress or service.shown_port_errors == service.port_errors
    if service.ingress == ingress and errors_shown and shown == asked:
        return ()
    return (steps.WriteServiceStatus(service, ingress, wanted),)


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
            dataclasses.replace(name, published=False, no_data=False)
            for name in found.virtual_service.names
        ),
    )
    return Plan((steps.WriteDecision(wanted, found.resource_version),))


def _clean_up(view: View, service: ServiceFacts | None, now: datetime.datetime) -> Plan:
    """Give back what is held for a Service that is gone, going or no longer ours.

    The finalizer goes after the addresses, unless they are all that tells it is ours (the type
    changed before any status was written); the marks in the status go last for the same reason.
    """
    releases = Plan(
        tuple(_give_back(view, entry, _uids(view, entry), now) for entry in view.allocations)
    )
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
