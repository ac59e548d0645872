"""What slices say does not depend on their order, nor on how endpoints are spread over them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import builders
from lbctl.translate.endpoints import Endpoint, parse_endpoints, usable

ADDRESSES = st.sampled_from([f"10.244.1.{n}" for n in range(1, 5)] + ["fd00::1", "fd00::2"])
MAYBE = st.sampled_from([True, False, None])


@st.composite
def endpoints(draw: st.DrawFn) -> dict[str, Any]:
    address = draw(ADDRESSES)
    # A pod is on one node: the slices that know agree, some may not know.
    node = draw(st.sampled_from(["", f"node-{address[-1]}"]))
    conditions = {name: draw(MAYBE) for name in ("ready", "serving", "terminating")}
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


PORTS = st.sets(st.sampled_from([8080, 9090]), max_size=2)


@st.composite
def slices(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for number in range(draw(st.integers(0, 3))):
        obj = builders.endpoint_slice(*draw(st.lists(endpoints(), max_size=4)))
        obj["metadata"]["name"] = f"kuard-{number}"
        obj["ports"] = [
            {"name": "", "port": port, "protocol": "TCP"} for port in sorted(draw(PORTS))
        ]
        found.append(obj)
    return found


@given(given_slices=slices(), data=st.data())
def test_the_order_of_slices_and_endpoints_does_not_matter(
    given_slices: list[dict[str, Any]], data: st.DataObject
) -> None:
    shuffled = [
        {**obj, "endpoints": data.draw(st.permutations(obj["endpoints"]))}
        for obj in data.draw(st.permutations(given_slices))
    ]
    assert parse_endpoints(shuffled) == parse_endpoints(given_slices)


@given(given_slices=slices())
def test_a_slice_that_is_seen_twice_changes_nothing(given_slices: list[dict[str, Any]]) -> None:
    assert parse_endpoints(given_slices + given_slices) == parse_endpoints(given_slices)


@given(given_slices=slices())
def test_each_address_stands_once_in_order(given_slices: list[dict[str, Any]]) -> None:
    found = [(entry.address.version, int(entry.address)) for entry in parse_endpoints(given_slices)]
    assert found == sorted(set(found))


@given(given_slices=slices())
def test_the_best_state_that_any_slice_gives_counts(given_slices: list[dict[str, Any]]) -> None:
    ready = {
        entry["addresses"][0]
        for obj in given_slices
        for entry in obj["endpoints"]
        if entry["conditions"]["ready"] is not False
    }
    found = parse_endpoints(given_slices)
    assert {str(entry.address) for entry in found if entry.ready} == ready


@given(given_slices=slices())
def test_who_is_usable_is_either_ready_or_leaving_but_serving(
    given_slices: list[dict[str, Any]],
) -> None:
    known = parse_endpoints(given_slices)
    found: tuple[Endpoint, ...] = usable(known)
    placed = [entry for entry in known if entry.node]
    assert all(entry.node for entry in found)
    if any(entry.ready for entry in placed):
        assert all(entry.ready for entry in found)
        assert len(found) == sum(entry.ready for entry in placed)
    else:
        assert all(entry.serving and entry.terminating for entry in found)
