"""IPAllocations: what is written is what is read."""

import builders
import controller_builders
from lbctl.model.allocation import Allocation, parse_allocation, render_allocation
from lbctl.model.virtual_service import ServiceRef

META = {"uid": "alloc-192.0.2.1", "resourceVersion": "7"}


def test_what_is_rendered_parses_to_the_same_holder_and_address() -> None:
    given = controller_builders.allocation()
    obj = render_allocation(given, "2026-11-21T12:00:00.000000Z")
    obj["metadata"] |= META
    found = parse_allocation(obj)
    assert found == Allocation(
        given.address, given.pool, given.holder, uid="alloc-192.0.2.1", resource_version="7"
    )
    assert obj["metadata"]["name"] == found.name == "ip-192-0-2-1"


def test_an_allocation_says_that_it_is_bound_and_since_when() -> None:
    obj = render_allocation(controller_builders.allocation(), "2026-11-21T12:00:00.000000Z")
    assert obj["spec"]["state"] == "Bound"
    assert obj["spec"]["boundAt"] == "2026-11-21T12:00:00.000000Z"


def test_a_reserved_address_has_nobody_as_its_holder() -> None:
    obj = {
        "metadata": {"name": "ip-192-0-2-9", **META},
        "spec": {"address": "192.0.2.9", "pool": "default", "state": "Reserved", "holders": []},
    }
    found = parse_allocation(obj)
    assert found.holder == ServiceRef("", "", "")
    assert found.address == builders.address("192.0.2.9")
