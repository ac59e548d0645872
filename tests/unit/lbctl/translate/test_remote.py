"""Endpoints on nodes without an agent are served by relays, where there are any."""

from dataclasses import replace
from typing import Any

import builders
from lbctl.model.virtual_service import Listener
from lbctl.translate import remote
from lbctl.translate.endpoints import Endpoint, Remote, parse_endpoints, usable
from lbctl.translate.remote import Crew

HERE = Crew(frozenset({"edge-1", "edge-2", "node-1"}), ("edge-1", "edge-2"), 2)
LISTENER = Listener("", "TCP", 80, "pool")
HOSTS = {("far", 4): builders.address("192.0.2.7")}


def endpoints(*nodes: str) -> tuple[Endpoint, ...]:
    found = [builders.endpoint(f"10.244.1.{n}", node) for n, node in enumerate(nodes, 1)]
    return parse_endpoints([builders.endpoint_slice(*found)])


def agents(**relays: bool) -> dict[str, Any]:
    return {name: builders.agent(name, relay=relay) for name, relay in relays.items()}


def test_without_a_relay_endpoints_stay_as_they_are() -> None:
    found = endpoints("node-1", "far", "")
    nobody = Crew(frozenset({"node-1"}))
    assert remote.marked(found, nobody) is found
    assert remote.spread(found, nobody) is found
    assert remote.versions({"far": 3}, nobody) == {"far": 3}


def test_where_every_node_has_an_agent_nothing_is_remote() -> None:
    found = endpoints("node-1", "edge-1")
    assert remote.marked(found, HERE) is found
    assert remote.spread(found, HERE) is found


def test_each_relay_serves_what_is_on_a_node_without_an_agent() -> None:
    found = remote.spread(endpoints("far"), HERE, HOSTS)
    assert [end.node for end in found] == ["edge-1", "edge-2"]
    assert {end.remote for end in found} == {Remote("far", builders.address("192.0.2.7"))}
    assert {end.home for end in found} == {"far"}


def test_each_relay_serves_what_is_on_no_node() -> None:
    found = remote.spread(endpoints(""), HERE, HOSTS)
    assert [(end.node, end.remote) for end in found] == [
        ("edge-1", Remote("")),
        ("edge-2", Remote("")),
    ]


def test_what_one_node_serves_weighs_as_much_as_what_all_relays_serve() -> None:
    local, *far = remote.spread(endpoints("node-1", "far"), HERE)
    assert local.share == sum(end.share for end in far) == 2


def test_a_node_without_a_known_address_has_none() -> None:
    (first, _) = remote.spread(endpoints("elsewhere"), HERE, HOSTS)
    assert first.remote == Remote("elsewhere", None)


def test_a_remote_endpoint_keeps_its_node_where_it_is_listed_once() -> None:
    (found,) = remote.marked(endpoints("far"), HERE)
    assert (found.node, found.home, found.remote) == ("far", "far", Remote("far"))


def test_endpoints_without_a_node_are_usable_where_a_relay_serves_them() -> None:
    nodeless = endpoints("")
    assert usable(nodeless) == ()
    assert usable(remote.marked(nodeless, HERE)) == remote.marked(nodeless, HERE)


def test_a_node_is_asked_at_its_node_port_or_not_at_all() -> None:
    (far, free) = remote.marked(endpoints("far", ""), HERE)
    with_port = replace(LISTENER, node_port=30080)
    assert (far.port_for(LISTENER), far.port_for(with_port)) == (None, 8080)
    assert (free.port_for(LISTENER), free.port_for(with_port)) == (8080, 8080)


def test_relays_are_the_nodes_that_say_so() -> None:
    assert remote.crew_of(agents(b=True, a=True, c=False)) == Crew(
        frozenset("abc"), ("a", "b"), sharing=2
    )


def test_excluded_relays_have_no_share_while_others_have() -> None:
    found = agents(a=True, b=True)
    found["a"] = replace(found["a"], excluded="drained")
    assert remote.crew_of(found).sharing == 1
    found["b"] = replace(found["b"], excluded="drained")
    assert remote.crew_of(found).sharing == 2


def test_relays_answer_for_the_newest_slice_of_nodes_without_an_agent() -> None:
    known = {"node-1": 9, "far": 7, "": 5, "edge-1": 8}
    found = remote.versions(known, HERE)
    assert (found["edge-1"], found["edge-2"], found["node-1"]) == (8, 7, 9)


def test_a_node_is_reached_at_its_first_internal_address_of_a_family() -> None:
    told = (
        ("Hostname", "node-1"),
        ("ExternalIP", "203.0.113.1"),
        ("InternalIP", "192.0.2.1"),
        ("InternalIP", "192.0.2.2"),
        ("InternalIP", "2001:db8::1"),
        ("InternalIP", "not an address"),
    )
    entries = [{"type": kind, "address": text} for kind, text in told]
    assert remote.addresses({"status": {"addresses": entries}}) == {
        4: builders.address("192.0.2.1"),
        6: builders.address("2001:db8::1"),
    }
    assert remote.addresses({}) == {}
