"""Who has a part in one Service, in one line each: endpoints, agents, Fabrics. Pure."""

import collections
from collections.abc import Iterable, Mapping, Sequence, Set

from lbctl.inspection.pulse import Pulse
from lbctl.model.policy import weight_of
from lbctl.model.virtual_service import VirtualService
from lbctl.plan import readiness, times
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate.endpoints import Endpoint
from lbctl.translate.serving_nodes import AgentState

MOST = 20
"""Lines per stage; the rest is counted."""
YES = "yes"
FAILING = "Failing"


def shortened(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the first lines, and how many more there are."""
    if len(lines) <= MOST:
        return tuple(lines)
    return (*lines[:MOST], f"... and {len(lines) - MOST} more")


def usability(view: View, wanted: VirtualService) -> Mapping[Endpoint, str]:
    """Return for each endpoint `yes`, or why it gets no new connection."""
    members = frozenset(readiness.members_of(view, wanted))
    excluded = {agent.node for agent in view.agents if agent.excluded}
    serving = {end.address for end in readiness.working(view, wanted) if end.ready}
    failing = {end for end in readiness.failures_of(view, wanted) if end.address not in serving}
    return {
        end: FAILING
        if end in failing
        else (f"{YES}, terminating" if end.terminating else YES)
        if end in members
        else _why_not(end, wanted, excluded)
        for end in view.endpoints
    }


def health(view: View, wanted: VirtualService) -> Mapping[Endpoint, str]:
    """Return what its health monitor says of each member: `up`, or why it fails.

    Nothing where nobody asks: there is no monitor, or no agent that lives.
    """
    if wanted.policy.monitor is None:
        return {}
    failures = readiness.failures_of(view, wanted)
    live = {agent.node for agent in view.agents if agent.live}
    members = readiness.members_of(view, wanted)
    return {end: failures.get(end, "up") for end in members if end.node in live}


def _why_not(endpoint: Endpoint, wanted: VirtualService, excluded: Set[str]) -> str:
    if not endpoint.node and endpoint.remote is None:
        return "NoNode"
    if endpoint.terminating:
        return "Terminating"
    if not endpoint.ready:
        return "NotReady"
    closed = not any(listener.node_port for listener in wanted.listeners)
    if endpoint.remote is not None and endpoint.node and closed:
        return "NoNodePort"
    if all(endpoint.port_for(listener) is None for listener in wanted.listeners):
        return "NoBackendPort"
    if not weight_of(endpoint.address, endpoint.node, wanted.policy.weights):
        return "WeightZero"
    return "NodeExcluded" if endpoint.node in excluded else "NotChosen"


def endpoint_lines(view: View, wanted: VirtualService) -> tuple[str, ...]:
    """Return a line for each endpoint: address, node, whether it is usable, why it fails."""
    failures = readiness.failures_of(view, wanted)
    return shortened(
        [
            f"{end.address}{f' on {end.node}' if end.node else ''}: {_TOLD[why]}"
            f"{_way(view, end, wanted) if why.startswith(YES) else ''}"
            f"{f' ({failures[end]})' if end in failures else ''}"
            for end, why in usability(view, wanted).items()
        ]
    )


def _way(view: View, endpoint: Endpoint, wanted: VirtualService) -> str:
    if endpoint.remote is None:
        return ""
    relays = ", ".join(shortened(view.crew.relays))
    return f", {way_to(endpoint, wanted)} from {relays}"


def way_to(endpoint: Endpoint, wanted: VirtualService) -> str:
    """Return how relays reach a remote endpoint, in a few words."""
    if not endpoint.node:
        return "at its own address"
    ports = ",".join(str(listener.node_port) for listener in wanted.listeners)
    return f"by {endpoint.node}:{ports}"


_TOLD = {
    YES: "usable",
    f"{YES}, terminating": "usable: terminating, and no other is ready",
    FAILING: "ready, but it fails its health monitor and others do not",
    "NotReady": "not ready",
    "Terminating": "terminating",
    "NoBackendPort": "ready, but without the port",
    "NoNodePort": "ready, but its node has no agent and the Service no node port",
    "NoNode": "on no node, so nobody takes connections to it",
    "WeightZero": "ready, but its weight is 0",
    "NodeExcluded": "ready, but its node is to get no new connections",
    "NotChosen": "not chosen",
}


def node_lines(view: View, decision: ObservedDecision, pulse: Pulse) -> tuple[str, ...]:
    """Return a line for each node that has a usable member: what its agent says."""
    members = readiness.members_of(view, decision.virtual_service)
    counts = collections.Counter(
        node for member in members for node in readiness.owners_of(view, [member])
    )
    agents = {agent.node: agent for agent in view.agents if agent.role == "node"}
    return shortened(
        [
            f"{_node(node)}: {_counted(count, 'member')}, "
            f"{agent_word(agents.get(node), view, decision, pulse)}"
            for node, count in sorted(counts.items())
        ]
    )


def router_lines(view: View, decision: ObservedDecision, pulse: Pulse) -> tuple[str, ...]:
    """Return a line for each router: what its agent says."""
    return shortened(
        [
            f"{agent.node}: {agent_word(agent, view, decision, pulse)}"
            for agent in sorted(view.agents, key=lambda agent: agent.node)
            if agent.role == "router"
        ]
    )


def agent_word(
    agent: AgentState | None, view: View, decision: ObservedDecision, pulse: Pulse
) -> str:
    """Return how far an agent has come with one decision, in a few words."""
    if agent is None:
        return "no agent there has ever reported"
    if not agent.live:
        return f"agent lost{_last_seen(agent.node, pulse)}"
    key = decision.virtual_service.key
    if key in agent.exceptions:
        return f"not programmed: {agent.exceptions[key]}"
    if agent.has(key, decision.spec_version, view.slices_version):
        return "programmed"
    return _behind(agent, decision.spec_version, view.slices_version)


def _behind(agent: AgentState, decision: int, slices: int) -> str:
    late = [
        f"{kind} {has} of {wanted}"
        for kind, has, wanted in (
            ("decisions", agent.decisions, decision),
            ("slices", agent.slices, slices),
        )
        if has < wanted
    ]
    return f"behind: {', '.join(late)}"


def leaving_lines(view: View, decision: ObservedDecision, pulse: Pulse) -> tuple[str, ...]:
    """Return a line for each agent that has not removed a decision yet."""
    key, version = decision.virtual_service.key, decision.spec_version
    late = [agent for agent in view.agents if agent.live and not agent.has(key, version, 0)]
    return shortened([f"{agent.node}: {_removal(agent, key, version)}" for agent in _sorted(late)])


def _removal(agent: AgentState, key: str, version: int) -> str:
    if key in agent.exceptions:
        return f"not removed: {agent.exceptions[key]}"
    return f"not removed yet: decisions {agent.decisions} of {version}"


def _sorted(agents: Iterable[AgentState]) -> list[AgentState]:
    return sorted(agents, key=lambda agent: agent.node)


def _last_seen(node: str, pulse: Pulse) -> str:
    beat = pulse.agent(node)
    if beat is None or beat.renewed is None:
        return ": it has no Lease"
    return f": last seen {times.render_seconds(beat.renewed)}"


def _node(name: str) -> str:
    return name or "no node"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
