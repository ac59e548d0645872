"""Which endpoints there are, and which of them get new connections."""

from typing import Any

import pytest

import builders
from lbctl.model.virtual_service import Listener
from lbctl.translate.endpoints import holds_names, parse_endpoints, usable

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
        ({"ready": False}, False, True, False),
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
    assert holds_names([named])
    assert not holds_names([builders.endpoint_slice(), {**named, "endpoints": None}])


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
    new = builders.endpoint_slice(builders.endpoint("10.244.1.1", ready=False))
    new["ports"] = [{"name": "metrics", "port": 9090}]
    (found,) = parse_endpoints([new, old])
    assert found.ready
    assert found.node == "node-1"
    assert [number for _, _, number in found.ports] == [8080, 9090]


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_pods_with_one_address_the_one_that_stays_counts(turn: int) -> None:
    starting = builders.endpoint_slice(builders.endpoint("10.244.1.1", ready=False, serving=False))
    leaving = builders.endpoint_slice(
        builders.endpoint("10.244.1.1", ready=False, serving=True, terminating=True)
    )
    (found,) = parse_endpoints([starting, leaving][::turn])
    assert (found.serving, found.terminating) == (False, False)


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("newer", [8080, 9090])
def test_of_two_numbers_of_a_port_the_one_in_the_newer_slice_counts(newer: int, turn: int) -> None:
    end = builders.endpoint("10.244.1.1")
    slices = [
        builders.endpoint_slice(end, port=port, version=21 if port == newer else 20)
        for port in (8080, 9090)
    ]
    (found,) = parse_endpoints(slices[::turn])
    assert found.ports == (("", "TCP", newer),)


def test_hundreds_of_endpoints_in_slices_of_any_size_are_all_there() -> None:
    ends = [builders.endpoint(f"10.244.{n // 250}.{n % 250}") for n in range(1000)]
    (one,) = (parse_endpoints([builders.endpoint_slice(*ends)]),)
    many = [builders.endpoint_slice(*ends[n : n + 100]) for n in range(0, 1000, 100)]
    moving = [*many, builders.endpoint_slice(*ends[50:150], version=30)]
    assert len(one) == 1000
    assert parse_endpoints(many) == one
    assert parse_endpoints(moving) == one


def test_slices_of_two_families_stand_side_by_side() -> None:
    four = builders.endpoint_slice(builders.endpoint("10.244.1.1"))
    six = {**builders.endpoint_slice(builders.endpoint("fd00::1")), "addressType": "IPv6"}
    found = parse_endpoints([six, four])
    assert [entry.address.version for entry in found] == [4, 6]


def test_what_is_no_address_costs_only_itself() -> None:
    broken = [{"addresses": ["10.244.1"]}, {"addresses": []}]
    obj = builders.endpoint_slice(*broken, builders.endpoint("10.244.1.1"))
    assert [str(entry.address) for entry in parse_endpoints([obj])] == ["10.244.1.1"]


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
