"""Every combination of what a slice can say about endpoints, against tables written by hand.

The words are those of the API (`discovery.k8s.io/v1` EndpointConditions: not said is true, true,
false), KEP-1672 (who sets them) and KEP-1669 (who gets connections).
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import builders
from lbctl.translate.endpoints import Endpoint, parse_endpoints, usable, usable_on

REFERENCE = Path(__file__).parents[4] / "docs" / "reference" / "endpoints.md"

FIRST, LAST, NEVER = "first", "last", "never"
"""Gets new connections; gets them while nobody is FIRST; gets none."""

# fmt: off
TRUTH: dict[tuple[bool | None, bool | None, bool | None], str] = {
    # ready, serving, terminating
    (None, None, None): FIRST, (None, None, False): FIRST, (None, None, True): FIRST,
    (None, False, None): FIRST, (None, False, False): FIRST, (None, False, True): FIRST,
    (None, True, None): FIRST, (None, True, False): FIRST, (None, True, True): FIRST,
    (True, None, None): FIRST, (True, None, False): FIRST, (True, None, True): FIRST,
    (True, False, None): FIRST, (True, False, False): FIRST, (True, False, True): FIRST,
    (True, True, None): FIRST, (True, True, False): FIRST, (True, True, True): FIRST,
    (False, None, None): NEVER, (False, None, False): NEVER, (False, None, True): LAST,
    (False, False, None): NEVER, (False, False, False): NEVER, (False, False, True): NEVER,
    (False, True, None): NEVER, (False, True, False): NEVER, (False, True, True): LAST,
}
# fmt: on
STATES = tuple(TRUTH)
HINTS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"forZones": [{"name": "elsewhere"}]},
    {"forNodes": [{"name": "node-9"}]},
)


def entry(
    address: str,
    node: str,
    state: tuple[bool | None, bool | None, bool | None],
    hints: dict[str, Any] | None = None,
    *,
    null: bool = False,
) -> dict[str, Any]:
    """Return an endpoint; what is not said is absent, or null."""
    said = zip(("ready", "serving", "terminating"), state, strict=True)
    conditions = {name: value for name, value in said if null or value is not None}
    found = {"addresses": [address], "nodeName": node, "conditions": conditions}
    return {**found, "hints": hints} if hints else found


def addresses(found: tuple[Endpoint, ...]) -> set[str]:
    return {str(endpoint.address) for endpoint in found}


def test_the_table_has_every_combination() -> None:
    assert set(TRUTH) == set(itertools.product((None, False, True), repeat=3))


@pytest.mark.parametrize("null", [False, True], ids=["absent", "null"])
@pytest.mark.parametrize("state", STATES)
def test_one_endpoint_alone(state: tuple[bool | None, ...], null: bool) -> None:
    (ready, serving, terminating) = state
    obj = entry("10.244.1.1", "node-1", (ready, serving, terminating), null=null)
    found = parse_endpoints([builders.endpoint_slice(obj)])
    assert len(usable(found)) == (TRUTH[ready, serving, terminating] != NEVER)


def pairs() -> Iterator[tuple[str, str, tuple[Endpoint, ...]]]:
    """Yield the worth of two endpoints and what slices with every hint make of them."""
    for one, other in itertools.product(STATES, repeat=2):
        for hints in HINTS:
            obj = builders.endpoint_slice(
                entry("10.244.1.1", "node-1", one, hints), entry("10.244.2.1", "node-2", other)
            )
            yield TRUTH[one], TRUTH[other], parse_endpoints([obj])


EVERYWHERE = {
    (FIRST, FIRST): {"10.244.1.1", "10.244.2.1"},
    (FIRST, LAST): {"10.244.1.1"},
    (FIRST, NEVER): {"10.244.1.1"},
    (LAST, FIRST): {"10.244.2.1"},
    (LAST, LAST): {"10.244.1.1", "10.244.2.1"},
    (LAST, NEVER): {"10.244.1.1"},
    (NEVER, FIRST): {"10.244.2.1"},
    (NEVER, LAST): {"10.244.2.1"},
    (NEVER, NEVER): set(),
}
"""KEP-1669, "traffic policy is Cluster"."""


def test_two_endpoints_on_two_nodes_in_every_state_with_every_hint() -> None:
    count = 0
    for one, other, found in pairs():
        assert addresses(usable(found)) == EVERYWHERE[one, other]
        # "Local": a node knows its own only, and its last ones serve what still arrives.
        assert addresses(usable_on(found, "node-1")) == ({"10.244.1.1"} if one != NEVER else set())
        assert addresses(usable_on(found, "node-2")) == (
            {"10.244.2.1"} if other != NEVER else set()
        )
        count += 1
    assert count == 27 * 27 * 3


EXCLUDED = {
    (FIRST, FIRST): {"10.244.2.1"},
    (FIRST, LAST): {"10.244.1.1"},
    (FIRST, NEVER): {"10.244.1.1"},
    (LAST, FIRST): {"10.244.2.1"},
    (LAST, LAST): {"10.244.2.1"},
    (LAST, NEVER): {"10.244.1.1"},
    (NEVER, FIRST): {"10.244.2.1"},
    (NEVER, LAST): {"10.244.2.1"},
    (NEVER, NEVER): set(),
}
"""node-1 is excluded: it yields to whoever is as good, and to nobody who is worse."""


def test_an_excluded_node_yields_to_others_in_the_same_state() -> None:
    for one, other, found in pairs():
        assert addresses(usable(found, frozenset({"node-1"}))) == EXCLUDED[one, other]
        assert addresses(usable(found, frozenset({"node-1", "node-2"}))) == EVERYWHERE[one, other]


def test_an_endpoint_without_node_is_never_chosen_whatever_its_state() -> None:
    for state in STATES:
        found = parse_endpoints([builders.endpoint_slice(entry("10.244.1.1", "", state))])
        assert len(found) == 1
        assert usable(found) == ()


PODS = {
    # publishNotReadyAddresses, pod Ready, pod being deleted: gets new connections
    (False, True, False): FIRST,
    (False, True, True): LAST,
    (False, False, False): NEVER,
    (False, False, True): NEVER,
    (True, True, False): FIRST,
    (True, True, True): FIRST,
    (True, False, False): FIRST,
    (True, False, True): FIRST,
}


@pytest.mark.parametrize("pod", PODS)
def test_what_the_slice_controller_says_of_pods_with_and_without_publish_not_ready_addresses(
    pod: tuple[bool, bool, bool],
) -> None:
    publish, serving, terminating = pod
    ready = publish or (serving and not terminating)  # podToEndpoint of k8s.io/endpointslice
    assert TRUTH[ready, serving, terminating] == PODS[pod]
    obj = builders.endpoint_slice(entry("10.244.1.1", "node-1", (ready, serving, terminating)))
    assert len(usable(parse_endpoints([obj]))) == (PODS[pod] != NEVER)


def test_the_reference_has_the_same_table() -> None:
    rows = re.findall(
        r"^\| (true|false) \| (true|false) \| (true|false) \| (\w+)", REFERENCE.read_text(), re.M
    )
    shown = {tuple(word == "true" for word in row[:3]): row[3] for row in rows}
    assert shown == {state: worth for state, worth in TRUTH.items() if None not in state}
