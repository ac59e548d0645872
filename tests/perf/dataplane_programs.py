"""The two programs that follow EndpointSlices on a node: how soon each has programmed them."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dataplane_cluster as cluster
import dataplane_space as space
import dataplane_traffic as traffic
import load
import yaml
from dataplane_paths import NFT, PROXY, vip_way

from lbctl.kube import client, resources
from lbctl_dataplane.backends.tables import generation
from lbctl_lab import binaries, progress
from spaces import sh

POLL_S, CHANGE_POLL_S = 0.01, 0.001
QUIET_S = 2.0
"""No transaction for so long: all has been loaded."""
IDLE_SHARE = 0.1
"""Of a core: less than this is no work of a load any more."""
GIVE_UP_S = 600.0
CHANGE_GIVE_UP_S = 300.0
LAST_WORDS = 2000
"""Characters of a log that tell why nothing happened."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Program:
    """One of the two."""

    name: str
    argv: Callable[[cluster.Cluster], tuple[str, ...]]
    tables: tuple[str, ...]
    """What it leaves in the kernel."""
    rest_s: float
    """Between two changes: kube-proxy makes at most one transaction a second by default."""


@dataclass(frozen=True)
class Run:
    """One start of a program, and some changes."""

    loaded_s: float
    """From its start to its last transaction."""
    load_cpu_s: float
    """Until then, with the commands that it ran."""
    changes_ms: tuple[float, ...]
    """From before an EndpointSlice's write to the transaction."""
    change_cpu_ms: float
    """Of one change, in the mean."""
    rss_mb: float
    """At the end, without the commands that it runs now and then."""
    peak_mb: float


def agent_argv(place: cluster.Cluster) -> tuple[str, ...]:
    """Return the words that start lbctl's agent with its backend nft, without a state."""
    folder = place.bed.folder / "agent"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    own = {"backend": "nft", "legs": [space.LEG], "stateDir": str(folder)}
    config = folder / "settings.yaml"
    config.write_text(yaml.safe_dump({"agent": own}))
    lbctl = str(Path(sys.executable).with_name("lbctl"))
    files = (f"--config={config}", f"--kubeconfig={place.kubeconfig}")
    return (lbctl, "agent", *files, f"--node={cluster.NODE}")


def kube_proxy_argv(place: cluster.Cluster) -> tuple[str, ...]:
    """Return the words that start kube-proxy, all at its defaults but the mode."""
    config = place.bed.folder / "kube-proxy.json"
    tree = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": cluster.NODE,
        "clusterCIDR": "10.244.0.0/16",
        "clientConnection": {"kubeconfig": str(place.kubeconfig)},
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
    config.write_text(json.dumps(tree))
    programs = binaries.built(binaries.KUBERNETES, progress.Progress())
    return (str(programs / "kube-proxy"), f"--config={config}")


AGENT = Program(NFT, agent_argv, ("inet lbctl-node",), 0.3)
KUBE_PROXY = Program(PROXY, kube_proxy_argv, ("ip kube-proxy", "ip6 kube-proxy"), 1.2)


async def run(
    program: Program, place: cluster.Cluster, api: client.Client, services: int, changes: int
) -> Run:
    """Start a program on an empty kernel, change some slices, end it; its tables stay."""
    for table in program.tables:
        with contextlib.suppress(RuntimeError):
            sh("nft", "delete", "table", *table.split(), inside=place.bed.node)
    with _started(program, place) as (child, began):
        loaded_s = await _loaded(place, services, began)
        load_cpu_s = _cpu_s(child.pid)
        before_s = await _at_rest(child.pid)
        took = [
            await _change(place, api, number * services // changes, program.rest_s)
            for number in range(changes)
        ]
        change_cpu_s = _cpu_s(child.pid) - before_s
        return Run(
            loaded_s,
            load_cpu_s,
            tuple(took),
            1000 * change_cpu_s / max(changes, 1),
            _memory_mb(child.pid, "VmRSS"),
            _memory_mb(child.pid, "VmHWM"),
        )


@contextlib.contextmanager
def _started(
    program: Program, place: cluster.Cluster
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    argv = program.argv(place)
    log = place.bed.folder / f"{program.name.replace(' ', '-')}.log"
    with log.open("ab") as out:
        began = time.monotonic()
        child = subprocess.Popen(argv, stdout=out, stderr=out)
        try:
            yield child, began
        except TimeoutError as error:
            said = log.read_text()[-LAST_WORDS:]
            raise SystemExit(f"{program.name} programmed nothing; it said:\n{said}") from error
        finally:
            child.terminate()
            child.wait()


async def _loaded(place: cluster.Cluster, services: int, began: float) -> float:
    """Return after how many seconds the last transaction came that made all Services answer."""
    way = vip_way(place.bed, services)
    counter = generation.Counter()
    seen, last = counter.read(), began
    deadline = began + GIVE_UP_S
    while time.monotonic() < deadline:
        await asyncio.sleep(POLL_S)
        now, count = time.monotonic(), counter.read()
        if count != seen:
            seen, last = count, now
        elif last != began and now > last + QUIET_S:
            if traffic.answers(way):
                return last - began
            await asyncio.sleep(QUIET_S / 10)
    raise TimeoutError(f"not loaded after {GIVE_UP_S:.0f} s")


async def _at_rest(pid: int) -> float:
    """Return the CPU time of a process as soon as it has finished what follows a load."""
    while True:
        before_s = _cpu_s(pid)
        await asyncio.sleep(QUIET_S)
        if _cpu_s(pid) - before_s < IDLE_SHARE * QUIET_S:
            return _cpu_s(pid)


async def _change(place: cluster.Cluster, api: client.Client, number: int, rest_s: float) -> float:
    """Take a pod from a Service or give it back; return the milliseconds until the kernel knew."""
    name, own = cluster.numbered(number).name, load.NAMESPACE
    known = await api.get(resources.ENDPOINT_SLICES, name, own)
    full = len(known["endpoints"]) == len(space.PODS)
    ends = cluster.endpoints(place.bed, len(space.PODS) - full)
    counter = generation.Counter()
    before = counter.read()
    async with asyncio.timeout(CHANGE_GIVE_UP_S), asyncio.TaskGroup() as tasks:
        began = time.monotonic()
        writing = api.patch(resources.ENDPOINT_SLICES, name, {"endpoints": ends}, own)
        tasks.create_task(writing)
        while counter.read() == before:  # noqa: ASYNC110
            await asyncio.sleep(CHANGE_POLL_S)
        took_ms = 1000 * (time.monotonic() - began)
    await asyncio.sleep(rest_s)
    return took_ms


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process and of the commands that it ran."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_S


def _memory_mb(pid: int, what: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024
