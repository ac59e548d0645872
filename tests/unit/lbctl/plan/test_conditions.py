"""What users read in a Service's conditions and in `kubectl get lbvs`."""

import dataclasses
import ipaddress
from typing import Any

import pytest

import builders
from controller_builders import allocation, rewritten, serving
from lbctl.model.reasons import Condition, Reason, Refused
from lbctl.model.virtual_service import Phase
from lbctl.plan import conditions, readiness
from lbctl.plan.view import View
from lbctl.translate.failing import FailingMember

READY = builders.endpoint_slice(builders.endpoint("10.244.1.1"), builders.endpoint("10.244.1.2"))
SICK = builders.endpoint_slice(builders.endpoint("10.244.1.1", ready=False))


def address_condition(view: View) -> Condition:
    assert view.service is not None
    return conditions.address_condition(view, view.service)


def name_condition(view: View) -> Condition:
    assert view.decision is not None
    assert view.service is not None
    found = readiness.readiness(view, view.decision)
    return conditions.name_condition(view, view.service, view.decision.virtual_service, found)


def status(view: View) -> Any:
    assert view.decision is not None
    return conditions.decision_status(view, view.decision, readiness.readiness(view, view.decision))


def test_the_addresses_that_are_held_are_named_with_their_pools() -> None:
    found = address_condition(serving("192.0.2.1", "2001:db8::1"))
    assert found.true
    assert found.message == "192.0.2.1 from pool default, 2001:db8::1 from pool default"


def test_a_family_that_is_refused_makes_it_false_with_the_refusals_words() -> None:
    refused = Refused(Reason.POOL_EXHAUSTED, "no free IPv6 address in default")
    found = address_condition(serving(offers={6: refused}))
    assert (found.true, found.reason, found.message) == (False, refused.reason, refused.detail)


def test_a_request_that_no_longer_parses_is_told_though_the_address_stays() -> None:
    refused = Refused(Reason.ADDRESS_MALFORMED, "spec.loadBalancerIP: 'x' is not an IP address")
    found = address_condition(serving(offers={4: refused}))
    assert (found.true, found.reason) == (False, Reason.ADDRESS_MALFORMED)
    assert found.message == f"{refused.detail}; the Service keeps 192.0.2.1"


def test_without_a_subdomain_no_name_is_registered() -> None:
    naming = dataclasses.replace(builders.NAMING, subdomain="")
    found = name_condition(serving(naming=naming))
    assert (found.true, found.reason) == (False, Reason.NO_SUBDOMAIN)


def test_a_published_name_is_told() -> None:
    found = name_condition(serving(slices=(READY,)))
    assert (found.true, found.message) == (True, "kuard.default.lb.example")


@pytest.mark.parametrize(
    ("slices", "reason"),
    [((), Reason.NO_ENDPOINTS), ((SICK,), Reason.NO_READY_ENDPOINTS)],
)
def test_an_unpublished_name_says_why(slices: tuple[Any, ...], reason: Reason) -> None:
    found = name_condition(serving(slices=slices))
    assert (found.true, found.reason) == (False, reason)
    assert found.message.startswith("kuard.default.lb.example: ")


def test_a_name_that_is_still_unpublished_while_members_are_there_is_without_endpoints() -> None:
    view = serving()
    filled = builders.view(None, slices=(READY,)).endpoints
    found = name_condition(dataclasses.replace(view, endpoints=filled))
    assert (found.true, found.reason) == (False, Reason.NO_ENDPOINTS)


def test_the_status_carries_what_people_read() -> None:
    found = status(serving("192.0.2.1", "2001:db8::1", slices=(READY,), agents=(builders.agent(),)))
    assert (found.state, found.reason) == ("Down", "NoFabric")
    assert (found.members_up, found.members_total) == (2, 2)
    assert found.vip == "192.0.2.1,2001:db8::1"
    assert found.host == "kuard.default.lb.example"
    assert (found.spec_version, found.generation) == (30, 1)


def ends(*states: dict[str, bool]) -> Any:
    made = (builders.endpoint(f"10.244.1.{n}", **state) for n, state in enumerate(states, 1))
    return builders.endpoint_slice(*made)


LEAVING = {"ready": False, "serving": True, "terminating": True}
NOT_READY = {"ready": False}


@pytest.mark.parametrize(
    ("states", "members"),
    [
        ((), (0, 0)),
        (({}, {}, NOT_READY), (2, 3)),
        (({}, LEAVING), (1, 1)),
        ((LEAVING, LEAVING), (2, 2)),
        ((NOT_READY, LEAVING), (1, 2)),
    ],
    ids=["none", "one not ready", "a leaving one", "all leaving", "one not ready, one leaving"],
)
def test_members_are_the_usable_of_all_that_stay_or_still_serve(
    states: tuple[dict[str, bool], ...], members: tuple[int, int]
) -> None:
    found = status(serving(slices=(ends(*states),)))
    assert (found.members_up, found.members_total) == members


def test_a_pod_with_two_addresses_is_one_member() -> None:
    pod = builders.endpoint_slice(builders.endpoint("10.244.1.1"), builders.endpoint("fd00::1"))
    found = status(serving("192.0.2.1", "2001:db8::1", slices=(pod,)))
    assert (found.members_up, found.members_total) == (1, 1)


def test_members_of_an_ipv6_service_are_counted_by_ipv6() -> None:
    pods = builders.endpoint_slice(builders.endpoint("fd00::1"), builders.endpoint("fd00::2"))
    found = status(serving("2001:db8::1", slices=(pods,)))
    assert (found.members_up, found.members_total) == (2, 2)


def test_members_of_a_service_that_is_gone_are_counted_by_ipv4() -> None:
    view = dataclasses.replace(serving(slices=(READY,)), service=None)
    assert status(view).members_total == 2


@pytest.mark.parametrize(
    ("phase", "reason"), [(Phase.DRAINING, "Draining"), (Phase.WITHDRAWN, "Withdrawn")]
)
def test_a_decision_that_leaves_says_which_phase_it_is_in(phase: Phase, reason: str) -> None:
    view = rewritten(serving(), phase=phase)
    assert view.decision is not None
    found = conditions.leaving_status(view.decision)
    assert (found.state, found.reason) == ("Down", reason)
    assert (found.members_up, found.members_total) == (0, 0)
    assert (found.vip, found.host) == ("192.0.2.1", "kuard.default.lb.example")


@pytest.mark.parametrize("families", [["IPv4", "IPv6"], ["IPv6", "IPv4"]])
def test_ingress_has_the_primary_family_first(families: list[str]) -> None:
    held = (allocation("192.0.2.1"), allocation("2001:db8::1"))
    view = serving("192.0.2.1", "2001:db8::1")
    service = builders.facts(builders.service(ipFamilies=families))
    assert view.decision is not None
    found = conditions.ingress_of(view.decision.virtual_service, service)
    expected = held if families[0] == "IPv4" else held[::-1]
    assert found == tuple(entry.address for entry in expected)


@pytest.mark.parametrize(("before", "now"), [("Up", "Up"), ("Pending", "Pending")])
def test_a_change_that_is_being_acknowledged_is_no_news_to_who_is_up(before: str, now: str) -> None:
    behind = (builders.agent(decisions=0, slices=0),)
    view = serving(slices=(READY,), agents=behind)
    assert view.decision is not None
    shown = dataclasses.replace(status(view), state=before)
    told = dataclasses.replace(view, decision=dataclasses.replace(view.decision, status=shown))
    assert status(told).state == now


def failing(*numbers: int, live: bool = True, node: str = "node-1") -> View:
    members = (
        FailingMember(
            "default.kuard", ipaddress.ip_address(f"10.244.1.{n}"), "TCP", 8080, "Refused"
        )
        for n in numbers
    )
    agent = builders.agent(node, live=live, failing=tuple(members))
    return serving(slices=(READY,), agents=(agent,))


@pytest.mark.parametrize(
    ("view", "up"),
    [
        (failing(), 2),
        (failing(1), 1),
        (failing(1, 2), 0),
        (failing(1, 9), 1),
        (failing(1, live=False), 2),
        (failing(1, node="node-2"), 2),
    ],
    ids=["none", "one", "all", "a stranger", "an agent that is gone", "another node"],
)
def test_members_that_fail_their_monitor_are_not_up(view: View, up: int) -> None:
    found = status(view)
    assert (found.members_up, found.members_total) == (up, 2)
