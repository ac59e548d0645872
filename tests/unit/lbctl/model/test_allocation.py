"""IPAllocations: what is written is what is read."""

import dataclasses

import pytest

import builders
import controller_builders
import ipam_builders as ipam
from lbctl.model.allocation import (
    Allocation,
    AllocationState,
    parse_allocation,
    render_allocation,
    traffic_of,
)

META = {"uid": "alloc-1", "resourceVersion": "7"}
SINCE = "2026-11-21T12:00:00.000000Z"


@pytest.mark.parametrize(
    "given",
    [
        controller_builders.allocation(),
        ipam.bound("192.0.2.1", "a", "b", sharing_key="web", bound_at=SINCE),
        ipam.bound("2001:db8::1", "a", reserved_for="default/a"),
        ipam.bound("192.0.2.1", holders=(ipam.holder("a", shares_with=frozenset({"b", "*"})),)),
        ipam.reserved("192.0.2.1", "default/me", released_at=SINCE),
    ],
)
def test_what_is_rendered_parses_to_the_same(given: Allocation) -> None:
    obj = render_allocation(given)
    obj["metadata"] |= META
    found = parse_allocation(obj)
    assert found == dataclasses.replace(given, uid="alloc-1", resource_version="7")
    assert obj["metadata"]["name"] == found.name


def test_a_new_allocation_has_no_version_and_a_known_one_replaces_what_was_read() -> None:
    new = render_allocation(ipam.bound("192.0.2.1", "a"))
    assert new["metadata"] == {"name": "ip-192-0-2-1"}
    known = render_allocation(ipam.reserved("192.0.2.1", "default/me"))
    assert known["metadata"]["resourceVersion"] == "7"


def test_an_administrators_reservation_needs_no_pool_and_no_holders() -> None:
    obj = {
        "metadata": {"name": "ip-192-0-2-9", **META},
        "spec": {
            "address": "192.0.2.9",
            "state": "Reserved",
            "reservedFor": {"namespace": "default", "name": "me"},
        },
    }
    found = parse_allocation(obj)
    assert (found.state, found.reserved_for) == (AllocationState.RESERVED, "default/me")
    assert found.address == builders.address("192.0.2.9")
    assert not found.is_held_by("")


def test_with_policy_local_the_selector_counts_and_its_order_does_not() -> None:
    web, edge = ("app", "web"), ("tier", "edge")
    one = traffic_of("Local", (web, edge))
    assert one == traffic_of("Local", (edge, web))
    assert one != traffic_of("Local", (web,))
    assert traffic_of("Cluster", (web,)) == traffic_of("Cluster", ()) == "Cluster"
