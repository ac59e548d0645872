"""One contract for every node backend: the one in memory, and those with real packets."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

import dataplane_bed
import dataplane_builders as build
import ipvs_bed
from dataplane_worlds import (
    PODS,
    TARGET,
    V4,
    V6,
    MemoryWorld,
    NftWorld,
    OvsWorld,
    World,
    bed_with_pods,
    names,
    serve,
    talks,
    weighted,
)
from ipvs_world import IpvsWorld
from lbctl.model.policy import CAPABILITIES, EVERYWHERE, Aspect, Limits
from lbctl_dataplane.rules.draining import Draining
from lbctl_dataplane.rules.frontend import Frontend


@pytest.fixture(scope="module")
def bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("any") as made:
        yield made


@pytest.fixture(scope="module")
def guest_bed() -> Iterator[ipvs_bed.IpvsBed]:
    with ipvs_bed.bed_with_pods("any-ipvs", PODS, TARGET) as made:
        yield made


WITH_PACKETS: dict[str, tuple[Callable[..., World], str]] = {
    "ovs": (OvsWorld, "bed"),
    "nft": (NftWorld, "routed_bed"),
    "ipvs": (IpvsWorld, "guest_bed"),
}
"""The other backends, each with the fixture of its bed."""


@pytest.fixture(
    params=["memory", *(pytest.param(name, marks=pytest.mark.root) for name in WITH_PACKETS)]
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    kind, bed_name = WITH_PACKETS[request.param]
    made = kind(request.getfixturevalue(bed_name))
    yield made
    made.program()


ABLE = CAPABILITIES | {
    "memory": EVERYWHERE | {Aspect.SOURCE_HASH, Aspect.ROUND_ROBIN, Aspect.LEAST_CONNECTIONS}
}
"""What each backend says that it can do."""
LIMITS = frozenset(
    {Aspect.CONNECTIONS, Aspect.CONNECTIONS_PER_SECOND, Aspect.CONNECTIONS_PER_CLIENT}
)
"""IPVS has them by the table beside it, which the guest has not; see test_ipvs_guarded_vips."""


@pytest.fixture
def able(request: pytest.FixtureRequest) -> frozenset[Aspect]:
    name = request.node.callspec.params["world"]
    return ABLE[name] - LIMITS if name == "ipvs" else ABLE[name]


both = pytest.mark.parametrize("vip", [V4, V6])
all_protocols = pytest.mark.parametrize("protocol", ["TCP", "UDP"])


@both
@all_protocols
def test_new_connections_reach_all_members(world: World, vip: str, protocol: str) -> None:
    at = build.place(vip, protocol)
    world.program(serve(world, at, (1, 2, 3)))
    with talks(world, at, 45) as made:
        assert set(names(made)) == {"pod1", "pod2", "pod3"}


@both
@all_protocols
def test_scaling_breaks_no_connection_of_a_member_that_stays(
    world: World, vip: str, protocol: str
) -> None:
    at = build.place(vip, protocol)
    world.program(serve(world, at, (1, 2, 3, 4)))
    with talks(world, at, 80) as made:
        before = names(made)
        assert "" not in before
        world.program(serve(world, at, (1, 2, 3, 4, 5)))
        assert names(made) == before
        world.program(serve(world, at, (1, 2, 3), lingering=(4, 5)))
        assert names(made) == before
        world.program(serve(world, at, (1, 2, 3)))
        staying = [(talk, name) for talk, name in zip(made, before, strict=True) if name != "pod4"]
        assert names([talk for talk, _ in staying]) == [name for _, name in staying]


@both
def test_a_lingering_member_gets_nobody_new(world: World, vip: str) -> None:
    at = build.place(vip)
    world.program(serve(world, at, (1, 2)))
    world.program(serve(world, at, (1,), lingering=(2,)))
    with talks(world, at, 20) as made:
        assert set(names(made)) == {"pod1"}


@both
@all_protocols
def test_a_place_where_nobody_gets_new_connections_answers_nobody(
    world: World, vip: str, protocol: str
) -> None:
    at = build.place(vip, protocol)
    world.program(serve(world, at, (), lingering=(1,)))
    with talks(world, at, 1) as made:
        assert names(made) == [""]
    # A switch can't tell a datagram to a lingering member from one of a new client.
    assert protocol == "UDP" or world.refuses(at)


@both
@all_protocols
def test_a_place_without_members_anywhere_refuses_clients_at_once(
    world: World, vip: str, protocol: str
) -> None:
    at = build.place(vip, protocol)
    world.program(serve(world, at, ()), serve(world, build.place("198.18.0.9"), (1,)))
    assert world.refuses(at) is world.refuses_vacant
    world.program(serve(world, at, (1,)))
    assert not world.refuses(at)
    world.program(serve(world, at, ()))
    assert world.refuses(at) is world.refuses_vacant
    with talks(world, at, 1) as made:
        assert names(made) == [""]


@both
@all_protocols
def test_a_port_that_no_service_has_refuses_clients_at_once(
    world: World, vip: str, protocol: str
) -> None:
    world.program(serve(world, build.place(vip, protocol), (1,)))
    assert world.refuses(build.place(vip, protocol, port=9))


@both
def test_a_vip_answers_pings_while_it_has_members(world: World, vip: str) -> None:
    world.program(serve(world, build.place(vip), (1,)), serve(world, build.place("198.18.0.9"), ()))
    assert world.pings(vip, timeout_s=5)
    world.program(serve(world, build.place(vip), (), elsewhere=True))
    assert not world.pings(vip, timeout_s=0.7)


def test_what_is_withdrawn_is_gone_at_once(world: World) -> None:
    at = build.place(V4)
    world.program(serve(world, at, (1,)))
    with talks(world, at, 1) as made:
        assert names(made) == ["pod1"]
        world.program()
        assert names(made) == [""]


def test_programming_the_same_again_changes_nothing(world: World) -> None:
    wanted = [serve(world, build.place(vip), (1, 2)) for vip in (V4, V6)]
    assert world.program(*wanted).changed > 0
    assert world.program(*wanted).changed == 0


def test_a_member_without_a_port_here_is_named_and_the_others_serve(world: World) -> None:
    at = build.place(V4)
    wanted = Frontend("default.kuard", at, build.members("10.99.0.9", world.address(1, 4)))
    assert world.program(wanted).missing == {"default.kuard": (build.ip("10.99.0.9"),)}
    with talks(world, at, 5) as made:
        assert set(names(made)) == {"pod1"}


@both
def test_weights_are_shares_of_new_connections_and_move_none(world: World, vip: str) -> None:
    at = build.place(vip)
    world.program(weighted(world, at, {1: 9, 2: 1}))
    with talks(world, at, 100) as made:
        before = names(made)
        # Five times the standard deviation from nine in ten, and as far from one half.
        assert 75 <= Counter(before)["pod1"] <= 99
        assert Counter(before)["pod1"] + Counter(before)["pod2"] == 100
        world.program(weighted(world, at, {1: 1, 2: 9}))
        assert names(made) == before


@both
def test_members_take_turns_where_the_backend_can_count(
    world: World, able: frozenset[Aspect], vip: str
) -> None:
    at, pods = build.place(vip), (1, 2, 3, 4)
    world.program(serve(world, at, pods, algorithm="round-robin"))
    with talks(world, at, 40) as made:
        found = Counter(names(made))
    assert found.keys() == {f"pod{pod}" for pod in pods}
    if Aspect.ROUND_ROBIN in able:
        # The round ends in the middle of a table of 41 slots.
        assert set(found.values()) <= {9, 10, 11}


def test_who_has_fewest_connections_is_next_where_the_backend_knows(
    world: World, able: frozenset[Aspect]
) -> None:
    at = build.place(V4)
    world.program(serve(world, at, (1, 2), algorithm="least-connections"))
    with talks(world, at, 12) as made:
        assert {*names(made)} == {"pod1", "pod2"}
        world.program(serve(world, at, (1, 2, 3), algorithm="least-connections"))
        with talks(world, at, 5) as later:
            found = names(later)
    if Aspect.LEAST_CONNECTIONS in able:
        assert found == ["pod3"] * 5
    else:
        assert {*found} <= {"pod1", "pod2", "pod3"}


@both
def test_datagrams_from_one_port_leave_a_member_that_vanished(world: World, vip: str) -> None:
    at = build.place(vip, "UDP")
    world.program(serve(world, at, (1, 2)))
    with talks(world, at, 1) as made:
        (first,) = names(made)
        staying = 2 if first == "pod1" else 1
        world.program(serve(world, at, (staying,)))
        # IPVS lets one datagram go with the connection that it ends.
        assert [made[0].name() for _ in range(3)][-2:] == [f"pod{staying}"] * 2


@both
@all_protocols
def test_connections_of_a_member_end_when_its_drain_time_is_over(
    world: World, vip: str, protocol: str
) -> None:
    at, draining = build.place(vip, protocol), Draining()
    world.program(serve(world, at, (1, 2)))
    with talks(world, at, 12) as made:
        before = names(made)
        assert {*before} == {"pod1", "pod2"}
        going = serve(world, at, (1,), lingering=(2,))
        going = replace(going, draining=going.lingering, drain_timeout_s=30)
        world.program(*draining.of((going,), 100.0))
        assert names(made) == before
        world.program(*draining.of((going,), 130.0))
        after = [talk.name() for talk in made for _ in range(3)][2::3]
    # Who sends datagrams from one port goes on elsewhere; a connection is over.
    left = "pod1" if protocol == "UDP" else ""
    assert after == [name if name == "pod1" else left for name in before]


@both
def test_no_more_connections_at_a_time_than_the_limit(
    world: World, able: frozenset[Aspect], vip: str
) -> None:
    at = build.place(vip)
    limited = serve(world, at, (1, 2), limits=Limits(connections=3))
    world.program(limited)
    assert world.program(limited).changed == 0
    with talks(world, at, 6) as made:
        answered = [bool(name) for name in names(made)]
        assert answered == ([True] * 3 + [False] * 3 if Aspect.CONNECTIONS in able else [True] * 6)
        world.program(serve(world, at, (1, 2)))
        with talks(world, at, 6) as later:
            assert all(names(later))
        assert [bool(name) for name in names(made)] == answered


@both
def test_no_more_new_connections_a_second_than_the_limit(
    world: World, able: frozenset[Aspect], vip: str
) -> None:
    at = build.place(vip)
    limited = serve(world, at, (1, 2), limits=Limits(connections_per_s=2))
    world.program(limited)
    assert world.program(limited).changed == 0
    began = time.monotonic()
    with talks(world, at, 12) as made:
        took_s = time.monotonic() - began
        answered = len(list(filter(None, names(made))))
    if Aspect.CONNECTIONS_PER_SECOND in able:
        # Two at once, and two more a second: on a slow machine this allows more.
        assert 2 <= answered <= 2 + 2 * (took_s + 1)
    else:
        assert answered == 12


@both
@all_protocols
def test_no_more_connections_of_a_client_at_a_time_than_the_limit(
    world: World, able: frozenset[Aspect], vip: str, protocol: str
) -> None:
    at = build.place(vip, protocol)
    limited = serve(world, at, (1, 2), limits=Limits(connections_per_client=2))
    world.program(limited)
    assert world.program(limited).changed == 0
    with talks(world, at, 5) as made:
        answered = [bool(name) for name in names(made)]
        within = [True] * 2 + [False] * 3
        assert answered == (within if Aspect.CONNECTIONS_PER_CLIENT in able else [True] * 5)
        world.program(serve(world, at, (1, 2)))
        with talks(world, at, 5) as later:
            assert all(names(later))
        # A datagram that was refused begins a connection when it is sent again.
        assert protocol == "UDP" or [bool(name) for name in names(made)] == answered


@both
@all_protocols
@pytest.mark.parametrize("timeout_s", [0, 60])
def test_a_client_with_affinity_has_one_member(
    world: World, vip: str, protocol: str, timeout_s: int
) -> None:
    at, sticky = build.place(vip, protocol), {"affinity": True, "affinity_timeout_s": timeout_s}
    world.program(serve(world, at, (1, 2, 3), **sticky))
    with talks(world, at, 12) as made:
        assert len({*names(made)} - {""}) == 1


@both
def test_a_client_keeps_its_member_when_others_come_where_the_backend_remembers(
    world: World, able: frozenset[Aspect], vip: str
) -> None:
    at, sticky = build.place(vip), {"affinity": True, "affinity_timeout_s": 60}
    kept = []
    for pod in (1, 2):
        world.program(serve(world, at, (pod,), **sticky))
        with talks(world, at, 1) as made:
            assert names(made) == [f"pod{pod}"]
        world.program(serve(world, at, PODS, **sticky))
        with talks(world, at, 5) as made:
            (name,) = {*names(made)}
            kept.append(name)
    if Aspect.PERSISTENCE_TIMEOUT in able:
        assert kept == ["pod1", "pod2"]
    else:
        # A hash knows the client and the members, and nothing else.
        assert len({*kept}) == 1


@both
def test_a_client_leaves_a_member_that_drains_and_keeps_its_connections(
    world: World, vip: str
) -> None:
    at, sticky = build.place(vip), {"affinity": True, "affinity_timeout_s": 60}
    world.program(serve(world, at, (1, 2, 3), **sticky))
    with talks(world, at, 5) as made:
        (first,) = {*names(made)}
        number = int(first.removeprefix("pod"))
        rest = tuple(pod for pod in PODS if pod != number)
        world.program(serve(world, at, rest, lingering=(number,), **sticky))
        with talks(world, at, 5) as moved:
            (second,) = {*names(moved)}
            assert second not in (first, "")
        assert {*names(made)} == {first}
