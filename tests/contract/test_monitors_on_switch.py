"""A node with monitors on a real switch: new connections avoid a member that fails."""

import asyncio
import subprocess
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest

import dataplane_bed
import dataplane_builders as build
import event_loops
from dataplane_bed import network_of
from dataplane_worlds import V4, OvsWorld, bed_with_pods, names, talks
from lbctl.model.monitors import Kind, Monitor
from lbctl.model.virtual_service import Policy
from lbctl_dataplane import decisions, metrics
from lbctl_dataplane.backends.ovs import backend as ovs
from lbctl_dataplane.decisions import View
from lbctl_dataplane.monitors.prober import Prober
from lbctl_dataplane.node import Beside, NodeRole
from lbctl_dataplane.roles import Programmed

pytestmark = pytest.mark.root

NODE, HEALTH = "node-1", 7777
MONITOR = Monitor(Kind.TCP, port=HEALTH, interval_ms=200, timeout_ms=100, fall=2, rise=2)
"""Asks a port of its own, so that a member can fail while its connections live."""
MANY = 16


@pytest.fixture(scope="module")
def bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("monitored") as made:
        yield made


class Node:
    """The role of one node, passing whenever it is woken, as an agent lets it."""

    def __init__(self, world: OvsWorld) -> None:
        self._world = world
        backend = ovs.OvsBackend(world.names, lambda: world.legs)
        prober = Prober(metrics.Metrics(NODE, "node").probes)
        self.role = NodeRole(NODE, backend, "ovs", Beside(monitors=prober))
        self.done = Programmed(0)
        self._woken = asyncio.Event()

    async def run(self, pods: Sequence[int]) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.role.follow(self._woken.set))
            tasks.create_task(self._pass(self._view(pods)))

    async def _pass(self, view: View) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            self.done = await self.role.program(view)

    def _view(self, pods: Sequence[int]) -> View:
        service = build.service(vips=[V4], policy=Policy(monitor=MONITOR))
        ends = [(self._world.address(pod, 4), NODE) for pod in pods]
        behind = decisions.read_slices([build.slice_object("s", 1, *ends)])
        return View((service,), {service.key: 1}, {service.key: behind}, 1, 1, True)

    def failing(self) -> list[str]:
        return [str(member.address) for member in self.done.failing]


@pytest.fixture
def healthy(bed: dataplane_bed.Bed) -> Iterator[dict[int, subprocess.Popen[str]]]:
    """What answers the monitor on pods 1 and 2; who ends one makes its pod fail."""
    running = {
        pod: dataplane_bed.pod_server(bed.pod_space(pod), f"health{pod}", HEALTH) for pod in (1, 2)
    }
    yield running
    for server in running.values():
        end(server)


def end(server: subprocess.Popen[str]) -> None:
    server.kill()
    server.wait()
    if server.stdout is not None:
        server.stdout.close()


def play(world: OvsWorld, scene: Callable[[Node], Coroutine[Any, Any, None]]) -> None:
    async def within() -> None:
        node = Node(world)
        async with event_loops.running(node.run((1, 2))):
            await event_loops.until(lambda: node.done.changed > 0)
            await scene(node)

    with network_of(world.bed.node):
        event_loops.run(within())


def answering(world: OvsWorld) -> set[str]:
    with talks(world, build.place(V4), MANY) as made:
        return set(names(made))


def test_a_failing_member_keeps_its_connections_and_gets_none(
    world: OvsWorld, healthy: dict[int, subprocess.Popen[str]]
) -> None:
    async def scene(node: Node) -> None:
        with talks(world, build.place(V4), MANY) as before:
            known = names(before)
            assert set(known) == {"pod1", "pod2"}
            end(healthy[1])
            await event_loops.until(lambda: node.failing() == [world.address(1, 4)])
            assert await asyncio.to_thread(answering, world) == {"pod2"}
            assert names(before) == known
        end(healthy[2])
        await event_loops.until(lambda: len(node.failing()) == 2)
        # All fail: readiness wins.
        assert await asyncio.to_thread(answering, world) == {"pod1", "pod2"}

    play(world, scene)


def test_a_member_that_works_again_gets_connections_again(
    world: OvsWorld, healthy: dict[int, subprocess.Popen[str]]
) -> None:
    async def scene(node: Node) -> None:
        end(healthy[1])
        await event_loops.until(lambda: node.failing() == [world.address(1, 4)])
        healthy[1] = dataplane_bed.pod_server(world.bed.pod_space(1), "health1", HEALTH)
        await event_loops.until(lambda: node.failing() == [])
        assert await asyncio.to_thread(answering, world) == {"pod1", "pod2"}

    play(world, scene)
