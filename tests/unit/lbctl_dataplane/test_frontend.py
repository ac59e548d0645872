"""Who a node answers for."""

import pytest

import dataplane_builders as build
import dataplane_whole as whole
from lbctl.model.virtual_service import Listener, Phase, Policy, VipRole, VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.frontend import Frontend


def endpoint(
    address: str, node: str = "node-1", *, ready: bool = True, terminating: bool = False
) -> Endpoint:
    serving = ready or terminating
    ports = (("", "TCP", 8080),)
    return Endpoint(build.ip(address), node, ready, serving, terminating, ports)


def of(service: VirtualService, *endpoints: Endpoint) -> dict[str, Frontend]:
    found = whole.frontends([service], {service.key: endpoints}, "node-1")
    return {str(entry.place.vip): entry for entry in found}


def test_members_of_other_nodes_are_theirs() -> None:
    found = of(build.service(), endpoint("10.0.0.1"), endpoint("10.0.0.2", "node-2"))
    assert found["198.18.0.1"].members == build.members("10.0.0.1")


@pytest.mark.parametrize(
    ("ends", "elsewhere"),
    [
        ((), False),
        ((endpoint("10.0.0.2", "node-2"),), True),
        ((endpoint("10.0.0.2", "node-2", ready=False, terminating=True),), True),
        ((endpoint("10.0.0.2", "node-2", ready=False),), False),
        ((endpoint("fd00::2", "node-2"),), False),
    ],
    ids=["none", "ready elsewhere", "leaving elsewhere", "not ready elsewhere", "other family"],
)
def test_a_place_without_local_members_is_vacant_unless_others_serve_it(
    ends: tuple[Endpoint, ...], elsewhere: bool
) -> None:
    found = of(build.service(), *ends)["198.18.0.1"]
    assert found.all_members == ()
    assert (found.elsewhere, found.vacant) == (elsewhere, not elsewhere)


def test_a_place_is_not_vacant_while_a_member_here_may_have_connections() -> None:
    found = of(build.service(), endpoint("10.0.0.1", ready=False))["198.18.0.1"]
    assert (found.lingering, found.vacant) == (build.members("10.0.0.1"), False)


def test_each_family_has_its_own_members() -> None:
    found = of(build.service(), endpoint("10.0.0.1"), endpoint("fd00::1"))
    assert found["198.18.0.1"].members == build.members("10.0.0.1")
    assert found["2001:2::1"].members == build.members("fd00::1")


def test_a_terminating_member_lingers_while_another_is_ready_beside_it() -> None:
    leaving = endpoint("10.0.0.1", ready=False, terminating=True)
    found = of(build.service(), leaving, endpoint("10.0.0.2"))["198.18.0.1"]
    assert found.members == build.members("10.0.0.2")
    assert found.lingering == build.members("10.0.0.1")


def test_a_terminating_member_serves_what_still_comes_to_its_node() -> None:
    # Others are ready elsewhere, and the router learns of it a moment later than this node.
    leaving = endpoint("10.0.0.1", ready=False, terminating=True)
    found = of(build.service(), leaving, endpoint("10.0.0.2", "node-2"))["198.18.0.1"]
    assert found.members == build.members("10.0.0.1")


@pytest.mark.parametrize("traffic_policy", ["Cluster", "Local"])
def test_the_traffic_policy_changes_nothing_for_a_node(traffic_policy: str) -> None:
    policy = Policy(external_traffic_policy=traffic_policy)
    ends = (endpoint("10.0.0.1"), endpoint("10.0.0.2", "node-2"), endpoint("10.0.0.3", ""))
    found = of(build.service(policy=policy), *ends)["198.18.0.1"]
    assert found.all_members == build.members("10.0.0.1")


def test_terminating_members_serve_when_nobody_is_ready() -> None:
    leaving = endpoint("10.0.0.1", ready=False, terminating=True)
    assert of(build.service(), leaving)["198.18.0.1"].members == build.members("10.0.0.1")


def test_a_member_that_is_not_ready_keeps_what_it_has() -> None:
    found = of(build.service(), endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False))
    assert found["198.18.0.1"].lingering == build.members("10.0.0.2")


def test_readiness_of_one_family_says_nothing_about_the_other() -> None:
    leaving = endpoint("fd00::1", ready=False, terminating=True)
    found = of(build.service(), endpoint("10.0.0.1"), leaving)
    assert found["2001:2::1"].members == build.members("fd00::1")


@pytest.mark.parametrize(("phase", "count"), [(Phase.DRAINING, 1), (Phase.WITHDRAWN, 0)])
def test_traffic_goes_on_until_withdrawal(phase: Phase, count: int) -> None:
    service = build.service(vips=["198.18.0.1"], phase=phase)
    assert len(of(service, endpoint("10.0.0.1"))) == count


def test_an_endpoint_without_the_port_is_no_member() -> None:
    service = build.service(listeners=(Listener("metrics", "TCP", 9000, "pool"),))
    assert all(entry.vacant for entry in of(service, endpoint("10.0.0.1")).values())


def test_policy_becomes_affinity_and_ranges_of_the_family() -> None:
    policy = Policy(session_affinity="ClientIP", source_ranges=("192.0.2.0/24", "2001:db8::/32"))
    found = of(build.service(policy=policy), endpoint("10.0.0.1"), endpoint("fd00::1"))
    assert found["198.18.0.1"].affinity
    assert found["198.18.0.1"].source_ranges == ("192.0.2.0/24",)
    assert found["2001:2::1"].source_ranges == ("2001:db8::/32",)
    assert not found["198.18.0.1"].open_to_all


def test_ranges_of_the_other_family_alone_let_nobody_in() -> None:
    policy = Policy(source_ranges=("2001:db8::/32",))
    found = of(build.service(policy=policy), endpoint("10.0.0.1"))["198.18.0.1"]
    assert found.source_ranges == ()
    assert not found.open_to_all


def test_ranges_are_as_few_as_say_the_same() -> None:
    many = ("10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "::/1", "8000::/1", "192.0.2.9/32")
    assert frontend.merged(many, 4) == ("10.0.0.0/8", "192.0.2.9/32")
    assert frontend.merged(many, 6) == ("::/0",)


def test_a_range_that_does_not_parse_lets_nobody_in() -> None:
    policy = Policy(source_ranges=("kuard",))
    found = of(build.service(policy=policy), endpoint("10.0.0.1"))["198.18.0.1"]
    assert found.source_ranges == ()
    assert not found.open_to_all


def test_one_place_has_one_owner_and_the_outgoing_yields() -> None:
    leaving = build.service("a", ["198.18.0.1"], role=VipRole.OUTGOING)
    coming = build.service("b", ["198.18.0.1"])
    later = build.service("c", ["198.18.0.1"])
    assert [claim.service.key for claim in frontend.claims([leaving, later, coming])] == [
        "default.b"
    ]
