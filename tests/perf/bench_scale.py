"""`make bench-scale`: thousands of Services with ten endpoints each, on the lab's API server.

Four of each Service's endpoints are pods on the lab's node, six stand on nodes that exist in name
only; kube-proxy, which is not measured and would take a core at these sizes, is stopped. Measured
at each size: how long a controller takes to give thousands of new Services their addresses, and to
have looked at all of them after a start; what one change takes while 50 endpoint changes a second
go on; memory and CPU of each process.
"""

import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import load

from lbctl.kube import client, config, resources
from lbctl.kube.resources import Resource
from lbctl_lab import processes, progress, status

CHURN_PER_S = 50
CHANGES = 100
CHANGE_EVERY_S = 0.25
SYNTHETIC = 6
WATCHED = ("controller", "agent-node-1", "agent-router", "dns")
BESIDE = ("apiserver", "etcd")
"""Whose CPU is told, too: they share the machine's cores."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Usage:
    """Resident memory in MB and CPU seconds, by process."""

    memory: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)


def usage() -> Usage:
    """Return what the lab's processes of lbctl use now."""
    found = Usage()
    for name in (*WATCHED, *BESIDE):
        place = Path(f"/proc/{processes.find(name).pid}")
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        lines = (place / "status").read_text().splitlines()
        resident = next(line for line in lines if line.startswith("VmRSS"))
        found.memory[name] = int(resident.split()[1]) / 1024
        found.cpu[name] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return found


class Seen:
    """What a watch has shown of one resource, with the moment at which it did."""

    def __init__(self, api: client.Client, resource: Resource, namespace: str | None) -> None:
        self._api, self._resource, self._namespace = api, resource, namespace
        self.objects: dict[str, Any] = {}
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["Seen"]:
        """Watch meanwhile."""
        listed = await self._api.list(self._resource, self._namespace)
        self.objects = {obj["metadata"]["name"]: obj for obj in listed.items}
        task = asyncio.ensure_future(self._follow(listed.resource_version))
        try:
            yield self
        finally:
            task.cancel()

    async def _follow(self, version: str) -> None:
        while True:
            async for event in self._api.watch(self._resource, version, self._namespace):
                meta = event.object["metadata"]
                version = meta["resourceVersion"]
                if event.type == "DELETED":
                    self.objects.pop(meta["name"], None)
                elif event.type != "BOOKMARK":
                    self.objects[meta["name"]] = event.object
                self._changed.set()

    async def until(self, done: Callable[[dict[str, Any]], bool]) -> float:
        """Return the moment at which what was seen satisfies a condition."""
        async with asyncio.timeout(load.GIVE_UP_S):
            while not done(self.objects):
                self._changed.clear()
                await self._changed.wait()
        return time.monotonic()


def addressed(objects: dict[str, Any]) -> int:
    """Return how many Services show an address."""
    return sum(
        bool(((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress"))
        for obj in objects.values()
    )


async def grow(api: client.Client, first: int, last: int, endpoints: list[Any]) -> None:
    """Create Services and slices of those numbers."""

    async def one(number: int) -> None:
        await load.create_slice(api, first + number, endpoints)
        await load.create_service(api, first + number)

    await load.spread(last - first, one)


async def cold_start(services: Seen, count: int) -> float:
    """Start the controller; return the seconds until every Service has its address."""
    began = time.monotonic()
    processes.start("controller")
    done = services.until(lambda objects: addressed(objects) >= count)
    return await done - began


async def restart(api: client.Client, services: Seen, number: int) -> float:
    """Start the controller anew; return the seconds until a new Service has its address."""
    processes.stop("controller")
    await load.create_service(api, number)
    began = time.monotonic()
    processes.start("controller")
    born = lambda objects: addressed({"": objects.get(f"svc-{number}", {})}) == 1  # noqa: E731
    return await services.until(born) - began


async def churn(api: client.Client, count: int, endpoints: list[Any]) -> None:
    """Change the endpoints of Services at a rate, for ever: one goes, then it is back."""
    fewer = [False] * count

    async def flip(_: int) -> None:
        number = random.randrange(count)
        fewer[number] = not fewer[number]
        body = {"endpoints": endpoints[: -1 if fewer[number] else None]}
        await api.patch(resources.ENDPOINT_SLICES, f"svc-{number}-hand", body, load.NAMESPACE)

    await load.pace(10**9, CHURN_PER_S, flip)


async def changes(api: client.Client, decisions: Seen, count: int) -> list[tuple[float, float]]:
    """Change the port of one Service after another.

    Return what each took until its decision showed, from before and from after its own write.
    """
    took = []
    for turn in range(CHANGES):
        number, port = random.randrange(count), 9000 + turn
        spec = {"spec": {"ports": [{"port": port, "targetPort": 8080, "protocol": "TCP"}]}}
        began = time.monotonic()
        await api.patch(resources.SERVICES, f"svc-{number}", spec, load.NAMESPACE)
        written = time.monotonic()
        key = f"{load.NAMESPACE}.svc-{number}"

        def decided(objects: dict[str, Any], key: str = key, port: int = port) -> bool:
            return objects[key]["spec"]["listeners"][0]["port"] == port

        shown = await decisions.until(decided)
        took.append((shown - began, shown - written))
        await asyncio.sleep(CHANGE_EVERY_S)
    return took


async def measure(api: client.Client, count: int, endpoints: list[Any]) -> dict[str, Any]:
    """Measure with `count` Services that exist and have never been decided about."""
    seen = Seen(api, resources.SERVICES, load.NAMESPACE)
    async with seen.watching() as services:
        cold_s = await cold_start(services, count)
        again_s = await restart(api, services, count)
    async with Seen(api, resources.L4_VIRTUAL_SERVICES, None).watching() as decisions:
        await decisions.until(lambda objects: len(objects) > count)
        await asyncio.sleep(10)
        before, began = usage(), time.monotonic()
        noise = asyncio.ensure_future(churn(api, count, endpoints))
        took = await changes(api, decisions, count)
        noise.cancel()
        after, lasted = usage(), time.monotonic() - began
    whole, after_ms = ([row[part] * 1000 for row in took] for part in (0, 1))
    load_of = {name: (after.cpu[name] - before.cpu[name]) / lasted for name in (*WATCHED, *BESIDE)}
    return {
        "cold": cold_s, "again": again_s,
        "whole": statistics.quantiles(whole, n=100, method="inclusive"),
        "after": statistics.quantiles(after_ms, n=100, method="inclusive"),
        "memory": after.memory, "cpu": load_of,
    }  # fmt: skip


async def bench(sizes: list[int]) -> dict[int, dict[str, Any]]:
    """Measure at each size, from nothing each time."""
    shown, found = progress.Progress(), {}
    async with client.Client(config.load(Path(status.env()["KUBECONFIG"])), timeout_s=60) as api:
        await load.make_namespace(api)
        endpoints = load.real_endpoints() + [
            {"addresses": [f"10.245.{node}.9"], "nodeName": f"far-{node}"}
            for node in range(SYNTHETIC)
        ]
        for count in sizes:
            if found:
                shown.say("deleting them")
                await load.clean(api)
            processes.stop("controller")
            shown.say(f"creating {count} Services with {len(endpoints)} endpoints each")
            await grow(api, 0, count, endpoints)
            shown.say("starting the controller")
            found[count] = await measure(api, count, endpoints)
            report({count: found[count]})
    return found


def report(found: dict[int, dict[str, Any]]) -> None:
    """Print what was found, a row for each size."""
    for count, row in found.items():
        births = f"all new: {row['cold']:.1f} s ({count / row['cold']:.0f}/s)"
        start = f"start with all decided: {row['again']:.1f} s (< 60)"
        print(f"{count:>6} Services: {births}, {start}", flush=True)
        for what, cuts in (("visible to a watch", row["whole"]), ("after its write", row["after"])):
            print(f"       one change {what}: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms (< 100)")
        for name in (*WATCHED, *BESIDE):
            used = f"{row['memory'][name]:.0f} MB, {row['cpu'][name] * 100:.0f} % of a core"
            print(f"       {name:<14} {used}", flush=True)


@click.command()
@click.option("--sizes", default="1000,5000,10000", show_default=True)
def main(sizes: str) -> None:
    """Measure cold start, one change under churn, memory and CPU at several sizes."""
    lbctl = str(Path(sys.executable).with_name("lbctl"))
    subprocess.run([lbctl, "lab", "up", "--dev", "--nodes", "1"], check=True)
    processes.stop("kube-proxy-node-1")
    found = asyncio.run(bench([int(size) for size in sizes.split(",")]))
    print("\nall sizes")
    report(found)


if __name__ == "__main__":
    main()
