"""One backend over many passes on the real switch: what it believes is what is there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

import dataplane_bed
import dataplane_builders as build
import event_loops
from dataplane_bed import network_of
from dataplane_worlds import PORT, V4, V6, OvsWorld, bed_with_pods, names, serve, talks
from lbctl.model import errors
from lbctl.model.policy import Limits
from lbctl_dataplane.backends.ovs import backend as ovs
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.ovs import openflow
from lbctl_dataplane.rules.ovs.pipeline import group_numbers
from spaces import sh

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("passes") as made:
        yield made


Scene = Callable[[ovs.OvsBackend], Coroutine[Any, Any, None]]


def play(world: OvsWorld, scene: Scene, *, hurried: bool = False) -> None:
    """Run a scene with one backend on the switch."""

    async def within() -> None:
        async with _following(world) as backend:
            await scene(backend)

    loop = event_loops.Brisk if hurried else asyncio.new_event_loop
    with network_of(world.bed.node):
        event_loops.run(within(), loop)


@contextlib.asynccontextmanager
async def _following(world: OvsWorld) -> AsyncIterator[ovs.OvsBackend]:
    backend = ovs.OvsBackend(world.names, lambda: world.legs)
    known = asyncio.Event()
    async with event_loops.running(backend.follow(known.set)):
        await known.wait()
        yield backend


def held(bed: dataplane_bed.Bed) -> openflow.Tables:
    """Return what the switch holds of ours."""
    ours = f"cookie={constants.COOKIE:#x}/{constants.COOKIE_MASK:#x}"
    flows = bed.ofctl("--no-names", "--no-stats", "dump-flows", "br-int", ours)
    groups = bed.ofctl("--no-names", "dump-groups", "br-int")
    return openflow.parse(flows, groups, bed.ofctl("dump-meters", "br-int"))


def test_after_each_of_many_passes_a_fresh_look_finds_nothing_to_change(world: OvsWorld) -> None:
    steps = [
        [(V4, (1,), ())],
        [(V4, (1, 2), ()), (V6, (1,), ())],
        [(V4, (2,), (1,)), (V6, (1, 3), ()), ("198.18.0.2", (3,), ())],
        [(V6, (3,), ()), ("198.18.0.2", (3,), ())],
        [],
        [(V4, (5,), ())],
    ]

    async def scene(backend: ovs.OvsBackend) -> None:
        for step in steps:
            wanted = [
                serve(world, build.place(vip), members, lingering)
                for vip, members, lingering in step
            ]
            assert (await backend.program(wanted)).changed > 0
            assert (await backend.program(wanted)).changed == 0
            there = await asyncio.to_thread(held, world.bed)
            async with _following(world) as fresh:
                assert (await fresh.program(wanted)).changed == 0
            assert await asyncio.to_thread(held, world.bed) == there

    play(world, scene)


def test_drift_in_what_no_pass_touches_is_repaired_by_the_audit(world: OvsWorld) -> None:
    old, new = (serve(world, build.place(vip), (1, 2)) for vip in (V4, "198.18.0.2"))

    async def scene(backend: ovs.OvsBackend) -> None:
        await backend.program([old])
        match = f"table=20,priority=100,ip,nw_dst={V4}"
        await asyncio.to_thread(world.bed.ofctl, "--strict", "del-flows", "br-int", match)
        await backend.program([old, new])
        while match not in _flow_texts(await asyncio.to_thread(held, world.bed)):
            await asyncio.sleep(0.5)
            await backend.program([old, new])

    play(world, scene, hurried=True)
    with talks(world, build.place(V4), 4) as made:
        assert "" not in names(made)


def _flow_texts(tables: openflow.Tables) -> set[str]:
    return {key.text() for key in tables.flows}


def test_after_a_bundle_that_failed_everything_is_read_back(world: OvsWorld) -> None:
    first, second = (serve(world, build.place(vip), (1, 2)) for vip in (V4, "198.18.0.2"))

    async def scene(backend: ovs.OvsBackend) -> None:
        await backend.program([first])
        number = group_numbers().of(second.place)
        group = f"group_id={number},type=select,bucket=drop"
        await asyncio.to_thread(world.bed.ofctl, "add-group", "br-int", group)
        with pytest.raises(errors.Unavailable, match="GROUP_EXISTS"):
            await backend.program([first, second])
        assert (await backend.program([first, second])).changed > 0
        assert (await backend.program([first, second])).changed == 0
        assert "drop" not in (await asyncio.to_thread(held, world.bed)).groups[number]

    play(world, scene)
    with talks(world, build.place("198.18.0.2"), 4) as made:
        assert "" not in names(made)


def restart(world: OvsWorld) -> None:
    world.bed.stop_vswitchd()
    world.bed.start_vswitchd()
    world.bed.base_flow()


def test_a_switch_that_was_restarted_asks_for_a_pass_though_its_database_is_as_before(
    world: OvsWorld,
) -> None:
    async def scene() -> None:
        asked = asyncio.Event()
        backend = ovs.OvsBackend(world.names, lambda: world.legs)
        async with asyncio.timeout(60), event_loops.running(backend.follow(asked.set)):
            await asked.wait()
            await asyncio.to_thread(world.bed.stop_vswitchd)
            asked.clear()
            await asyncio.to_thread(world.bed.start_vswitchd)
            world.bed.base_flow()
            await asked.wait()

    with network_of(world.bed.node):
        event_loops.run(scene())


def test_a_switch_that_was_restarted_is_noticed_by_the_next_pass(world: OvsWorld) -> None:
    wanted = serve(world, build.place(V4), (1, 2))

    async def scene(backend: ovs.OvsBackend) -> None:
        await backend.program([wanted])
        there = await asyncio.to_thread(held, world.bed)
        await asyncio.to_thread(restart, world)
        assert (await asyncio.to_thread(held, world.bed)).flows == {}
        assert (await backend.program([wanted])).changed > 0
        assert await asyncio.to_thread(held, world.bed) == there

    play(world, scene)
    with world.bed.connect(V4, PORT) as connection:
        assert connection.recv(200)


def test_many_that_go_at_once_leave_no_connection(world: OvsWorld) -> None:
    vips = (V4, V6, *(f"198.18.1.{n}" for n in range(1, 7)))
    wanted = [serve(world, build.place(vip), (1,)) for vip in vips]

    def tracked() -> str:
        dump = ("ovs-appctl", "dpctl/dump-conntrack", f"zone={constants.CT_ZONE}")
        return sh(*dump, env=world.bed.env)

    async def scene(backend: ovs.OvsBackend) -> None:
        await backend.program(wanted)
        kept = [await asyncio.to_thread(world.bed.connect, vip, PORT) for vip in (V4, V6)]
        before = await asyncio.to_thread(tracked)
        assert f"dst={V4}" in before
        assert f"dst={V6}" in before
        await backend.program([])
        after = await asyncio.to_thread(tracked)
        assert f"dst={V4}" not in after
        assert f"dst={V6}" not in after
        for connection in kept:
            connection.close()

    play(world, scene)


def limited(world: OvsWorld, vip: str, rate: int) -> Frontend:
    return serve(world, build.place(vip), (1,), limits=Limits(connections_per_s=rate))


def test_meters_come_and_go_with_limits_and_damage_is_repaired(world: OvsWorld) -> None:
    first, faster = limited(world, V4, 100), limited(world, V4, 200)
    beside = limited(world, V6, 5)

    async def scene(backend: ovs.OvsBackend) -> None:
        async def meters() -> list[str]:
            there = await asyncio.to_thread(held, world.bed)
            return sorted(there.meters.values())

        def band(rate: int) -> str:
            return f"pktps,burst,band=type=drop,rate={rate},burst_size={rate}"

        await backend.program([first, beside])
        assert await meters() == [band(100), band(5)]
        assert (await backend.program([faster, beside])).changed == 1
        assert await meters() == [band(200), band(5)]
        await asyncio.to_thread(world.bed.ofctl, "del-meters", "br-int")
        async with _following(world) as fresh:
            assert (await fresh.program([faster, beside])).changed > 0
            assert await meters() == [band(200), band(5)]
            assert (await fresh.program([])).changed > 0
        assert await meters() == []

    play(world, scene)


def test_a_switch_that_was_restarted_has_its_meters_again(world: OvsWorld) -> None:
    wanted = limited(world, V4, 100)

    async def scene(backend: ovs.OvsBackend) -> None:
        await backend.program([wanted])
        there = await asyncio.to_thread(held, world.bed)
        assert there.meters
        await asyncio.to_thread(restart, world)
        await backend.program([wanted])
        assert await asyncio.to_thread(held, world.bed) == there

    play(world, scene)
