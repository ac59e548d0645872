"""What of a Service is not served, and how it is told."""

from typing import Any

import pytest

import builders
from controller_builders import serving
from lbctl.model.reasons import Condition, ConditionType, Reason
from lbctl.plan import conditions, readiness
from lbctl.plan.decision import desired_decision
from lbctl.plan.view import View
from lbctl.translate.service import NOT_SERVED, PortError

READY = builders.endpoint_slice(builders.endpoint("10.244.1.1"))
NOWHERE = builders.endpoint_slice(builders.endpoint("203.0.113.9", node=""))
NAMES = {**builders.endpoint_slice(builders.endpoint("db.example")), "addressType": "FQDN"}
MIXED = [{"name": "web", "port": 80}, {"name": "sig", "port": 2905, "protocol": "SCTP"}]


def reason(view: View) -> Reason:
    assert view.decision is not None
    return readiness.readiness(view, view.decision).dataplane


def dataplane(view: View, reason: Reason = Reason.PROGRAMMED) -> Condition:
    assert view.service is not None
    found = readiness.Readiness(reason, reason)
    return readiness.dataplane_conditions(view, view.service, found)[0]


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ((NOWHERE,), Reason.ENDPOINTS_WITHOUT_NODE),
        ((NAMES,), Reason.ENDPOINTS_ARE_NAMES),
        ((NAMES, NOWHERE), Reason.ENDPOINTS_WITHOUT_NODE),
        ((NAMES, NOWHERE, READY), Reason.NO_AGENT),
    ],
    ids=["no node", "names", "both", "and a pod"],
)
def test_endpoints_that_nothing_can_be_sent_to_are_told_apart(
    slices: tuple[Any, ...], expected: Reason
) -> None:
    assert reason(serving(slices=slices)) is expected


def test_nobody_is_waited_for_where_no_endpoint_can_be_reached() -> None:
    view = serving(slices=(NOWHERE,), agents=(builders.agent("node-1", decisions=0),))
    assert view.decision is not None
    assert readiness.readiness(view, view.decision).showable


def test_a_port_of_a_protocol_that_nobody_carries_gets_no_listener() -> None:
    view = builders.view(builders.service(ports=MIXED), slices=(READY,))
    assert view.service is not None
    found = desired_decision(view, view.service, builders.NOW)
    assert [(entry.protocol, entry.port) for entry in found.listeners] == [("TCP", 80)]


def test_each_port_has_an_entry_when_one_is_not_served() -> None:
    assert builders.facts(builders.service(ports=MIXED)).port_errors == (
        PortError(80, "TCP", ""),
        PortError(2905, "SCTP", NOT_SERVED),
    )
    assert builders.facts(builders.service(ports=MIXED[:1])).port_errors == ()


def test_the_condition_names_the_ports_that_are_left_out_beside_those_that_work() -> None:
    found = dataplane(builders.view(builders.service(ports=MIXED)))
    assert (found.true, found.reason) == (True, Reason.PROGRAMMED)
    assert "not served: 2905/SCTP" in found.message


def test_a_service_of_such_ports_only_says_so() -> None:
    view = builders.view(builders.service(ports=MIXED[1:]), slices=(READY,))
    assert view.service is not None
    wanted = desired_decision(view, view.service, builders.NOW)
    empty = readiness.without_members(view, wanted)
    assert empty is not None
    assert empty.dataplane is Reason.PROTOCOL_NOT_SERVED
    found = dataplane(view, empty.dataplane)
    assert (found.true, found.reason) == (False, Reason.PROTOCOL_NOT_SERVED)


def test_a_range_that_does_not_parse_is_told_whatever_else_is() -> None:
    view = builders.view(builders.service(loadBalancerSourceRanges=["10.0.0.0/8", "kuard"]))
    for state in (Reason.PROGRAMMED, Reason.NO_ENDPOINTS):
        found = dataplane(view, state)
        assert (found.true, found.reason) == (False, Reason.SOURCE_RANGE_MALFORMED)
        assert found.message == "spec.loadBalancerSourceRanges: 'kuard' is not a CIDR"


def test_a_slip_of_the_pen_is_named_beside_the_address() -> None:
    obj = builders.service()
    obj["metadata"]["annotations"] = {"lbctl.io/adress-pool": "public"}
    view = builders.view(obj)
    assert view.service is not None
    found = conditions.address_condition(view, view.service)
    assert found.type is ConditionType.ADDRESS_ALLOCATED
    assert found.true
    assert found.message.endswith("; ignored, as lbctl knows no annotation lbctl.io/adress-pool")


TWO = builders.endpoint_slice(
    builders.endpoint("10.244.1.1", "node-1"), builders.endpoint("10.244.2.1", "node-2")
)


@pytest.mark.parametrize(
    ("excluded", "owners"),
    [((), {"node-1", "node-2"}), (("node-1",), {"node-2"}), (("node-1", "node-2"), None)],
    ids=["none", "one", "all"],
)
def test_members_on_excluded_nodes_do_not_count_while_there_are_others(
    excluded: tuple[str, ...], owners: set[str] | None
) -> None:
    agents = tuple(
        builders.agent(node, excluded="label x" if node in excluded else "")
        for node in ("node-1", "node-2")
    )
    view = serving(slices=(TWO,), agents=agents)
    assert view.decision is not None
    found = readiness.members_of(view, view.decision.virtual_service)
    assert {entry.node for entry in found} == (owners or {"node-1", "node-2"})
