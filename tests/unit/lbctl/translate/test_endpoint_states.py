"""Which endpoints there are, and which of them get new connections."""

from typing import Any

import pytest

import builders
from lbctl.model.virtual_service import Listener
from lbctl.translate.endpoints import parse_endpoints, usable

HTTP = Listener("http", "TCP", 80, "pool")


def only(**conditions: Any) -> Any:
    (found,) = parse_endpoints(
        [builders.endpoint_slice(builders.endpoint("10.244.1.1", **conditions))]
    )
    return found


@pytest.mark.parametrize(
    ("conditions", "ready", "serving", "terminating"),
    [
        ({}, True, True, False),
        ({"ready": None, "serving": None, "terminating": None}, True, True, False),
        ({"ready": False}, False, False, False),
        ({"ready": False, "serving": True, "terminating": True}, False, True, True),
        ({"ready": True, "serving": True}, True, True, False),
        ({"ready": False, "serving": False, "terminating": True}, False, False, True),
    ],
)
def test_absent_conditions_mean_ready_serving_and_staying(
    conditions: dict[str, Any], ready: bool, serving: bool, terminating: bool
) -> None:
    found = only(**conditions)
    assert (found.ready, found.serving, found.terminating) == (ready, serving, terminating)


def test_an_endpoint_without_conditions_or_node_is_ready_and_nowhere() -> None:
    (found,) = parse_endpoints([builders.endpoint_slice({"addresses": ["10.244.1.1"]})])
    assert found.ready
    assert found.node == ""


def test_slices_of_names_hold_no_addresses() -> None:
    named = {**builders.endpoint_slice({"addresses": ["db.example"]}), "addressType": "FQDN"}
    assert parse_endpoints([named]) == ()


def test_a_slice_may_be_empty() -> None:
    obj = {**builders.endpoint_slice(), "endpoints": None, "ports": None}
    assert parse_endpoints([obj]) == ()


def test_ports_without_a_number_stand_for_all_ports_and_match_no_listener() -> None:
    obj = builders.endpoint_slice(builders.endpoint("10.244.1.1"))
    obj["ports"] = [{"name": "http", "port": None}, {"name": None, "port": 9090, "protocol": None}]
    (found,) = parse_endpoints([obj])
    assert found.ports == (("", "TCP", 9090),)
    assert found.port_for(HTTP) is None


def test_a_listener_finds_its_port_by_name_and_protocol() -> None:
    obj = builders.endpoint_slice(builders.endpoint("10.244.1.1"))
    obj["ports"] = [
        {"name": "http", "port": 53, "protocol": "UDP"},
        {"name": "http", "port": 8080, "protocol": "TCP"},
        {"name": "other", "port": 9090, "protocol": "TCP"},
    ]
    (found,) = parse_endpoints([obj])
    assert found.port_for(HTTP) == 8080


def test_an_address_in_two_slices_has_its_better_state_and_all_ports() -> None:
    old = builders.endpoint_slice(builders.endpoint("10.244.1.1", node="", ready=True), port=8080)
    new = builders.endpoint_slice(builders.endpoint("10.244.1.1", ready=False), port=9090)
    (found,) = parse_endpoints([new, old])
    assert found.ready
    assert found.node == "node-1"
    assert [number for _, _, number in found.ports] == [8080, 9090]


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_states_that_are_not_ready_the_serving_one_counts(turn: int) -> None:
    sick = builders.endpoint_slice(builders.endpoint("10.244.1.1", ready=False, serving=False))
    leaving = builders.endpoint_slice(
        builders.endpoint("10.244.1.1", ready=False, serving=True, terminating=True)
    )
    (found,) = parse_endpoints([sick, leaving][::turn])
    assert (found.serving, found.terminating) == (True, True)


def test_endpoints_are_sorted_by_family_and_number() -> None:
    texts = ["2001:db8::1", "10.244.1.10", "10.244.1.9"]
    found = parse_endpoints([builders.endpoint_slice(*map(builders.endpoint, texts))])
    assert [str(entry.address) for entry in found] == ["10.244.1.9", "10.244.1.10", "2001:db8::1"]


LEAVING = {"ready": False, "serving": True, "terminating": True}
SICK = {"ready": False, "serving": False}


@pytest.mark.parametrize(
    ("states", "chosen"),
    [
        ([], []),
        ([{}, LEAVING, SICK], [1]),
        ([SICK, LEAVING, LEAVING], [2, 3]),
        ([SICK, {"ready": False, "serving": True}], []),
    ],
    ids=["none", "the ready", "else the leaving that still serve", "else none"],
)
def test_new_connections_go_to_the_ready_else_to_those_still_serving(
    states: list[dict[str, bool]], chosen: list[int]
) -> None:
    ends = [builders.endpoint(f"10.244.1.{n}", **state) for n, state in enumerate(states, 1)]
    found = usable(parse_endpoints([builders.endpoint_slice(*ends)]))
    assert [int(entry.address) & 255 for entry in found] == chosen
