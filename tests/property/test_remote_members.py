"""Whoever serves an endpoint, it gets the same share, and no endpoint is lost on the way."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

import builders
from lbctl.translate import remote
from lbctl.translate.endpoints import Endpoint, parse_endpoints
from lbctl.translate.remote import Crew

NODES = ("a", "b", "c", "d")


@st.composite
def crews(draw: st.DrawFn) -> Crew:
    agents = draw(st.sets(st.sampled_from(NODES)))
    relays = draw(st.sets(st.sampled_from(sorted(agents)))) if agents else set()
    names = {name: builders.agent(name, relay=name in relays) for name in agents}
    return remote.crew_of(names)


@st.composite
def endpoints(draw: st.DrawFn) -> tuple[Endpoint, ...]:
    nodes = draw(st.lists(st.sampled_from(("", *NODES)), max_size=6))
    found = [builders.endpoint(f"10.244.1.{n}", node) for n, node in enumerate(nodes, 1)]
    return parse_endpoints([builders.endpoint_slice(*found)])


@given(endpoints(), crews())
def test_all_endpoints_that_somebody_serves_weigh_alike(
    found: tuple[Endpoint, ...], crew: Crew
) -> None:
    weights: Counter[object] = Counter()
    for end in remote.spread(found, crew):
        if end.node in crew.agents:
            weights[end.address] += end.share
    assert len(set(weights.values())) <= 1


@given(endpoints(), crews())
def test_nobody_serves_what_another_agent_has(found: tuple[Endpoint, ...], crew: Crew) -> None:
    spread = remote.spread(found, crew)
    assert {end.address for end in spread} == {end.address for end in found}
    for end in spread:
        if end.remote is None:
            assert end.node == end.home
        else:
            assert end.node in crew.relays
            assert end.home not in crew.agents


@given(endpoints(), crews())
def test_what_is_listed_once_is_remote_where_relays_serve_it(
    found: tuple[Endpoint, ...], crew: Crew
) -> None:
    listed = remote.marked(found, crew)
    served = {end.address for end in remote.spread(found, crew) if end.remote is not None}
    assert [end.address for end in listed] == [end.address for end in found]
    assert {end.address for end in listed if end.remote is not None} == served
