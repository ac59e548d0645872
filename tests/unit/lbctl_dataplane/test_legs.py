"""Which nodes the router sends new connections to."""

import dataclasses
from typing import Any

import pytest

import dataplane_builders as build
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.router import legs
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode

CLAIM = frontend.claims([build.service(vips=["198.18.0.1"])])[0]


def node(name: str, address: str = "172.31.241.6", **fields: Any) -> ServingNode:
    known = {"decisions": 100, "slices": 100, **fields}
    return ServingNode(name, (LegAddress(build.ip(address), "02:00:00:00:00:01"),), **known)


def endpoint(address: str, on: str, *, ready: bool = True) -> Endpoint:
    return Endpoint(build.ip(address), on, ready, ready, False, (("", "TCP", 8080),))


THREE = (endpoint("10.0.0.1", "a"), endpoint("10.0.0.2", "a"), endpoint("10.0.0.3", "b"))
KNOWN = Knowledge(THREE, {"a": 50, "b": 50}, 60)
NODES = {name: node(name) for name in "ab"}


def test_weights_are_ready_members() -> None:
    assert legs.shares(CLAIM, KNOWN, NODES, frozenset()) == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    "unready",
    [{"decisions": 59}, {"slices": 49}, {"exempt": frozenset({"default.kuard"})}],
    ids=["decision", "slices", "exempt"],
)
def test_a_node_that_has_not_programmed_it_gets_nothing(
    unready: dict[str, Any],
) -> None:
    nodes = {**NODES, "b": node("b", **unready)}
    assert legs.shares(CLAIM, KNOWN, nodes, frozenset()) == {"a": 2}


def test_a_node_that_took_part_stays_in_while_it_has_members() -> None:
    nodes = {**NODES, "b": node("b", decisions=0, slices=0)}
    assert legs.shares(CLAIM, KNOWN, nodes, frozenset("b")) == {"a": 2, "b": 1}
    without = dataclasses.replace(KNOWN, endpoints=THREE[:2])
    assert legs.shares(CLAIM, without, nodes, frozenset("b")) == {"a": 2}


def test_members_on_nodes_without_an_agent_or_a_leg_of_the_family_get_nothing() -> None:
    assert legs.shares(CLAIM, KNOWN, {"a": node("a", "fd00::6")}, frozenset()) == {}


def leaving(address: str, on: str) -> Endpoint:
    return Endpoint(build.ip(address), on, False, True, True, (("", "TCP", 8080),))


def test_an_excluded_node_gets_nothing_while_another_can_take_it() -> None:
    nodes = {**NODES, "a": node("a", excluded=True)}
    assert legs.shares(CLAIM, KNOWN, nodes, frozenset("ab")) == {"b": 1}


def test_an_excluded_node_goes_on_until_another_one_has_programmed_it() -> None:
    nodes = {"a": node("a", excluded=True), "b": node("b", decisions=0)}
    assert legs.shares(CLAIM, KNOWN, nodes, frozenset("a")) == {"a": 2}


def test_nodes_that_are_all_excluded_share_as_ever() -> None:
    nodes = {name: node(name, excluded=True) for name in "ab"}
    assert legs.shares(CLAIM, KNOWN, nodes, frozenset()) == {"a": 2, "b": 1}


def test_a_leaving_member_gets_nothing_while_a_ready_one_can_take_it() -> None:
    known = Knowledge((leaving("10.0.0.1", "a"), endpoint("10.0.0.3", "b")), {}, 60)
    assert legs.shares(CLAIM, known, NODES, frozenset("a")) == {"b": 1}
    late = {**NODES, "b": node("b", decisions=59)}
    assert legs.shares(CLAIM, known, late, frozenset("a")) == {"a": 1}


def test_a_place_without_a_leg_says_so_only_when_it_has_members() -> None:
    assert "a, b" in legs.without_leg(CLAIM, KNOWN, {})
    assert legs.without_leg(CLAIM, Knowledge(), {}) == ""
    assert legs.without_leg(CLAIM, KNOWN, {CLAIM.place: {"a": 1}}) == ""


def test_a_node_keeps_the_number_that_its_address_has() -> None:
    nodes = {"a": node("a", "172.31.241.6"), "b": node("b", "172.31.241.10")}
    observed = {7: frozenset({build.ip("172.31.241.10")})}
    assert legs.number_legs(nodes, observed) == {"b": 7, "a": 1}


def test_a_number_in_use_by_a_leg_that_goes_is_not_given_in_the_same_pass() -> None:
    observed = {1: frozenset({build.ip("172.31.241.99")})}
    assert legs.number_legs({"a": node("a")}, observed) == {"a": 2}


def test_a_node_without_legs_has_no_number() -> None:
    assert legs.number_legs({"a": ServingNode("a", (), 0, 0)}, {}) == {}
