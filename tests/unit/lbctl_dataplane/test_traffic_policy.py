"""What a policy's rules mean for a node and a router."""

import dataclasses
import ipaddress

import pytest

from lbctl.model.policy import Limits, MemberWeight
from lbctl.model.virtual_service import (
    Listener,
    Phase,
    Policy,
    ServiceRef,
    Vip,
    VipRole,
    VirtualService,
    parse_virtual_service,
    render_virtual_service,
)
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.local import LocalFrontends
from lbctl_dataplane.rules.router import legs
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode

VIP = ipaddress.ip_address("192.0.2.1")
POD = Endpoint(
    ipaddress.ip_address("10.244.1.1"),
    "node-1",
    ready=True,
    serving=True,
    terminating=False,
    ports=(("", "TCP", 8080),),
)


def decision(**policy: object) -> VirtualService:
    return VirtualService(
        service=ServiceRef("default", "kuard", "uid-1"),
        name="lab--default-kuard",
        phase=Phase.SERVING,
        vips=(Vip(VIP, VipRole.CURRENT, "ip-192-0-2-1", "uid-a"),),
        listeners=(Listener("", "TCP", 8080, "lab--default-kuard--8080"),),
        policy=dataclasses.replace(Policy(), **policy),  # type: ignore[arg-type]
    )


def test_with_traffic_off_a_node_refuses_and_the_router_has_nobody() -> None:
    for enabled, count in ((True, 1), (False, 0)):
        service = decision(enabled=enabled)
        endpoints = {service.key: (POD,)}
        (found,) = LocalFrontends("node-1").of([service], endpoints)
        assert (len(found.members), found.vacant) == (count, not enabled)
        (claim,) = frontend.claims([service])  # the router still refuses what comes
        leg = LegAddress(ipaddress.ip_address("172.31.241.6"), "")
        nodes = {"node-1": ServingNode("node-1", (leg,), 10**9, 10**9)}
        shares = legs.shares(claim, Knowledge((POD,)), nodes, frozenset())
        assert len(shares) == count
        assert len(frontend.keeping(claim, (POD,))) == count


@pytest.mark.parametrize(
    ("policy", "by_client"),
    [
        ({}, False),
        ({"algorithm": "round-robin"}, False),
        ({"algorithm": "source-hash"}, True),
        ({"session_affinity": "ClientIP"}, True),
    ],
)
def test_a_hash_of_the_source_is_chosen_by_the_client_alone(
    policy: dict[str, str], by_client: bool
) -> None:
    service = decision(**policy)
    (found,) = LocalFrontends("node-1").of([service], {service.key: (POD,)})
    assert found.affinity is by_client


def test_rules_go_by_the_decision_and_what_is_usual_is_left_out() -> None:
    full = decision(
        enabled=False,
        algorithm="least-connections",
        limits=Limits(connections=9, connections_per_client=2),
        drain_timeout_s=0,
        weights=(MemberWeight(0, node="node-1"), MemberWeight(9, addresses="10.0.0.0/8")),
    )
    spec = render_virtual_service(full)
    assert spec["policy"]["limits"] == {"connections": 9, "connectionsPerClient": 2}
    assert parse_virtual_service({"spec": spec}) == full
    plain = render_virtual_service(decision())["policy"]
    assert plain.keys().isdisjoint({"enabled", "limits", "drainTimeoutSeconds", "memberWeights"})


def test_members_have_the_weights_that_fit_them_and_legs_their_sums() -> None:
    others = tuple(
        dataclasses.replace(POD, address=ipaddress.ip_address(f"10.244.{n}.9"), node=f"node-{n}")
        for n in (1, 2)
    )
    service = decision(weights=(MemberWeight(5, addresses="10.244.1.1/32"),))
    ends = (POD, *others)
    (here,) = LocalFrontends("node-1").of([service], {service.key: ends})
    assert [member.weight for member in here.members] == [5, 1]
    (claim,) = frontend.claims([service])
    leg = LegAddress(ipaddress.ip_address("172.31.241.6"), "")
    nodes = {f"node-{n}": ServingNode(f"node-{n}", (leg,), 10**9, 10**9) for n in (1, 2)}
    assert legs.shares(claim, Knowledge(ends), nodes, frozenset()) == {"node-1": 6, "node-2": 1}


def test_a_member_of_weight_zero_keeps_its_flows_and_gets_nobody_new() -> None:
    service = decision(weights=(MemberWeight(0, node="node-1"),))
    (here,) = LocalFrontends("node-1").of([service], {service.key: (POD,)})
    assert here.members == ()
    assert [member.address for member in here.lingering] == [POD.address]
    (claim,) = frontend.claims([service])
    assert frontend.usable_at(claim, (POD,)) == ()
    assert frontend.keeping(claim, (POD,)) == (POD,)
