"""Who has acknowledged a decision, and what that means."""

from typing import Any

import pytest

import builders
from controller_builders import serving, shown
from lbctl.model.reasons import Condition, ConditionType, Reason
from lbctl.plan import readiness
from lbctl.plan.readiness import Readiness
from lbctl.plan.view import View

TWO = builders.endpoint_slice(
    builders.endpoint("10.244.1.1", "node-1"), builders.endpoint("10.244.2.1", "node-2")
)
SICK = builders.endpoint_slice(builders.endpoint("10.244.1.1", ready=False))
ROUTER = builders.agent("router", "router")
BEHIND = {"decisions": 29}
FAILED = {"exceptions": {"default.kuard": "Full: no space"}}
NO_LEG = {"exceptions": {"default.kuard": "NoLeg: node-1"}}


def found(view: View) -> Readiness:
    assert view.decision is not None
    return readiness.readiness(view, view.decision)


def test_without_endpoints_the_reason_says_so() -> None:
    assert found(serving()).dataplane is Reason.NO_ENDPOINTS


def test_without_a_ready_endpoint_the_reason_says_so() -> None:
    assert found(serving(slices=(SICK,))).dataplane is Reason.NO_READY_ENDPOINTS


def test_without_an_endpoint_that_has_the_port_the_reason_says_so() -> None:
    slices = builders.endpoint_slice(builders.endpoint("10.244.1.1"))
    slices["ports"] = [{"name": "other", "port": 1, "protocol": "TCP"}]
    assert found(serving(slices=(slices,))).dataplane is Reason.NO_BACKEND_PORT


@pytest.mark.parametrize(
    ("fabric", "reason"), [(True, Reason.NO_ENDPOINTS), (False, Reason.NO_FABRIC)]
)
def test_an_empty_service_has_the_same_reason_on_the_fabric_if_there_is_one(
    fabric: bool, reason: Reason
) -> None:
    assert found(serving(fabric=fabric)).fabric is reason


@pytest.mark.parametrize(
    ("agents", "reason"),
    [
        ((), Reason.NO_AGENT),
        ((builders.agent("node-1", live=False),), Reason.NO_AGENT),
        ((builders.agent("node-3"),), Reason.NO_AGENT),
        ((ROUTER,), Reason.NO_AGENT),
        ((builders.agent("node-1"),), Reason.PROGRAMMED),
        ((builders.agent("node-1", **BEHIND), builders.agent("node-2")), Reason.PROGRAMMED),
        ((builders.agent("node-1", **BEHIND),), Reason.WAITING_FOR_AGENT),
        ((builders.agent("node-1", slices=19),), Reason.WAITING_FOR_AGENT),
        ((builders.agent("node-1", **FAILED),), Reason.PROGRAMMING_FAILED),
        (
            (builders.agent("node-1", **FAILED), builders.agent("node-2", **BEHIND)),
            Reason.WAITING_FOR_AGENT,
        ),
    ],
    ids=[
        "nobody",
        "only a dead one",
        "only one without members",
        "only a router",
        "has it",
        "one of two has it",
        "decision not yet",
        "slices not yet",
        "cannot",
        "one cannot, one not yet",
    ],
)
def test_the_nodes_that_own_members_tell_of_the_dataplane(
    agents: tuple[Any, ...], reason: Reason
) -> None:
    assert found(serving(slices=(TWO,), agents=agents)).dataplane is reason


@pytest.mark.parametrize(
    ("fabric", "agents", "reason"),
    [
        (False, (ROUTER,), Reason.NO_FABRIC),
        (True, (builders.agent("node-1"),), Reason.NO_ROUTER),
        (True, (builders.agent("router", "router", live=False),), Reason.NO_ROUTER),
        (True, (ROUTER,), Reason.PROGRAMMED),
        (True, (builders.agent("router", "router", **BEHIND),), Reason.WAITING_FOR_ROUTER),
        (True, (builders.agent("router", "router", **NO_LEG),), Reason.WAITING_FOR_ROUTER),
        (True, (builders.agent("router", "router", **FAILED),), Reason.PROGRAMMING_FAILED),
    ],
    ids=["no fabric", "no router", "dead router", "has it", "not yet", "no leg yet", "cannot"],
)
def test_the_routers_tell_of_the_fabric(
    fabric: bool, agents: tuple[Any, ...], reason: Reason
) -> None:
    assert found(serving(slices=(TWO,), fabric=fabric, agents=agents)).fabric is reason


@pytest.mark.parametrize(
    ("dataplane", "fabric", "state", "waiting"),
    [
        (Reason.PROGRAMMED, Reason.PROGRAMMED, ("Up", ""), False),
        (Reason.PROGRAMMED, Reason.NO_FABRIC, ("Down", "NoFabric"), False),
        (Reason.NO_ENDPOINTS, Reason.PROGRAMMED, ("Down", "NoEndpoints"), False),
        (Reason.NO_AGENT, Reason.NO_FABRIC, ("Down", "NoAgent"), False),
        (Reason.WAITING_FOR_AGENT, Reason.PROGRAMMED, ("Pending", "WaitingForAgent"), True),
        (Reason.PROGRAMMED, Reason.WAITING_FOR_ROUTER, ("Pending", "WaitingForRouter"), True),
        (Reason.PROGRAMMING_FAILED, Reason.NO_FABRIC, ("Pending", "ProgrammingFailed"), True),
    ],
)
def test_the_state_names_the_first_thing_that_is_missing(
    dataplane: Reason, fabric: Reason, state: tuple[str, str], waiting: bool
) -> None:
    ready = Readiness(dataplane, fabric)
    assert ready.state == state
    assert ready.waiting is waiting
    assert ready.showable is not waiting


@pytest.mark.parametrize(
    ("agents", "gone"),
    [
        ((), True),
        ((builders.agent(), ROUTER), True),
        ((builders.agent(**BEHIND), ROUTER), False),
        ((builders.agent(**BEHIND, live=False), ROUTER), True),
        ((builders.agent(**FAILED),), False),
        ((builders.agent(slices=0),), True),
    ],
    ids=[
        "nobody",
        "all",
        "one not yet",
        "a dead one is waived",
        "one cannot",
        "slices are no matter",
    ],
)
def test_a_decision_is_withdrawn_when_every_live_agent_says_so(
    agents: tuple[Any, ...], gone: bool
) -> None:
    view = serving(agents=agents)
    assert view.decision is not None
    assert readiness.withdrawn_everywhere(view, view.decision) is gone


WAS_TRUE = Condition(ConditionType.DATAPLANE_READY, True, Reason.PROGRAMMED, "")
WAS_FALSE = Condition(ConditionType.DATAPLANE_READY, False, Reason.NO_ENDPOINTS, "")


@pytest.mark.parametrize(
    ("before", "reason", "after"),
    [
        ((), Reason.WAITING_FOR_AGENT, (False, Reason.WAITING_FOR_AGENT)),
        ((WAS_TRUE,), Reason.WAITING_FOR_AGENT, (True, Reason.PROGRAMMED)),
        ((WAS_TRUE,), Reason.PROGRAMMING_FAILED, (False, Reason.PROGRAMMING_FAILED)),
        ((WAS_TRUE,), Reason.NO_ENDPOINTS, (False, Reason.NO_ENDPOINTS)),
        ((WAS_FALSE,), Reason.WAITING_FOR_AGENT, (False, Reason.WAITING_FOR_AGENT)),
        ((WAS_FALSE,), Reason.PROGRAMMED, (True, Reason.PROGRAMMED)),
    ],
)
def test_what_was_true_stays_true_only_while_an_acknowledgement_is_on_its_way(
    before: tuple[Condition, ...], reason: Reason, after: tuple[bool, Reason]
) -> None:
    obj = builders.service()
    obj["status"]["conditions"] = [
        {"type": entry.type, "status": str(entry.true), "reason": entry.reason}
        for entry in shown(*before)
    ]
    service = builders.facts(obj)
    first, second = readiness.dataplane_conditions(
        serving(), service, Readiness(reason, Reason.NO_FABRIC)
    )
    assert (first.true, first.reason) == after
    assert second == Condition(
        ConditionType.FABRIC_PROGRAMMED, False, Reason.NO_FABRIC, second.message
    )
