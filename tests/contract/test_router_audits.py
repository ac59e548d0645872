"""One router over many passes on the real kernel: what it believes is what is there."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import dataplane_builders as build
import event_loops
import router_bed
from dataplane_bed import network_of
from lbctl.model import errors
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.backends import audits
from lbctl_dataplane.backends.router.kernel import Kernel, LinuxRouter
from lbctl_dataplane.router_table import RouterTable
from lbctl_dataplane.rules.router.legs import Knowledge, LegAddress, ServingNode
from lbctl_dataplane.rules.router.sharing import Known
from spaces import sh

pytestmark = pytest.mark.root

VIPS = ("198.18.0.1", "198.18.0.2", "2001:2::1")
MANY = (*VIPS, *(f"198.18.1.{n}" for n in range(1, 7)))
PORT = 80


@pytest.fixture(scope="module")
def bed() -> Iterator[router_bed.RouterBed]:
    made = router_bed.RouterBed("ra", 2)
    try:
        made.up(VIPS, PORT)
        yield made
    finally:
        made.down()


class Passes:
    """One router that serves each VIP from all nodes."""

    def __init__(self, bed: router_bed.RouterBed) -> None:
        self.linux = LinuxRouter()
        self.table = RouterTable()
        self.nodes = {
            f"node-{n}": ServingNode(
                f"node-{n}",
                tuple(LegAddress(build.ip(leg), bed.mac(n)) for leg in bed.legs(n)),
                9,
                9,
            )
            for n in (1, 2)
        }
        ends = tuple(
            Endpoint(build.ip(text), node, True, True, False, (("", "TCP", PORT),))
            for text, node in (("10.0.0.1", "node-1"), ("10.0.0.2", "node-2"))
        )
        six = tuple(
            Endpoint(build.ip(f"fd00::{n}"), f"node-{n}", True, True, False, ends[0].ports)
            for n in (1, 2)
        )
        self.ends = (*ends, *six)
        self.services = {vip: build.service(f"s{n}", [vip]) for n, vip in enumerate(MANY)}

    async def make(self, *vips: str, nodes: int = 2) -> int:
        """Run one pass; return the number of changes."""
        chosen = tuple(self.services[vip] for vip in vips)
        keys = [service.key for service in chosen]
        known = Known(
            chosen,
            dict.fromkeys(keys, self.ends),
            dict.fromkeys(keys, 1),
            lambda _: Knowledge(self.ends, {}, 1),
        )
        self.table.read_back(await self.linux.observe())
        taking = dict(list(self.nodes.items())[:nodes])
        self.table.want(known, taking, frozenset({"client0"}))
        changed = await self.linux.apply(*self.table.parts())
        self.table.took()
        return changed

    async def audited(self, *vips: str) -> Kernel:
        """Make it so; return what an audit after that found."""
        await self.make(*vips)
        await asyncio.sleep(2 * audits.EVERY_S)
        assert await self.make(*vips) == 0
        return await self.linux.observe()


Scene = Callable[[Passes], Coroutine[Any, Any, None]]


def play(bed: router_bed.RouterBed, scene: Scene, *, hurried: bool = False) -> None:
    async def within() -> None:
        passes = Passes(bed)
        try:
            await scene(passes)
        finally:
            linux = LinuxRouter()
            table = RouterTable()
            table.read_back(await linux.observe())
            table.want_nothing()
            await linux.apply(*table.parts())

    with network_of(bed.space("router")):
        event_loops.run(within(), event_loops.Brisk if hurried else asyncio.new_event_loop)


def test_after_each_of_many_passes_a_fresh_look_finds_nothing_to_change(
    bed: router_bed.RouterBed,
) -> None:
    steps = [VIPS[:1], VIPS[:2], VIPS, VIPS[1:], (), VIPS[2:]]

    async def scene(passes: Passes) -> None:
        for vips in steps:
            assert await passes.make(*vips) > 0
            assert await passes.make(*vips) == 0
            fresh = Passes(bed)
            assert await fresh.make(*vips) == 0
        assert await passes.make(*VIPS, nodes=1) > 0
        fresh = Passes(bed)
        assert await fresh.make(*VIPS, nodes=1) == 0

    play(bed, scene)


@pytest.mark.parametrize(
    "damage",
    [
        ("ip", "route", "del", "unreachable", VIPS[0]),
        ("nft", "delete", "element", "inet", "lbctl", "vips4", "{", VIPS[0], "}"),
        ("ip", "rule", "del", "pref", "7001"),
    ],
    ids=" ".join,
)
def test_drift_in_what_no_pass_touches_is_repaired_by_the_audit(
    bed: router_bed.RouterBed, damage: tuple[str, ...]
) -> None:
    async def scene(passes: Passes) -> None:
        await passes.make(VIPS[0])
        await asyncio.to_thread(sh, *damage, inside=bed.space("router"))
        await passes.make(*VIPS[:2])
        while not await passes.make(*VIPS[:2]):  # noqa: ASYNC110 - passes are what is waited for
            await asyncio.sleep(0.5)
        assert await Passes(bed).make(*VIPS[:2]) == 0

    play(bed, scene, hurried=True)


def test_an_audit_after_changes_of_our_own_lists_nothing_anew(bed: router_bed.RouterBed) -> None:
    async def scene(passes: Passes) -> None:
        known = await passes.audited(*VIPS)
        passes.ends = tuple(end for end in passes.ends if end.node == "node-2")
        assert await passes.make(*VIPS) > 0
        await asyncio.sleep(2 * audits.EVERY_S)
        assert await passes.linux.observe() is known
        fresh = Passes(bed)
        fresh.ends = passes.ends
        assert await fresh.make(*VIPS) == 0

    play(bed, scene, hurried=True)


def test_another_ones_transaction_beside_ours_makes_the_audit_look(
    bed: router_bed.RouterBed,
) -> None:
    async def scene(passes: Passes) -> None:
        known = await passes.audited(*VIPS)
        await asyncio.to_thread(
            sh, "nft", "add", "table", "inet", "foreign", inside=bed.space("router")
        )
        passes.ends = tuple(end for end in passes.ends if end.node == "node-2")
        assert await passes.make(*VIPS) > 0
        await asyncio.sleep(2 * audits.EVERY_S)
        assert await passes.linux.observe() is not known
        assert await passes.make(*VIPS) == 0
        await asyncio.to_thread(
            sh, "nft", "delete", "table", "inet", "foreign", inside=bed.space("router")
        )

    play(bed, scene, hurried=True)


def test_after_a_change_that_failed_everything_is_read_back(bed: router_bed.RouterBed) -> None:
    async def scene(passes: Passes) -> None:
        await passes.make(VIPS[0])
        router = bed.space("router")
        await asyncio.to_thread(sh, "nft", "delete", "table", "inet", "lbctl", inside=router)
        with pytest.raises(errors.Unavailable, match="nft"):
            await passes.make(*VIPS)
        assert await passes.make(*VIPS) > 0
        assert await Passes(bed).make(*VIPS) == 0
        for vip in VIPS:
            connection, _ = await asyncio.to_thread(bed.connect, vip, PORT)
            connection.close()

    play(bed, scene)


def test_many_that_go_at_once_leave_no_connection(bed: router_bed.RouterBed) -> None:
    async def scene(passes: Passes) -> None:
        router = bed.space("router")
        await passes.make(*MANY)
        kept = [await asyncio.to_thread(bed.connect, vip, PORT) for vip in VIPS]
        marked = ("conntrack", "-L", "--mark", "0x1b000000/0xff000000", "-f")
        for family in ("ipv4", "ipv6"):
            assert "dst=" in await asyncio.to_thread(sh, *marked, family, inside=router)
        await passes.make()
        for family in ("ipv4", "ipv6"):
            assert await asyncio.to_thread(sh, *marked, family, inside=router) == ""
        for connection, _ in kept:
            connection.close()

    play(bed, scene)
