"""`make bench-dataplane`: lbctl's paths to pods beside kube-proxy's and HAProxy's, in one run.

Each path is a node of its own in network namespaces, all up at once; rounds alternate between them,
so that a busy machine is busy for all. Ratios are to plain routing to a pod in the same round.
kube-proxy's tables were made by kube-proxy itself, from a real API server. IPVS is not among
them: it runs in a guest kernel, whose figures say nothing about a real one. Needs root.
"""

import asyncio
import contextlib
import platform
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

import bench_nft_layouts
import click
import dataplane_cluster as cluster
import dataplane_ebpf
import dataplane_loads as loads
import dataplane_paths as paths
import dataplane_programs as programs
import dataplane_report as report
import dataplane_space as space
import dataplane_traffic as traffic
from dataplane_programs import Program

import spaces
from lbctl.kube import client, config
from spaces import sh

MEDIUM = 1_000
"""Services at which the time from an EndpointSlice to the kernel counts."""
LARGE_CHANGES = 10
TRAFFIC_ROUNDS = 2
"""For each one of the rest: they are short, and their bar is near."""
PARTS = ("traffic", "programs", "loads")
TRIED = (dataplane_ebpf.ROUTED, dataplane_ebpf.SHORT)
NAMES = report.Names(paths.NFT, paths.PROXY, TRIED, paths.BASELINES)
BOTH = (programs.AGENT, programs.KUBE_PROXY)
CALL_S = 300.0


def say(text: str) -> None:
    """Tell how far the run is."""
    print(f"-- {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Controlled:
    """The measurements that need an API server."""

    def __init__(self, place: cluster.Cluster, api: client.Client, found: report.Found) -> None:
        self._place, self._api, self._found = place, api, found
        self._services = 0
        self.rulesets: dict[int, str] = {}
        """kube-proxy's tables as text, by the number of Services."""

    async def grow(self, services: int) -> None:
        """Have so many Services, all of whose pods work."""
        say(f"creating Services up to {services:,}")
        await cluster.grow(self._api, self._place.bed, self._services, services)
        self._services = services

    async def load_kube_proxy(self) -> None:
        """Let kube-proxy program what there is."""
        say(f"kube-proxy's table of {self._services:,} Services")
        await self._run(programs.KUBE_PROXY, 0)

    def keep_ruleset(self) -> None:
        """Keep the table that kube-proxy left when it ended."""
        listing = sh("nft", "-s", "list", "table", "ip", "kube-proxy", inside=self._place.bed.node)
        self.rulesets[self._services] = listing

    async def measure(self, rounds: int, changes: int) -> None:
        """Start both programs in turn, with some changes each."""
        for turn in range(rounds):
            for program in BOTH:
                say(f"{program.name} at {self._services:,} Services, round {turn + 1} of {rounds}")
                run = await self._run(program, changes)
                self._found.runs.setdefault((program.name, self._services), []).append(run)

    async def _run(self, program: Program, changes: int) -> programs.Run:
        return await programs.run(program, self._place, self._api, self._services, changes)


async def control(
    place: cluster.Cluster, found: report.Found, only: set[str], large: int, rounds: int
) -> dict[int, str]:
    """Measure the programs, and return kube-proxy's tables."""
    async with client.Client(config.load(place.kubeconfig), timeout_s=CALL_S) as api:
        await cluster.begin(api, place.bed)
        controlled = Controlled(place, api, found)
        await controlled.grow(1)
        await controlled.load_kube_proxy()
        controlled.keep_ruleset()
        if "programs" in only:
            await controlled.grow(MEDIUM)
            await controlled.measure(rounds, 100 // rounds + 1)
        await controlled.grow(large)
        if "programs" in only:
            await controlled.measure(rounds, LARGE_CHANGES)
        else:
            await controlled.load_kube_proxy()
        controlled.keep_ruleset()
        return controlled.rulesets


@contextlib.contextmanager
def opened(rulesets: dict[int, str], large: int) -> Iterator[list[paths.Route]]:
    """Have all paths at once."""
    with contextlib.ExitStack() as stack:
        routes = [
            stack.enter_context(paths.direct(paths.DIRECT, space.RoutedNode)),
            stack.enter_context(paths.direct(paths.PLAIN, space.PlainNode)),
        ]
        for services in (1, large):
            say(f"nodes with {services:,} Services each")
            routes += [
                stack.enter_context(paths.lbctl_nft(services)),
                stack.enter_context(paths.kube_proxy(services, rulesets[services])),
                stack.enter_context(dataplane_ebpf.ebpf(dataplane_ebpf.ROUTED, services)),
                stack.enter_context(dataplane_ebpf.ebpf(dataplane_ebpf.SHORT, services)),
                stack.enter_context(paths.lbctl_ovs(services)),
                stack.enter_context(paths.haproxy(services)),
            ]
        yield routes


def measure_traffic(rulesets: dict[int, str], found: report.Found, large: int, rounds: int) -> None:
    """Send by each path in turn."""
    with opened(rulesets, large) as routes:
        for turn in range(rounds * TRAFFIC_ROUNDS):
            say(f"traffic by {len(routes)} paths, round {turn + 1}")
            for route in routes:
                key = (route.name, route.services)
                found.traffic.setdefault(key, []).append(traffic.measure(route.way))
                found.loaded_s[key] = route.loaded_s


def measure_loads(found: report.Found, large: int, rounds: int) -> None:
    """Load thousands of Services by nft and into a switch."""
    say(f"{large:,} Services in one bundle, {rounds} rounds")
    found.bundles_s = loads.bundle_s(large, rounds)
    for turn in range(rounds):
        for kind in (bench_nft_layouts.OURS, bench_nft_layouts.PROXY):
            say(f"{kind.name}, {large:,} Services, round {turn + 1} of {rounds}")
            load = loads.layout(kind, large)
            found.layouts.setdefault((kind.name, large), []).append(load)


def show(found: report.Found, large: int) -> None:
    """Print the tables and the bars."""
    for rows in (
        report.traffic_table(found, NAMES) if found.traffic else [],
        report.programs_table(found) if found.runs else [],
        report.loads_table(found) if found.layouts else [],
    ):
        print("\n".join(rows), end="\n\n" if rows else "")
    if found.loaded_s:
        print(report.paths_line(found))
    for line in report.tried_lines(found, NAMES):
        print(line)
    for bar in report.bars(found, NAMES, large):
        print(bar.line)


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(f"ended by signal {number}; what was started is cleaned up")


@click.command()
@click.option("--only", multiple=True, type=click.Choice(PARTS), default=PARTS)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--large", default=10_000, show_default=True, help="The larger number of Services.")
def main(only: tuple[str, ...], rounds: int, large: int) -> None:
    """Measure paths to pods, and the programs that make them."""
    signal.signal(signal.SIGTERM, _stop)
    spaces.sweep()
    found, parts = report.Found(), set(only)
    print(f"Linux {platform.release()}, {platform.machine()}, Python {platform.python_version()}")
    rulesets: dict[int, str] = {}
    if parts & {"traffic", "programs"}:
        with cluster.cluster() as place:
            rulesets = asyncio.run(control(place, found, parts, large, rounds))
    if "traffic" in parts:
        measure_traffic(rulesets, found, large, rounds)
    if "loads" in parts:
        measure_loads(found, large, rounds)
    show(found, large)


if __name__ == "__main__":
    main()
