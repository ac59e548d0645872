"""Pods of the host's network behind nftables: members whose address is the node's own."""

import asyncio
from collections.abc import Iterator

import pytest

import dataplane_bed
import dataplane_builders as build
from dataplane_worlds import PORT, TARGET, V4, V6, NftWorld, names, talks
from lbctl_dataplane.backends.port import NodeBackend
from lbctl_dataplane.rules.frontend import Frontend
from nft_agents import CLIENTS, with_one_agent
from spaces import sh

pytestmark = pytest.mark.root

both = pytest.mark.parametrize("vip", [V4, V6])


@pytest.fixture
def host_pod(nft_world: NftWorld) -> Iterator[None]:
    """A pod of the node's own network."""
    server = dataplane_bed.pod_server(nft_world.bed.node, "host", TARGET, *dataplane_bed.LEGS)
    try:
        yield
    finally:
        dataplane_bed.stop(server)


def legs_as_members(vip: str, protocol: str = "TCP") -> Frontend:
    leg = dataplane_bed.LEGS[vip == V6]
    return Frontend("default.kuard", build.place(vip, protocol), build.members(leg, port=TARGET))


@pytest.mark.usefixtures("host_pod")
@both
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_member_may_be_the_node_itself(nft_world: NftWorld, vip: str, protocol: str) -> None:
    wanted = legs_as_members(vip, protocol)
    assert nft_world.program(wanted).missing == {}
    with talks(nft_world, wanted.place, 3) as made:
        assert names(made) == ["host"] * 3


@pytest.mark.usefixtures("host_pod")
@both
def test_the_node_itself_sees_the_clients_address(nft_world: NftWorld, vip: str) -> None:
    nft_world.program(legs_as_members(vip))
    with nft_world.bed.connect(vip, PORT) as connection:
        assert connection.recv(200).decode().split() == ["host", CLIENTS[vip]]


def test_a_member_is_the_node_itself_as_soon_as_the_address_is_its_own(nft_world: NftWorld) -> None:
    late = "172.31.99.7"
    wanted = [Frontend("default.kuard", build.place(V4), build.members(late))]
    device = ("dev", "svc0")

    async def scenario(backend: NodeBackend) -> None:
        assert (await backend.program(wanted)).missing == {"default.kuard": (build.ip(late),)}
        sh("ip", "address", "add", f"{late}/32", *device, inside=nft_world.bed.node)
        while (await backend.program(wanted)).missing:  # noqa: ASYNC110 (no event of ours)
            await asyncio.sleep(0.01)
        sh("ip", "address", "delete", f"{late}/32", *device, inside=nft_world.bed.node)
        while not (await backend.program(wanted)).missing:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    with_one_agent(nft_world, scenario)
