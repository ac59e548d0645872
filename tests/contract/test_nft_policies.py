"""Limits and memory for clients on the real kernel: what an L4Policy asks of backend nft."""

import dataclasses
import socket
import time

import pytest

import affinity_scenes
import dataplane_builders as build
from dataplane_bed import network_of
from dataplane_worlds import PORT, TARGET, V4, V6, NftWorld, names, serve, talks
from lbctl.model.policy import Limits
from lbctl_dataplane.backends import choice
from lbctl_dataplane.backends.tables import counter
from nft_agents import OURS, nft

pytestmark = pytest.mark.root

both = pytest.mark.parametrize("vip", [V4, V6])


@pytest.fixture
def world(nft_world: NftWorld) -> NftWorld:
    return nft_world


def refused(world: NftWorld) -> int:
    """Return what was refused beyond a limit, as the agent's metrics tell and as nft does."""
    with network_of(world.bed.node):
        (told,) = counter.refused(choice.NFT).items()
    listed = nft(world, "list", "counter", *OURS, "over")
    assert told == ("nft", int(listed.partition("packets ")[2].split()[0]))
    return told[1]


@both
def test_what_is_beyond_a_limit_is_refused_at_once_and_counted(world: NftWorld, vip: str) -> None:
    at = build.place(vip)
    limits = Limits(connections=1, connections_per_s=1000)
    world.program(serve(world, at, (1,), limits=limits))
    before = refused(world)
    with world.bed.connect(vip, PORT) as first:
        assert first.recv(100)
        with pytest.raises(ConnectionRefusedError):
            world.bed.connect(vip, PORT)
    assert refused(world) == before + 1


@both
def test_a_change_of_members_leaves_the_count_of_connections_alone(
    world: NftWorld, vip: str
) -> None:
    at, limits = build.place(vip), Limits(connections=2)
    world.program(serve(world, at, (1,), limits=limits))
    with talks(world, at, 2) as made:
        assert names(made) == ["pod1", "pod1"]
        world.program(serve(world, at, (1, 2), limits=limits))
        with pytest.raises(ConnectionRefusedError):
            world.bed.connect(vip, PORT)
        assert names(made) == ["pod1", "pod1"]


@both
def test_a_connection_that_ended_makes_room_for_another(world: NftWorld, vip: str) -> None:
    world.program(serve(world, build.place(vip), (1,), limits=Limits(connections=1)))
    for _ in range(3):
        with world.bed.connect(vip, PORT) as connection:
            assert connection.recv(100)
            connection.shutdown(socket.SHUT_RDWR)
            assert connection.recv(100) == b""
        time.sleep(0.05)  # the kernel looks for ended ones once in a tick of its clock


@both
def test_a_client_is_remembered_while_it_sends_and_then_no_more(world: NftWorld, vip: str) -> None:
    affinity_scenes.remembered_while_it_sends(world, vip, timeout_s=2)


@both
def test_members_with_several_ports_go_by_the_hash(world: NftWorld, vip: str) -> None:
    at = build.place(vip)
    wanted = serve(world, at, (1, 2), affinity=True, affinity_timeout_s=60)
    other = build.members(world.address(3, at.vip.version), port=TARGET + 1)
    world.program(dataclasses.replace(wanted, members=(*wanted.members, *other)))
    listed = nft(world, "list", "map", *OURS, f"numbered{at.vip.version}")
    assert "elements" not in listed
