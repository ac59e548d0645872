"""`make bench-flap`: how much a Service that flaps delays the addresses of others.

On a kube-apiserver of its own with lbctl's controller as a process, and nothing else: Services are
created at 10/s, in alternating rounds with and without another one whose type, ports or
annotations change 20 times a second.
"""

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import bench_vip
import click
import load
import yaml

import real_api
from lbctl.kube import client, config, resources

FLAPS_PER_S, BIRTHS_PER_S = 20, 10
FLAPPER, ELSEWHERE = "flapper", "default"
"""Not in the namespace in which births are counted."""
BAR_MS = 50
SETTINGS = {
    "addressPools": [{"name": "default", "addresses": ["198.18.0.0/16"]}],
    "nameservice": {"subdomains": ["lb.example"]},
    "metrics": {"enabled": False, "port": 0},
}


@contextlib.contextmanager
def controlled(folder: Path, kubeconfig: Path) -> Iterator[None]:
    """Run the controller until the block ends."""
    settings = folder / "settings.yaml"
    settings.write_text(yaml.safe_dump(SETTINGS))
    lbctl = str(Path(sys.executable).with_name("lbctl"))
    argv = [lbctl, "controller", "--config", str(settings), "--kubeconfig", str(kubeconfig)]
    with (folder / "controller.log").open("wb") as out, subprocess.Popen(argv, stderr=out) as child:
        try:
            yield
        finally:
            child.terminate()


def change(number: int) -> dict[str, Any]:
    """Return the next of three kinds of change: type, ports, annotations."""
    port = {"name": "", "port": 9000 + number % 1000, "protocol": "TCP"}
    note = {"lbctl.io/load-balancer-ips": f"198.18.255.{1 + number % 2}"}
    kind = "ClusterIP" if number % 3 == 0 else "LoadBalancer"
    meta = {"annotations": note} if number % 3 == 2 else {}
    return {"metadata": meta, "spec": {"type": kind, "ports": [port]}}


@contextlib.asynccontextmanager
async def flapping(api: client.Client) -> AsyncIterator[None]:
    """Change the flapper again and again until the block ends."""

    async def flap() -> None:
        number = 0
        while True:
            await api.patch(resources.SERVICES, FLAPPER, change(number), ELSEWHERE)
            await asyncio.sleep(1 / FLAPS_PER_S)
            number += 1

    task = asyncio.ensure_future(flap())
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()


async def bench(kubeconfig: Path, count: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Run all rounds; returns the figures of each mode."""
    found: dict[str, list[dict[str, float]]] = {"alone": [], "beside a flapper": []}
    async with client.Client(config.load(kubeconfig), timeout_s=60) as api:
        await load.make_namespace(api)
        await api.create(
            resources.SERVICES, {**load.service(0), "metadata": {"name": FLAPPER}}, ELSEWHERE
        )
        for _ in range(rounds):
            for mode, runs in found.items():
                beside = contextlib.nullcontext() if mode == "alone" else flapping(api)
                async with beside:
                    run = await bench_vip.measure(api, count, per_s=BIRTHS_PER_S, endpoints=[])
                runs.append(run.figures())
                await load.clean(api)
    return found


def report(found: dict[str, list[dict[str, float]]]) -> None:
    """Print the medians over the rounds, and what the flapper costs."""
    medians = {
        mode: {name: 1000 * statistics.median(run[name] for run in runs) for name in runs[0]}
        for mode, runs in found.items()
    }
    print(f"{'create to address, ms':<24}{'p50':>8}{'p99':>8}")
    for mode, row in medians.items():
        print(f"{mode:<24}{row['p50']:>8.1f}{row['p99']:>8.1f}")
    alone, beside = medians.values()
    delays = {name: beside[name] - alone[name] for name in ("p50", "p99")}
    print(f"{'delay':<24}" + "".join(f"{delay:>8.1f}" for delay in delays.values()))
    kept = {name: "kept" if delay < BAR_MS else "MISSED" for name, delay in delays.items()}
    print(f"the bar is {BAR_MS} ms: " + ", ".join(f"{name} {word}" for name, word in kept.items()))


@click.command()
@click.option("-n", "count", default=200, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(count: int, rounds: int) -> None:
    """Measure creation to address beside a Service that flaps, and without one."""
    with (
        tempfile.TemporaryDirectory() as name,
        real_api.kube_apiserver(Path(name)) as kubeconfig,
        controlled(Path(name), kubeconfig),
    ):
        report(asyncio.run(bench(kubeconfig, count, rounds)))


if __name__ == "__main__":
    main()
