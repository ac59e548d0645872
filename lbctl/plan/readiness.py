"""Who has acknowledged a decision, and what that means for conditions, state and status. Pure.

Design decision 5: the Service's status is written when traffic works: a node that owns a usable
member has programmed the decision and the slices it stands on, and so has the fabric. Where one of
those does not exist at all, nobody is waited for, and the condition says what is missing.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from lbctl.model.reasons import MEANING, Condition, ConditionType, Reason, Refused
from lbctl.model.virtual_service import VirtualService
from lbctl.plan import policies
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate.endpoints import Endpoint, usable, weighed
from lbctl.translate.failing import FailingMember, without_failing
from lbctl.translate.service import ServiceFacts
from lbctl.translate.serving_nodes import AgentState

EMPTY = (
    Reason.NO_ENDPOINTS,
    Reason.NO_READY_ENDPOINTS,
    Reason.NO_BACKEND_PORT,
    Reason.NO_NODE_PORT,
    Reason.ENDPOINTS_WITHOUT_NODE,
    Reason.ENDPOINTS_ARE_NAMES,
    Reason.PROTOCOL_NOT_SERVED,
    Reason.TRAFFIC_OFF,
    Reason.WEIGHTS_ZERO,
)


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far a decision has come on its way to traffic."""

    dataplane: Reason
    fabric: Reason

    @property
    def waiting(self) -> bool:
        """Tell whether an agent's acknowledgement would change anything."""
        return any(reason in _WAITING for reason in (self.dataplane, self.fabric))

    @property
    def showable(self) -> bool:
        """Tell whether the addresses may stand in the Service's status."""
        return not self.waiting

    @property
    def state(self) -> tuple[str, str]:
        """Return the state of the virtual service and, unless it is Up, the reason."""
        for reason in (self.dataplane, self.fabric):
            if reason is not Reason.PROGRAMMED:
                return ("Pending" if reason in _WAITING else "Down", reason.value)
        return ("Up", "")


ON_ITS_WAY = (Reason.WAITING_FOR_AGENT, Reason.WAITING_FOR_ROUTER)
"""An acknowledgement is due; what was shown before still holds."""
_WAITING = (*ON_ITS_WAY, Reason.PROGRAMMING_FAILED)


def readiness(view: View, decision: ObservedDecision) -> Readiness:
    """Return how far a decision that stands in the API has come."""
    empty = without_members(view, decision.virtual_service)
    if empty is not None:
        return empty
    owners = owners_of(view, members_of(view, decision.virtual_service))
    return Readiness(_dataplane(view, decision, owners), _fabric(view, decision))


def owners_of(view: View, members: Iterable[Endpoint]) -> frozenset[str]:
    """Return the nodes that serve members: their own, and for remote ones every relay."""
    return frozenset(
        node
        for member in members
        for node in (view.crew.relays if member.remote is not None else (member.node,))
    )


def without_members(view: View, wanted: VirtualService) -> Readiness | None:
    """Return the readiness of a decision that nobody has to acknowledge; None where members are."""
    empty = _why_empty(view, wanted)
    if empty is None:
        return None
    return Readiness(empty, Reason.NO_FABRIC if not view.fabric else empty)


def members_of(view: View, wanted: VirtualService) -> tuple[Endpoint, ...]:
    """Return the usable endpoints that have a port behind any listener; none without traffic."""
    if not wanted.policy.enabled:
        return ()
    excluded = frozenset(agent.node for agent in view.agents if agent.excluded)
    return tuple(
        endpoint
        for endpoint in usable(weighed(view.endpoints, wanted.policy.weights), excluded)
        if any(endpoint.port_for(listener) is not None for listener in wanted.listeners)
    )


def failures_of(view: View, wanted: VirtualService) -> dict[Endpoint, str]:
    """Return the members that fail their health monitor on a port, and why; agents alone know.

    The word of an agent that is gone counts no more: nobody asks its members.
    """
    told = {member.on(node): member.reason for node, member in _failing(view, wanted)}
    found: dict[Endpoint, str] = {}
    for member in members_of(view, wanted) if told else ():
        for port in member.ports:
            why = told.get((member.node, member.address, *port[1:]))
            if why is not None:
                found.setdefault(member, why)
    return found


def working(view: View, wanted: VirtualService) -> tuple[Endpoint, ...]:
    """Return the endpoints of which those that nodes call failing count as not ready."""
    failing = frozenset(member.on(node) for node, member in _failing(view, wanted))
    return without_failing(view.endpoints, failing)


def _failing(view: View, wanted: VirtualService) -> list[tuple[str, FailingMember]]:
    return [
        (agent.node, member)
        for agent in view.agents
        if agent.live
        for member in agent.failing
        if member.key == wanted.key
    ]


def withdrawn_everywhere(view: View, decision: ObservedDecision) -> bool:
    """Tell whether every live agent has removed a decision; a dead one's word is waived."""
    return all(
        agent.has(decision.virtual_service.key, decision.spec_version, 0)
        for agent in view.agents
        if agent.live
    )


def dataplane_conditions(view: View, service: ServiceFacts, found: Readiness) -> list[Condition]:
    """Return the conditions about nodes and fabric.

    While an acknowledgement of a change is on its way, what was true stays true: a blip is no news.
    """
    dataplane = _condition(ConditionType.DATAPLANE_READY, found.dataplane, service)
    return [
        _with_policy(_with_faults(dataplane, service), view, service),
        _condition(ConditionType.FABRIC_PROGRAMMED, found.fabric, service),
    ]


def refused_policy(view: View, service: ServiceFacts) -> Condition | None:
    """Return the condition of a Service whose policy can't be followed; None: it can."""
    rules = policies.ruling(service, view.policies).rules
    if not isinstance(rules, Refused):
        return None
    stays = "what was decided before stays" if view.decision else "the Service is not announced"
    message = f"{rules.detail}; until that is mended {stays}"
    return Condition(ConditionType.DATAPLANE_READY, False, rules.reason, message)


def _with_policy(condition: Condition, view: View, service: ServiceFacts) -> Condition:
    """Return a condition that also tells what of the Service's policy is not done."""
    refused = refused_policy(view, service)
    if refused is not None:
        return refused
    rules = policies.ruling(service, view.policies).rules
    lacks = policies.told(policies.unsupported(rules, view.agents))
    if not lacks:
        return condition
    return dataclasses.replace(condition, message=f"{condition.message}; {lacks}")


def _with_faults(condition: Condition, service: ServiceFacts) -> Condition:
    """Return a condition that also tells what of the Service is not served although the rest is."""
    if service.range_faults:
        faults = "; ".join(service.range_faults)
        return Condition(condition.type, False, Reason.SOURCE_RANGE_MALFORMED, faults)
    left_out = [f"{port.port}/{port.protocol}" for port in service.ports if not port.carried]
    if not left_out or condition.reason is Reason.PROTOCOL_NOT_SERVED:
        return condition
    why = f"not served: {', '.join(left_out)} ({MEANING[Reason.PROTOCOL_NOT_SERVED]})"
    return dataclasses.replace(condition, message=f"{condition.message}; {why}")


def _condition(kind: ConditionType, reason: Reason, service: ServiceFacts) -> Condition:
    shown = next((entry for entry in service.conditions if entry.type == kind.value), None)
    if reason in ON_ITS_WAY and shown is not None and shown.true:
        reason = Reason.PROGRAMMED
    return Condition(kind, reason is Reason.PROGRAMMED, reason, MEANING[reason])


def _why_empty(view: View, wanted: VirtualService) -> Reason | None:
    if members_of(view, wanted):
        return None
    if not wanted.policy.enabled:
        return Reason.TRAFFIC_OFF
    if not wanted.listeners:
        return Reason.PROTOCOL_NOT_SERVED
    if not view.endpoints:
        return Reason.ENDPOINTS_ARE_NAMES if view.named_endpoints else Reason.NO_ENDPOINTS
    if not any(end.node or end.remote is not None for end in view.endpoints):
        return Reason.ENDPOINTS_WITHOUT_NODE
    return _why_unreached(view, wanted)


def _why_unreached(view: View, wanted: VirtualService) -> Reason:
    """Return why no endpoint is a member although some are where somebody could serve them."""
    found = usable(weighed(view.endpoints, wanted.policy.weights))
    if not found:
        return Reason.WEIGHTS_ZERO if usable(view.endpoints) else Reason.NO_READY_ENDPOINTS
    closed = not any(listener.node_port for listener in wanted.listeners)
    if closed and any(end.remote is not None and end.node for end in found):
        return Reason.NO_NODE_PORT
    return Reason.NO_BACKEND_PORT


def _dataplane(view: View, decision: ObservedDecision, owners: frozenset[str]) -> Reason:
    agents = [
        agent
        for agent in view.agents
        if agent.live and agent.role == "node" and agent.node in owners
    ]
    return _acknowledged(agents, view, decision, (Reason.NO_AGENT, Reason.WAITING_FOR_AGENT))


def _fabric(view: View, decision: ObservedDecision) -> Reason:
    if not view.fabric:
        return Reason.NO_FABRIC
    routers = [agent for agent in view.agents if agent.live and agent.role == "router"]
    return _acknowledged(routers, view, decision, (Reason.NO_ROUTER, Reason.WAITING_FOR_ROUTER))


def _acknowledged(
    agents: Iterable[AgentState],
    view: View,
    decision: ObservedDecision,
    otherwise: tuple[Reason, Reason],
) -> Reason:
    key = decision.virtual_service.key
    asked = list(agents)
    none_there, waiting = otherwise
    if not asked:
        return none_there
    if any(agent.has(key, decision.spec_version, view.slices_version) for agent in asked):
        return Reason.PROGRAMMED
    if all(_failed(agent, key) for agent in asked):
        return Reason.PROGRAMMING_FAILED
    return waiting


def _failed(agent: AgentState, key: str) -> bool:
    # NoLeg is a router's way to wait for a node: not a failure.
    return key in agent.exceptions and not agent.exceptions[key].startswith("NoLeg")
