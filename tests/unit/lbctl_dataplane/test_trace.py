"""Where a packet can get, and what stands in its way otherwise."""

import dataclasses

import pytest

import dataplane_builders as build
import event_loops
import policy_builders
from fakes import api_server
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.model.policy import MemberWeight
from lbctl.model.virtual_service import Listener, Phase, Policy, ServiceRef, VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl.translate.failing import FailingMember
from lbctl_dataplane import tracing
from lbctl_dataplane.rules import frontend, tracer
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode
from lbctl_dataplane.rules.tracer import Packet, Trace, Verdict

CLIENT, CLIENT6 = build.ip("203.0.113.10"), build.ip("2001:db8:c::10")
PLACE, PLACE6 = build.place(), build.place("2001:2::1")
PORTS = (("", "TCP", 8080),)


def end(address: str, node: str, **state: bool) -> Endpoint:
    stated = {"ready": True, "serving": True, "terminating": False, **state}
    return Endpoint(build.ip(address), node, ports=PORTS, **stated)


def node(name: str, number: int, **fields: object) -> ServingNode:
    own = tuple(
        LegAddress(build.ip(text), "") for text in (f"172.31.241.{number}", f"fd00::{number}")
    )
    return dataclasses.replace(ServingNode(name, own, 9, 9), **fields)  # type: ignore[arg-type]


ENDS = (end("10.0.1.1", "one"), end("10.0.1.2", "one"), end("10.0.2.1", "two"))
NODES = {"one": node("one", 1), "two": node("two", 2)}
SERVICE = build.service()


def walked(
    packet: Packet = Packet(CLIENT, PLACE),  # noqa: B008 - frozen
    *services: VirtualService,
    ends: tuple[Endpoint, ...] = ENDS,
    nodes: dict[str, ServingNode] = NODES,
    known: Knowledge | None = None,
) -> Trace:
    chosen = services or (SERVICE,)
    claim = tracer.claim_at(chosen, packet.place)
    if claim is None:
        return tracer.nobody(packet, chosen)
    return tracer.trace(packet, claim, known or Knowledge(ends, {"one": 5, "two": 5}, 5), nodes)


def test_a_flow_goes_to_the_nodes_by_members_and_there_to_one_of_them() -> None:
    found = walked()
    assert (found.verdict, found.why) == (Verdict.DELIVERED, "")
    assert [(way.node, way.weight, str(way.leg)) for way in found.ways] == [
        ("one", 2, "172.31.241.1"),
        ("two", 1, "172.31.241.2"),
    ]
    assert found.members == frozenset(build.members("10.0.1.1", "10.0.1.2", "10.0.2.1"))


def test_each_family_goes_by_its_own_legs_to_its_own_members() -> None:
    six = (end("fd00:1::1", "two"), *ENDS)
    found = walked(Packet(CLIENT6, PLACE6), ends=six)
    assert [(way.node, str(way.leg)) for way in found.ways] == [("two", "fd00::2")]
    assert found.members == frozenset(build.members("fd00:1::1"))


def fails(*addresses: str) -> tuple[FailingMember, ...]:
    return tuple(
        FailingMember(SERVICE.key, build.ip(address), "TCP", 8080, "TimedOut")
        for address in addresses
    )


def test_members_that_fail_their_monitor_get_nothing_unless_all_do() -> None:
    one = {**NODES, "one": node("one", 1, failing=fails("10.0.1.1"))}
    found = walked(nodes=one)
    assert [(way.node, way.weight) for way in found.ways] == [("one", 1), ("two", 1)]
    assert found.members == frozenset(build.members("10.0.1.2", "10.0.2.1"))
    both = {**NODES, "one": node("one", 1, failing=fails("10.0.1.1", "10.0.1.2"))}
    found = walked(nodes=both)
    assert [way.node for way in found.ways] == ["two"]
    assert [(past.node, past.why) for past in found.detours] == [
        ("one", "its members fail their health monitor")
    ]
    every = {**both, "two": node("two", 2, failing=fails("10.0.2.1"))}
    assert walked(nodes=every).members == walked().members


def test_who_is_in_no_source_range_is_dropped_by_the_node() -> None:
    only = build.service(policy=Policy(source_ranges=("198.51.100.0/24", "junk")))
    found = walked(Packet(CLIENT, PLACE), only)
    assert (found.verdict, found.members) == (Verdict.DROPPED, frozenset())
    assert found.why == "203.0.113.10 is in none of its source ranges"
    within = Packet(build.ip("198.51.100.7"), PLACE)
    assert walked(within, only).verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"legs": ()}, "it has no IPv4 leg"),
        ({"exempt": frozenset({SERVICE.key})}, "it could not program its members"),
        ({"decisions": 4}, "it has not programmed the decision yet"),
        ({"slices": 4}, "it has not programmed its newest endpoints yet"),
        ({"excluded": True}, "it is excluded from load balancers"),
    ],
)
def test_a_node_that_is_passed_by_says_why(fields: dict[str, object], why: str) -> None:
    found = walked(nodes={**NODES, "two": node("two", 2, **fields)})
    assert [way.node for way in found.ways] == ["one"]
    assert [(past.node, past.why) for past in found.detours] == [("two", why)]
    assert found.verdict is Verdict.DELIVERED


def test_a_node_without_an_agent_takes_nothing() -> None:
    found = walked(nodes={"one": NODES["one"]})
    assert [(past.node, past.why) for past in found.detours] == [
        ("two", "no agent reports from it")
    ]


@pytest.mark.parametrize(
    ("ends", "nodes", "why"),
    [
        ((), NODES, "it has no usable endpoint"),
        ((end("10.0.1.1", "one", ready=False),), NODES, "it has no usable endpoint"),
        (ENDS, {}, "no node that has members can take it yet"),
    ],
)
def test_without_a_way_the_router_refuses(
    ends: tuple[Endpoint, ...], nodes: dict[str, ServingNode], why: str
) -> None:
    found = walked(ends=ends, nodes=nodes)
    assert (found.verdict, found.why, found.ways) == (Verdict.REFUSED, why, ())


@pytest.mark.parametrize(
    ("name", "why"),
    [("web", "L4Policy web says enabled: false"), ("", "its policy says enabled: false")],
)
def test_traffic_that_is_switched_off_is_refused_by_the_policy(name: str, why: str) -> None:
    claim = tracer.claim_at([build.service(policy=Policy(enabled=False))], PLACE)
    assert claim is not None
    found = tracer.trace(Packet(CLIENT, PLACE), claim, Knowledge(ENDS), NODES, name)
    assert (found.verdict, found.why) == (Verdict.REFUSED, why)


def test_members_of_weight_zero_refuse() -> None:
    weights = tuple(MemberWeight(0, node=name) for name in NODES)
    found = walked(Packet(CLIENT, PLACE), build.service(policy=Policy(weights=weights)))
    assert (found.verdict, found.why) == (Verdict.REFUSED, "its ready endpoints have weight 0")


@pytest.mark.parametrize(("service", "name"), [("kuard", "older"), ("other", "")])
def test_the_policy_that_counts_is_found_in_the_namespace(service: str, name: str) -> None:
    async def scene() -> str:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            for made in (policy_builders.policy("older"), policy_builders.policy("younger")):
                await api.create(resources.L4_POLICIES, made, "default")
            return await tracing.policy_of(api, ServiceRef("default", service, "uid"))

    assert event_loops.run(scene()) == name


def test_terminating_members_serve_where_no_other_does() -> None:
    leaving = (end("10.0.1.1", "one", ready=False, terminating=True),)
    assert walked(ends=leaving).members == frozenset(build.members("10.0.1.1"))


def test_a_port_that_nobody_has_is_refused_with_those_there_are() -> None:
    found = walked(Packet(CLIENT, build.place(port=81)))
    assert (found.verdict, found.why) == (Verdict.REFUSED, "port 81/TCP is none of 80/TCP")


def test_a_withdrawn_service_refuses() -> None:
    found = walked(Packet(CLIENT, PLACE), build.service(phase=Phase.WITHDRAWN))
    assert (found.verdict, found.why) == (
        Verdict.REFUSED,
        "lab--default-kuard is being withdrawn",
    )


def test_an_address_of_nobody_is_not_ours_to_tell() -> None:
    found = walked(Packet(CLIENT, build.place("192.0.2.1")))
    assert (found.verdict, found.service) == (Verdict.UNKNOWN, None)


def test_people_read_the_way_from_top_to_bottom() -> None:
    shown = tracing.render_text(walked(nodes={"one": NODES["one"]}))
    assert shown.splitlines() == [
        "203.0.113.10 → 198.18.0.1:80 TCP",
        "  lab--default-kuard (default/kuard, Serving)",
        "  one: 2 of 2 new flows, by leg 172.31.241.1",
        "    10.0.1.1:8080",
        "    10.0.1.2:8080",
        "  two: none, no agent reports from it",
        "Delivered",
    ]


@pytest.mark.parametrize(
    ("client", "place", "vip", "port"),
    [
        ("203.0.113.10", "198.18.0.1:80", "198.18.0.1", 80),
        ("2001:db8::1", "[2001:2::1]:53", "2001:2::1", 53),
    ],
)
def test_a_place_is_written_as_in_a_url(client: str, place: str, vip: str, port: int) -> None:
    found = tracing.parse_packet(client, place, "UDP")
    assert (str(found.place.vip), found.place.port, found.place.protocol) == (vip, port, "UDP")


@pytest.mark.parametrize(
    ("client", "place"),
    [
        ("203.0.113.10", "198.18.0.1"),
        ("203.0.113.10", "198.18.0.1:0"),
        ("203.0.113.10", "198.18.0.1:65536"),
        ("203.0.113.10", "[2001:2::1]:80"),
        ("nobody", "198.18.0.1:80"),
        ("203.0.113.10", "kuard:80"),
    ],
)
def test_what_is_no_packet_is_refused(client: str, place: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        tracing.parse_packet(client, place, "TCP")


def test_members_on_nodes_without_an_agent_are_shown_where_relays_ask_for_them() -> None:
    listeners = (Listener("", "TCP", 80, "pool", 30080),)
    (claim,) = frontend.claims([build.service(vips=["198.18.0.1"], listeners=listeners)])
    relays = {"edge": node("edge", 1, relay=True, decisions=10**9, slices=10**9)}
    far = {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]}

    async def scene() -> Trace:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            await api.create(resources.NODES, {"metadata": {"name": "far"}})
            await api.patch(resources.NODES, "far", {"status": far}, sub="status")
            slice_ = build.slice_object("kuard-1", 1, ("10.0.1.1", "far"))
            del slice_["metadata"]["resourceVersion"]
            await api.create(resources.ENDPOINT_SLICES, slice_, "default")
            known = await tracing._known(api, claim, 5, relays)
            return tracer.trace(Packet(CLIENT, PLACE), claim, known, relays)

    (way,) = event_loops.run(scene()).ways
    (member,) = way.members
    assert (way.node, str(member.address), member.port) == ("edge", "192.0.2.7", 30080)
