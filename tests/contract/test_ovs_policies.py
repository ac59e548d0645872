"""What an L4Policy's rules do to packets on the real switch."""

from collections.abc import Iterator

import pytest

import dataplane_bed
import dataplane_builders as build
import dataplane_whole as whole
from dataplane_worlds import PODS, PORT, TARGET, V4, V6, OvsWorld, bed_with_pods, names, talks
from lbctl.model.virtual_service import Listener, Policy
from lbctl.translate.endpoints import Endpoint

pytestmark = pytest.mark.root
LISTENERS = (Listener("", "TCP", PORT, "pool"),)
MANY = 24
"""Connections that a hash of both ends puts on one of five members once in 10^16 runs."""


@pytest.fixture(scope="module")
def bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("rules") as made:
        yield made


def carry(world: OvsWorld, policy: Policy) -> None:
    """Program a Service with all pods on both VIPs, as an agent would."""
    service = build.service(vips=(V4, V6), listeners=LISTENERS, policy=policy)
    ends = tuple(
        Endpoint(
            build.ip(world.address(pod, version)),
            "node-1",
            True,
            True,
            False,
            (("", "TCP", TARGET),),
        )
        for pod in PODS
        for version in (4, 6)
    )
    world.program(*whole.frontends([service], {service.key: ends}, "node-1"))


@pytest.mark.parametrize("vip", [V4, V6])
def test_traffic_that_is_off_ends_connections_and_lets_nobody_in(world: OvsWorld, vip: str) -> None:
    at = build.place(vip, port=PORT)
    carry(world, Policy())
    with talks(world, at, 2) as made:
        assert all(names(made))
        carry(world, Policy(enabled=False))
        assert names(made) == ["", ""]
        with talks(world, at, 1) as late:
            assert names(late) == [""]
    carry(world, Policy())
    with talks(world, at, 1) as made:
        assert all(names(made))


@pytest.mark.parametrize("vip", [V4, V6])
def test_a_hash_of_the_source_gives_one_client_one_member_and_others_spread(
    world: OvsWorld, vip: str
) -> None:
    at = build.place(vip, port=PORT)
    carry(world, Policy(algorithm="source-hash"))
    with talks(world, at, MANY) as made:
        assert len({*names(made)} - {""}) == 1
    # What a backend does not do, it leaves: the default.
    carry(world, Policy(algorithm="round-robin"))
    with talks(world, at, MANY) as made:
        assert len({*names(made)} - {""}) > 1
