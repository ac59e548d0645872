"""Why does a Service not work? Each stage told by the functions that the controller decides with.

Pure. Nothing is judged here a second time: offers, conditions and readiness come from the
controller's view of the same objects, so this can't say anything else than the conditions.
"""

from dataclasses import dataclass

from lbctl.inspection import parties, policies
from lbctl.inspection.scene import Scene
from lbctl.inspection.stages import Explanation, Mark, Stage
from lbctl.ipam.allocator import Grant
from lbctl.kube.objects import Json, metadata, name_of
from lbctl.model.reasons import Condition, Reason
from lbctl.model.virtual_service import NamePublication, Phase, Vip, VipRole, VirtualService
from lbctl.plan import conditions, decision, readiness, times
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate.service import ServiceFacts


@dataclass(frozen=True, slots=True)
class _Case:
    """One Service and all that is known about it."""

    key: str
    obj: Json | None
    scene: Scene
    view: View

    @property
    def created(self) -> str:
        return str(metadata(self.obj or {}).get("creationTimestamp") or "")


def explain(scene: Scene, key: str) -> Explanation:
    """Return the stages of the Service `<namespace>/<name>`."""
    case = _Case(key, scene.known.services.get(key), scene, scene.view(key))
    service, found = case.view.service, case.view.decision
    first: tuple[Stage, ...] = (_service(case), _controller(case))
    if service is None or not service.ours or service.deleting:
        return Explanation(key, (*first, *_leaving(case)))
    if found is not None and found.virtual_service.service.uid != service.uid:
        return Explanation(key, (*first, *_leaving(case)))
    address = _address(case, service)
    policy = policies.stage_of(case.view, service)
    first = (*first, address, *filter(None, (policy,)))
    if found is None:
        return Explanation(key, (*first, _undecided(case, address, policy)))
    return _decided(case, service, found, first)


def _decided(
    case: _Case, service: ServiceFacts, found: ObservedDecision, first: tuple[Stage, ...]
) -> Explanation:
    ready = readiness.readiness(case.view, found)
    status = conditions.decision_status(case.view, found, ready)
    nodes, fabric = readiness.dataplane_conditions(case.view, service, ready)
    stages = (
        *first,
        _decision(case, service, found),
        _members(case, found, ready),
        _nodes(case, found, nodes),
        _fabric(case, found, fabric),
        _name(case, service, found, ready),
        _shown(case, found, ready),
        *_move(case, found),
    )
    served = service.ingress if status.state == "Up" else ()
    return Explanation(case.key, stages, tuple(str(address) for address in served))


# --- the Service and who decides about it ---------------------------------------------------------


def _service(case: _Case) -> Stage:
    service = case.view.service
    if service is None:
        left = case.view.decision is not None or bool(case.view.allocations)
        mark = Mark.NOT_REACHED if left else Mark.FAILING
        text = "it is deleted" if left else f"there is no Service {case.key}"
        return Stage("service", mark, text, Reason.NO_SUCH_SERVICE)
    if service.deleting:
        since = str(metadata(case.obj or {}).get("deletionTimestamp") or "")
        return Stage("service", Mark.NOT_REACHED, "it is being deleted", since=since)
    spec = (case.obj or {}).get("spec") or {}
    if not service.ours:
        reason, text = _why_not_ours(case, service, spec)
        return Stage("service", Mark.FAILING, text, reason)
    chosen = spec.get("loadBalancerClass")
    how = f"class {chosen}" if chosen else "without a class, and those are ours"
    return Stage("service", Mark.DONE, f"of type LoadBalancer, {how}")


def _why_not_ours(case: _Case, service: ServiceFacts, spec: Json) -> tuple[Reason, str]:
    rules = case.scene.rules
    if not service.load_balancer:
        return Reason.NOT_LOAD_BALANCER, f"spec.type is {spec.get('type', 'ClusterIP')}"
    if rules.stopped:
        return Reason.STOPPED, "LbctlSettings.deleteConfig is true"
    labels = metadata(case.scene.known.namespaces.get(service.namespace) or {}).get("labels") or {}
    if not rules.scope.selects(service.namespace, labels):
        return Reason.NAMESPACE_NOT_SERVED, f"namespace {service.namespace}"
    chosen = spec.get("loadBalancerClass")
    if chosen:
        ours = rules.ownership.load_balancer_class
        return Reason.CLASS_NOT_OURS, f"spec.loadBalancerClass is {chosen}, ours is {ours}"
    ours = "L4Settings.defaultLBController is false"
    return Reason.CLASS_NOT_OURS, f"spec.loadBalancerClass is not set, and {ours}"


def _controller(case: _Case) -> Stage:
    pulse = case.scene.pulse
    beat = pulse.controller
    if pulse.led and beat is not None:
        return Stage("controller", Mark.DONE, f"{beat.holder} leads")
    if beat is None or beat.renewed is None:
        text = f"there is no Lease {pulse.leader}"
        return Stage("controller", Mark.FAILING, text, Reason.NO_CONTROLLER)
    text = f"Lease {pulse.leader} is {'not renewed' if beat.holder else 'given up'}"
    since = times.render_seconds(beat.renewed)
    return Stage("controller", Mark.FAILING, text, Reason.NO_CONTROLLER, since)


# --- on the way up --------------------------------------------------------------------------------


def _address(case: _Case, service: ServiceFacts) -> Stage:
    told = conditions.address_condition(case.view, service)
    granted = [offer for offer in case.view.offers.values() if isinstance(offer, Grant)]
    since = _since(service, told)
    if not told.true:
        return Stage("address", Mark.FAILING, told.message, told.reason, since)
    orphans = [
        str(entry.address)
        for entry in case.view.allocations
        if entry.holders and not entry.is_held_by(service.uid)
    ]
    if orphans:
        text = f"{', '.join(orphans)} is still held for a Service of that name that is gone"
        return Stage("address", Mark.WAITING, text, Reason.WAITING_FOR_CONTROLLER, case.created)
    if granted:
        free = ", ".join(f"{offer.address} from pool {offer.pool}" for offer in granted)
        text = f"{free} is free, and not taken yet"
        return Stage("address", Mark.WAITING, text, Reason.WAITING_FOR_CONTROLLER, case.created)
    return Stage("address", Mark.DONE, told.message, told.reason, since)


def _undecided(case: _Case, address: Stage, policy: Stage | None) -> Stage:
    if address.open:
        return Stage("decision", Mark.NOT_REACHED, "comes when it has an address")
    if policy is not None and policy.open:
        return Stage("decision", Mark.NOT_REACHED, "comes when its policy can be followed")
    text = "there is no L4VirtualService yet"
    return Stage("decision", Mark.WAITING, text, Reason.WAITING_FOR_CONTROLLER, case.created)


def _decision(case: _Case, service: ServiceFacts, found: ObservedDecision) -> Stage:
    wanted = decision.desired_decision(case.view, service, case.scene.now)
    current = found.virtual_service
    text = f"L4VirtualService {current.key}, phase {current.phase.value}"
    if wanted != current:
        text += ": to be changed"
        return Stage("decision", Mark.WAITING, text, Reason.WAITING_FOR_CONTROLLER)
    ports = (f"{entry.protocol} {entry.port}, pool {entry.pool}" for entry in current.listeners)
    return Stage("decision", Mark.DONE, text, details=tuple(ports))


def _move(case: _Case, found: ObservedDecision) -> tuple[Stage, ...]:
    """Return the stage of an address that changes; nothing where none does."""
    moving = _moving(found.virtual_service)
    if moving is None:
        return ()
    if moving.role is VipRole.OUTGOING:
        # No reason of the table: names and status have moved, nothing is the matter.
        text = f"{moving.address} goes on for clients that know it still"
        return (Stage("move", Mark.WAITING, text, since=moving.drain_start),)
    text = f"{moving.address} leads when traffic to it works"
    return (Stage("move", Mark.WAITING, text, _awaited(case, found)),)


def _moving(decided: VirtualService) -> Vip | None:
    """Return an address on its way in, else one on its way out; None when all are there to stay."""
    order = (VipRole.INCOMING, VipRole.OUTGOING)
    moving = [vip for vip in decided.vips if vip.role in order]
    return min(moving, key=lambda vip: order.index(vip.role), default=None)


def _awaited(case: _Case, found: ObservedDecision) -> Reason:
    """Return who is waited for until an address is in."""
    ready = readiness.readiness(case.view, found)
    late = [why for why in (ready.dataplane, ready.fabric) if why is not Reason.PROGRAMMED]
    return late[0] if late else Reason.WAITING_FOR_CONTROLLER


def _members(case: _Case, found: ObservedDecision, ready: readiness.Readiness) -> Stage:
    lines = parties.endpoint_lines(case.view, found.virtual_service)
    up = len(readiness.members_of(case.view, found.virtual_service))
    text = f"{up} of {len(case.view.endpoints)} endpoints are usable"
    failing = len(readiness.failures_of(case.view, found.virtual_service))
    if failing:
        text += f", {failing} of them {'fail their' if failing > 1 else 'fails its'} health monitor"
    if ready.dataplane in readiness.EMPTY:
        text = text if case.view.endpoints else "there are no endpoints"
        if ready.dataplane is Reason.TRAFFIC_OFF:
            text = "nobody gets through"
        since = found.virtual_service.empty_since or _since_reason(case, ready.dataplane)
        return Stage("members", Mark.FAILING, text, ready.dataplane, since, lines)
    return Stage("members", Mark.DONE, text, details=lines)


def _nodes(case: _Case, found: ObservedDecision, told: Condition) -> Stage:
    if told.reason in readiness.EMPTY:
        return Stage("nodes", Mark.NOT_REACHED, "nothing to program without a usable member")
    lines = parties.node_lines(case.view, found, case.scene.pulse)
    return _programmed(case, "nodes", told, lines)


def _fabric(case: _Case, found: ObservedDecision, told: Condition) -> Stage:
    if told.reason in readiness.EMPTY:
        return Stage("fabric", Mark.NOT_REACHED, "nothing to program without a usable member")
    fabrics = [f"Fabric {name_of(obj)}" for obj in case.scene.known.fabrics]
    lines = (*sorted(fabrics), *parties.router_lines(case.view, found, case.scene.pulse))
    return _programmed(case, "fabric", told, lines)


def _programmed(case: _Case, name: str, told: Condition, lines: tuple[str, ...]) -> Stage:
    if told.true:
        mark = Mark.DONE
    else:
        mark = Mark.WAITING if told.reason in readiness.ON_ITS_WAY else Mark.FAILING
    since = _since_reason(case, told.reason)
    return Stage(name, mark, told.message, told.reason, since, lines)


def _name(
    case: _Case, service: ServiceFacts, found: ObservedDecision, ready: readiness.Readiness
) -> Stage:
    told = conditions.name_condition(case.view, service, found.virtual_service, ready)
    lines = tuple(_name_line(name) for name in found.virtual_service.names)
    since = _since(service, told)
    if told.true:
        return Stage("name", Mark.DONE, told.message, told.reason, since, lines)
    if told.reason in (Reason.NO_SUBDOMAIN, Reason.NAMES_DECLINED):
        return Stage("name", Mark.NOT_REACHED, told.message, told.reason, since)
    failing = ready.dataplane in readiness.EMPTY or told.reason is not Reason.NO_ENDPOINTS
    mark = Mark.FAILING if failing else Mark.WAITING
    return Stage("name", mark, told.message, told.reason, since, lines)


def _name_line(name: NamePublication) -> str:
    if name.taken_by:
        return f"{name.host}, answered for {name.taken_by}"
    return f"{name.host}, TTL {name.ttl_s} s{'' if name.published else ', not answered'}"


def _shown(case: _Case, found: ObservedDecision, ready: readiness.Readiness) -> Stage:
    service = case.view.service
    wanted = conditions.ingress_of(found.virtual_service, service) if service else ()
    text = ", ".join(str(address) for address in wanted)
    if service and service.ingress == wanted:
        return Stage("status", Mark.DONE, f"status.loadBalancer.ingress shows {text}")
    if not ready.showable:
        return Stage("status", Mark.NOT_REACHED, f"{text} is shown when traffic to it works")
    text = f"{text} is not shown yet"
    return Stage("status", Mark.WAITING, text, Reason.WAITING_FOR_CONTROLLER)


# --- on the way down ------------------------------------------------------------------------------


def _leaving(case: _Case) -> tuple[Stage, ...]:
    """Return what is left of a Service that is gone, going or not ours."""
    found, held = case.view.decision, case.view.allocations
    stages: list[Stage] = []
    if found is not None:
        stages.append(_withdrawal(case, found))
    if held:
        text = ", ".join(f"{entry.address} of pool {entry.pool}" for entry in held)
        if found is not None:
            stages.append(Stage("address", Mark.NOT_REACHED, f"{text} is given back after that"))
        else:
            reason = Reason.WAITING_FOR_CONTROLLER
            stages.append(Stage("address", Mark.WAITING, f"{text} is to be given back", reason))
    service = case.view.service
    if not stages and service is not None and service.finalized and service.deleting:
        text = "the finalizer is to be removed"
        stages.append(Stage("finalizer", Mark.WAITING, text, Reason.WAITING_FOR_CONTROLLER))
    return tuple(stages)


def _withdrawal(case: _Case, found: ObservedDecision) -> Stage:
    current = found.virtual_service
    text = f"L4VirtualService {current.key}, phase {current.phase.value}"
    since = current.drain_start
    match current.phase:
        case Phase.SERVING:
            reason = Reason.WAITING_FOR_CONTROLLER
            return Stage("withdrawal", Mark.WAITING, f"{text}: to be withdrawn", reason)
        case Phase.DRAINING:
            ttl_s = max((name.ttl_s for name in current.names), default=0)
            text = f"{text}: resolvers may keep its names for {ttl_s} s"
            return Stage("withdrawal", Mark.WAITING, text, Reason.DRAINING, since)
    lines = parties.leaving_lines(case.view, found, case.scene.pulse)
    return Stage("withdrawal", Mark.WAITING, text, Reason.WITHDRAWN, since, lines)


# --- since when -----------------------------------------------------------------------------------


def _since(service: ServiceFacts, told: Condition) -> str:
    """Return since when a condition is as it is; empty when it was not written yet."""
    for entry in service.conditions:
        if entry.type == told.type.value and entry.true == told.true:
            return entry.since
    return ""


def _since_reason(case: _Case, reason: Reason) -> str:
    """Return since when a condition has this reason; empty when none has."""
    service = case.view.service
    for entry in service.conditions if service else ():
        if entry.reason == reason.value:
            return entry.since
    return ""


def sentence(found: Explanation) -> str:
    """Return in one sentence what a Service waits for, and since when."""
    stage = found.waits_for
    at = f"{found.service} is served at {', '.join(found.served)}"
    if stage is None:
        return f"{at} and waits for nothing." if found.served else _nothing(found)
    verb = "waits at" if stage.mark is Mark.WAITING else "fails at"
    since = f" since {_seconds(stage.since)}" if stage.since else ""
    place = f"{verb} stage {stage.name}{since}: {_cause(stage)}."
    return f"{at}, but {place}" if found.served else f"{found.service} {place}"


def _nothing(found: Explanation) -> str:
    return f"{found.service} waits for nothing."


def _cause(stage: Stage) -> str:
    """Return the reason, what it is about, and its cure."""
    if stage.reason is None:
        return stage.text
    told = stage.text if stage.meaning in stage.text else f"{stage.text}; {stage.meaning}"
    return f"{stage.reason.value}: {told}"


def _seconds(moment: str) -> str:
    try:
        return times.render_seconds(times.parse(moment))
    except ValueError:
        return moment
