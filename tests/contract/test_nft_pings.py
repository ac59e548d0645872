"""Pings of VIPs at a node whose kernel translates: who hears an answer, and until when."""

import contextlib
from collections.abc import Iterator

import pytest

import dataplane_bed
import dataplane_builders as build
import pings
from dataplane_worlds import V4, V6, NftWorld, serve
from lbctl_dataplane.backends.nft import backend as nft
from lbctl_dataplane.backends.port import NodeBackend

pytestmark = pytest.mark.root

both = pytest.mark.parametrize("vip", [V4, V6])


@pytest.fixture
def world(routed_bed: dataplane_bed.Bed) -> Iterator[NftWorld]:
    made = NftWorld(routed_bed)
    yield made
    made.program()


@both
def test_a_process_that_goes_on_pinging_hears_no_more_of_a_vip_that_went(
    world: NftWorld, vip: str
) -> None:
    with contextlib.closing(pings.Pinger(world.bed.client, vip)) as pinger:
        for pods in ((1,), (), (2,)):
            world.program(serve(world, build.place(vip), pods))
            assert pinger.answered(5 if pods else 0.5) is bool(pods)


@both
def test_by_setting_no_vip_answers_pings(world: NftWorld, vip: str) -> None:
    class Silent(NftWorld):
        def backend(self) -> NodeBackend:
            return nft.NftBackend("svc0", lambda: self.legs, lambda: (), answer_pings=False)

    silent = Silent(world.bed)
    silent.program(serve(silent, build.place(vip), (1,)))
    assert not silent.pings(vip, timeout_s=0.5)
    world.program(serve(world, build.place(vip), (1,)))
    assert world.pings(vip, timeout_s=5)
