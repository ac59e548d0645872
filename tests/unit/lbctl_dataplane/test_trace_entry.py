"""Where a packet can get from the node that a fabric without weights brings it to."""

import dataclasses
import ipaddress

import pytest

import dataplane_builders as build
from lbctl.model.virtual_service import Policy, VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl.translate.failing import FailingMember
from lbctl_dataplane import tracing
from lbctl_dataplane.rules import tracer, tracer_entry
from lbctl_dataplane.rules.router.legs import Forwarding, Knowledge, LegAddress, ServingNode
from lbctl_dataplane.rules.tracer import Packet, Trace, Verdict

PACKET = Packet(build.ip("203.0.113.10"), build.place())
PORTS = (("", "TCP", 8080),)
AUTO, ALWAYS = (
    Forwarding(everywhere, (ipaddress.ip_network("172.31.240.0/24"),))
    for everywhere in (False, True)
)
NOT_OURS = "kube-proxy or the node's routes decide"


def end(address: str, node: str, *, ready: bool = True) -> Endpoint:
    return Endpoint(build.ip(address), node, ready, ready, False, PORTS)


def node(name: str, leg: str, **fields: object) -> ServingNode:
    legs = (LegAddress(build.ip(leg), ""),)
    made = ServingNode(name, legs, 9, 9, backend="nft", forwarding=AUTO)
    return dataclasses.replace(made, **fields)  # type: ignore[arg-type]


NODES = {
    "one": node("one", "172.31.240.11"),
    "two": node("two", "172.31.240.12"),
    "far": node("far", "172.31.242.13"),
}
ENDS = (end("10.0.2.1", "two"), end("10.0.2.2", "two"), end("10.0.3.1", "far"))


def entered(
    entry: str = "one",
    *,
    ends: tuple[Endpoint, ...] = ENDS,
    service: VirtualService | None = None,
    **changed: dict[str, object],
) -> Trace:
    """Return the trace from a node; nodes are `changed` by these fields."""
    nodes = {name: dataclasses.replace(NODES[name], **changed.get(name, {})) for name in NODES}  # type: ignore[arg-type]
    claim = tracer.claim_at([service or build.service()], PACKET.place)
    assert claim is not None
    return tracer_entry.trace(PACKET, claim, Knowledge(ends, {}, 5), nodes, entry)


def ways(found: Trace) -> list[tuple[str, int, str]]:
    return [(way.node, way.weight, way.by) for way in found.ways]


def test_what_a_node_has_no_members_of_goes_to_peers_by_link_or_tunnel() -> None:
    found = entered()
    assert (found.verdict, found.why) == (Verdict.DELIVERED, "")
    assert ways(found) == [("far", 1, "lbctl-vx"), ("two", 2, "link")]
    assert found.members == frozenset(build.members("10.0.2.1", "10.0.2.2", "10.0.3.1"))


def test_a_node_keeps_what_it_has_members_of_unless_it_passes_on_everywhere() -> None:
    assert ways(entered("two")) == [("two", 2, "")]
    everywhere = entered("two", two={"forwarding": ALWAYS})
    assert ways(everywhere) == [("far", 1, "lbctl-vx"), ("two", 2, "")]


def test_policy_local_is_not_passed_on() -> None:
    local = build.service(policy=Policy(external_traffic_policy="Local"))
    assert ways(entered("two", service=local, two={"forwarding": ALWAYS})) == [("two", 2, "")]
    assert ways(entered(service=local)) == []


@pytest.mark.parametrize(
    ("backend", "verdict"),
    [("nft", Verdict.UNKNOWN), ("announce-only", Verdict.UNKNOWN), ("ovs", Verdict.REFUSED)],
)
def test_a_node_that_passes_nothing_on_says_so(backend: str, verdict: Verdict) -> None:
    found = entered(one={"forwarding": None, "backend": backend})
    assert (found.verdict, ways(found)) == (verdict, [])
    assert found.why.startswith("one has no members for it, and passes nothing of it on")
    assert found.why.endswith(NOT_OURS) is (verdict is Verdict.UNKNOWN)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"backend": "ipvs"}, "nothing is passed on to backend ipvs"),
        (
            {"backend": "ovs", "forwarding": None},
            "it takes nothing from peers: its gateway or its link is not known",
        ),
        ({"backend": ""}, "nothing is passed on to backend unknown"),
        ({"decisions": 4}, "it has not programmed the decision yet"),
        ({"legs": ()}, "it has no IPv4 leg"),
        ({"excluded": True}, "it is excluded from load balancers"),
    ],
)
def test_a_peer_that_is_passed_by_says_why(fields: dict[str, object], why: str) -> None:
    found = entered(two=fields)
    assert ways(found) == [("far", 1, "lbctl-vx")]
    assert [(past.node, past.why) for past in found.detours] == [("two", why)]


def test_a_node_with_a_switch_takes_and_passes_on_by_its_link_alone() -> None:
    assert ways(entered(two={"backend": "ovs"})) == ways(entered())
    found = entered(one={"backend": "ovs"})
    assert ways(found) == [("two", 2, "link")]
    assert [past.why for past in found.detours] == ["neither link nor tunnel leads to its leg"]


def test_without_a_leg_of_its_own_a_node_has_no_tunnel() -> None:
    found = entered(one={"legs": ()})
    assert ways(found) == [("two", 2, "link")]
    assert [past.why for past in found.detours] == ["neither link nor tunnel leads to its leg"]


def test_where_no_peer_can_take_it_the_node_is_on_its_own() -> None:
    late: dict[str, object] = {"decisions": 4}
    found = entered(two=late, far=late)
    assert (found.verdict, found.ways) == (Verdict.UNKNOWN, ())
    assert (
        found.why == f"one has no members for it, and no peer that has can take it yet: {NOT_OURS}"
    )


def test_members_that_fail_their_monitor_are_not_passed_on_to() -> None:
    fails = FailingMember("default.kuard", build.ip("10.0.2.1"), "TCP", 8080, "TimedOut")
    assert ways(entered(two={"failing": (fails,)})) == [("far", 1, "lbctl-vx"), ("two", 1, "link")]


@pytest.mark.parametrize("entry", ["one", "two"])
def test_who_is_in_no_source_range_is_dropped_wherever_he_enters(entry: str) -> None:
    only = build.service(policy=Policy(source_ranges=("198.51.100.0/24",)))
    found = entered(entry, service=only)
    assert (found.verdict, found.members) == (Verdict.DROPPED, frozenset())


def test_without_usable_endpoints_every_node_refuses() -> None:
    found = entered(ends=(end("10.0.2.1", "two", ready=False),))
    assert (found.verdict, found.why) == (Verdict.REFUSED, "it has no usable endpoint")


def test_a_node_without_an_agent_cannot_be_told() -> None:
    found = entered("four")
    assert (found.verdict, found.why) == (Verdict.UNKNOWN, "no agent reports from four")


def test_people_read_by_which_way_it_goes_on() -> None:
    assert tracing.render_text(entered()).splitlines()[2:] == [
        "  enters by one",
        "  far: 1 of 3 new flows, by device lbctl-vx to 172.31.242.13",
        "    10.0.3.1:8080",
        "  two: 2 of 3 new flows, by the link to 172.31.240.12",
        "    10.0.2.1:8080",
        "    10.0.2.2:8080",
        "Delivered",
    ]
    assert "  two: 2 of 2 new flows, here" in tracing.render_text(entered("two")).splitlines()
