"""Members on nodes without an agent: who is waited for, and what is told where nobody can."""

import dataclasses
from typing import Any

import pytest

import builders
from controller_builders import rewritten, serving
from lbctl.model.reasons import Reason
from lbctl.plan import decision, readiness
from lbctl.plan.view import View
from lbctl.translate import remote

FAR = builders.endpoint_slice(builders.endpoint("10.244.9.1", "far"))
NOWHERE = builders.endpoint_slice(builders.endpoint("203.0.113.9", ""))
PORTS = [{"name": "", "port": 80, "nodePort": 30080}]
LATE = {"decisions": 29}


def relay(name: str = "edge-1", **overrides: Any) -> Any:
    return builders.agent(name, relay=True, **overrides)


def relayed(slices: Any, *agents: Any, node_port: int = 30080) -> View:
    """Return the view of a Service that was decided while these agents were there."""
    crew = remote.crew_of({agent.node: agent for agent in agents if agent.role == "node"})
    view = serving(slices=(slices,), agents=agents)
    assert view.decision is not None
    marked = remote.marked(view.endpoints, crew)
    listeners = tuple(
        dataclasses.replace(entry, node_port=node_port)
        for entry in view.decision.virtual_service.listeners
    )
    return dataclasses.replace(rewritten(view, listeners=listeners), crew=crew, endpoints=marked)


def dataplane(view: View) -> Reason:
    assert view.decision is not None
    return readiness.readiness(view, view.decision).dataplane


@pytest.mark.parametrize("slices", [FAR, NOWHERE], ids=["another node", "no node"])
@pytest.mark.parametrize(
    ("agents", "reason"),
    [
        ((relay(),), Reason.PROGRAMMED),
        ((relay(**LATE),), Reason.WAITING_FOR_AGENT),
        ((relay(**LATE), relay("edge-2")), Reason.PROGRAMMED),
        ((relay(live=False),), Reason.NO_AGENT),
        ((relay(**LATE), builders.agent("node-1")), Reason.WAITING_FOR_AGENT),
    ],
    ids=["done", "late", "one done", "dead", "others do not count"],
)
def test_relays_are_waited_for(slices: Any, agents: tuple[Any, ...], reason: Reason) -> None:
    assert dataplane(relayed(slices, *agents)) is reason


@pytest.mark.parametrize(
    ("slices", "reason"),
    [(FAR, Reason.NO_AGENT), (NOWHERE, Reason.ENDPOINTS_WITHOUT_NODE)],
    ids=["another node", "no node"],
)
def test_without_a_relay_nobody_serves_them(slices: Any, reason: Reason) -> None:
    assert dataplane(relayed(slices, builders.agent("node-1"))) is reason


def test_a_service_without_node_ports_is_told_so() -> None:
    view = relayed(FAR, relay(), node_port=0)
    assert dataplane(view) is Reason.NO_NODE_PORT
    assert view.decision is not None
    assert readiness.readiness(view, view.decision).showable


def test_what_is_on_no_node_needs_no_node_port() -> None:
    assert dataplane(relayed(NOWHERE, relay(), node_port=0)) is Reason.PROGRAMMED


def test_a_member_counts_once_however_many_relays_serve_it() -> None:
    view = relayed(FAR, relay(), relay("edge-2"))
    assert view.decision is not None
    assert len(readiness.members_of(view, view.decision.virtual_service)) == 1


@pytest.mark.parametrize(("agents", "told"), [((relay(),), 30080), ((builders.agent(),), 0)])
def test_a_decision_tells_node_ports_where_somebody_asks_there(
    agents: tuple[Any, ...], told: int
) -> None:
    crew = remote.crew_of({agent.node: agent for agent in agents})
    view = builders.view(builders.service(ports=PORTS), agents=agents, crew=crew)
    assert view.service is not None
    (listener,) = decision.desired_decision(view, view.service, builders.NOW).listeners
    assert listener.node_port == told
