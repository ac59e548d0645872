"""One contract for every node backend: the one in memory, and those with real packets."""

from collections.abc import Callable, Iterator

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
)
from ipvs_world import IpvsWorld
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
def test_a_place_without_members_answers_nobody(world: World, vip: str, protocol: str) -> None:
    at = build.place(vip, protocol)
    world.program(serve(world, at, (), lingering=(1,)))
    with talks(world, at, 1) as made:
        assert names(made) == [""]


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
