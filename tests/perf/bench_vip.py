"""`make bench-vip`: from a Service's creation to its address, beside MetalLB's controller.

Both run on the same lab, one at a time, in alternating rounds; each round creates N Services
without node ports at 80/s and then as fast as 16 at a time go. `--endpoints` gives each Service a
ready EndpointSlice on the lab's nodes, so that lbctl shows an address only after a node and the
router have acknowledged it (MetalLB's controller never waits for anybody).
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import load
import yaml

from lbctl.kube import client, config, resources
from lbctl.kube.objects import key_of
from lbctl_lab import binaries, controlplane, processes, progress, state, status, toolchain

PACE_PER_S = 80
GIVE_UP_S = 300.0


class Run:
    """One burst or paced run: when each Service was asked for and when it had its address."""

    def __init__(self) -> None:
        self.asked: dict[str, float] = {}
        self.shown: dict[str, float] = {}

    def figures(self) -> dict[str, float]:
        """Return p50 and p99 of creation → address and the time until all had one, seconds."""
        waits = sorted(self.shown[key] - asked for key, asked in self.asked.items())
        cuts = statistics.quantiles(waits, n=100, method="inclusive")
        return {
            "p50": cuts[49],
            "p99": cuts[98],
            "create": max(self.asked.values()) - min(self.asked.values()),
            "all": max(self.shown.values()) - min(self.asked.values()),
        }


async def measure(
    api: client.Client, count: int, *, per_s: float | None, endpoints: list[Any]
) -> Run:
    """Create Services, as fast as it goes where no rate is given; wait until all have addresses."""
    run = Run()
    everyone = asyncio.Event()
    watcher = asyncio.ensure_future(_watch(api, run, count, everyone))
    if endpoints:
        await load.spread(count, lambda n: load.create_slice(api, n, endpoints))
    create = _creator(api, run)
    try:
        await (load.pace(count, per_s, create) if per_s else load.spread(count, create))
        async with asyncio.timeout(GIVE_UP_S):
            await everyone.wait()
    finally:
        watcher.cancel()
    return run


async def _watch(api: client.Client, run: Run, count: int, everyone: asyncio.Event) -> None:
    listed = await api.list(resources.SERVICES, load.NAMESPACE)
    version = listed.resource_version
    while True:
        async for event in api.watch(resources.SERVICES, version, load.NAMESPACE):
            version = event.object["metadata"]["resourceVersion"]
            ingress = ((event.object.get("status") or {}).get("loadBalancer") or {}).get("ingress")
            if ingress and event.type != "DELETED":
                run.shown.setdefault(key_of(event.object), time.monotonic())
            if len(run.shown) == count:
                everyone.set()


def _creator(api: client.Client, run: Run) -> Callable[[int], Awaitable[None]]:
    async def create(number: int) -> None:
        run.asked[f"{load.NAMESPACE}/svc-{number}"] = time.monotonic()
        await load.create_service(api, number)

    return create


class MetalLB:
    """MetalLB's controller on the lab, from its Go module, without its webhook."""

    def __init__(self, shown: progress.Progress) -> None:
        origin = binaries.METALLB
        self._binary = binaries.built(origin, shown) / "controller"
        go = toolchain.find_go(toolchain.wanted_version(origin.folder))
        module = ["list", "-m", "-f", "{{.Dir}}", "go.universe.tf/metallb"]
        folder = subprocess.check_output([go, *module], cwd=origin.folder, text=True)
        self._crds = Path(folder.strip()) / "config" / "crd" / "bases"
        self._process: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        """Apply its definitions and one pool."""
        controlplane.kubectl("apply", "-f", str(self._crds))
        kinds = ("ipaddresspools", "l2advertisements")
        named = [f"crd/{kind}.metallb.io" for kind in kinds]
        controlplane.kubectl("wait", "--for=condition=Established", *named, "--timeout=30s")
        meta = {"name": "bench", "namespace": "metallb-system"}
        group = "metallb.io/v1beta1"
        objects = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "metallb-system"}},
            {
                "apiVersion": group,
                "kind": "IPAddressPool",
                "metadata": meta,
                "spec": {"addresses": ["198.19.0.0/16"]},
            },
            {"apiVersion": group, "kind": "L2Advertisement", "metadata": meta, "spec": {}},
        ]
        controlplane.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(objects))

    def start(self) -> None:
        """Start the controller."""
        kubeconfig = status.env()["KUBECONFIG"]
        argv = [
            str(self._binary), "-kubeconfig", kubeconfig, "-webhook-mode", "disabled",
            "-disable-cert-rotation", "-namespace", "metallb-system", "-ml-secret-name", "",
            "-deployment", "",
        ]  # fmt: skip
        own = {"METALLB_NAMESPACE": "metallb-system", "METALLB_POD_NAME": "controller"}
        with (state.ROOT / "logs" / "metallb.log").open("ab") as out:
            self._process = subprocess.Popen(
                argv, env={**os.environ, **own, state.MARK: str(state.ROOT)}, stdout=out, stderr=out
            )

    def stop(self) -> None:
        """End the controller."""
        if self._process is not None:
            self._process.kill()  # asked to end, it takes half a minute
            self._process.wait()


class Lbctl:
    """lbctl's controller, which the lab runs."""

    def start(self) -> None:
        """Start it again."""
        processes.start("controller")

    def stop(self) -> None:
        """End it."""
        processes.stop("controller")


async def bench(count: int, rounds: int, *, with_endpoints: bool) -> dict[str, list[Any]]:
    """Run all rounds; returns the figures of each product and mode."""
    shown = progress.Progress()
    metallb = MetalLB(shown)
    metallb.install()
    products: dict[str, Lbctl | MetalLB] = {"lbctl": Lbctl(), "MetalLB": metallb}
    found: dict[str, list[Any]] = {}
    async with client.Client(config.load(Path(status.env()["KUBECONFIG"])), timeout_s=60) as api:
        await load.make_namespace(api)
        endpoints = load.real_endpoints() if with_endpoints else []
        processes.stop("controller")
        for turn in range(rounds):
            for name, product in products.items():
                product.start()
                await asyncio.sleep(3)
                try:
                    for mode, per_s in (("paced", PACE_PER_S), ("burst", None)):
                        shown.say(f"round {turn + 1} of {rounds}: {name}, {mode}, {count} Services")
                        run = await measure(api, count, per_s=per_s, endpoints=endpoints)
                        found.setdefault(f"{name} {mode}", []).append(run.figures())
                        await load.clean(api)
                finally:
                    product.stop()
        processes.start("controller")
    return found


def report(found: dict[str, list[Any]]) -> None:
    """Print the medians and the ratios."""
    medians = {
        key: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for key, runs in found.items()
    }
    print(f"\n{'medians, seconds':<18}{'p50':>9}{'p99':>9}{'created':>9}{'all have':>9}")
    for key, row in medians.items():
        print(f"{key:<18}" + "".join(f"{row[name]:>9.3f}" for name in row))
    for mode in ("paced", "burst"):
        ours, theirs = medians[f"lbctl {mode}"], medians[f"MetalLB {mode}"]
        ratios = ", ".join(
            f"{name} {theirs[name] / ours[name]:.1f}x" for name in ("p50", "p99", "all")
        )
        print(f"MetalLB / lbctl, {mode}: {ratios}")


@click.command()
@click.option("-n", "count", default=1000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--endpoints", is_flag=True, help="A ready EndpointSlice for each Service.")
def main(count: int, rounds: int, endpoints: bool) -> None:
    """Measure creation to address, beside MetalLB."""
    lbctl = str(Path(sys.executable).with_name("lbctl"))
    subprocess.run([lbctl, "lab", "up", "--dev"], check=True)
    report(asyncio.run(bench(count, rounds, with_endpoints=endpoints)))


if __name__ == "__main__":
    main()
