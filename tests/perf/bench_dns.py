"""Queries per CPU second beside CoreDNS, NSD and Knot; 100,000 names; a change under load.

Ratios of one run count: all servers run at once, rounds alternate between them, and each figure
is completed queries by CPU time of the server's processes: other work on the machine matters less.
"""

import platform
import random
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import click
import dns_servers
import dns_visibility
from dns_servers import LOADS, NAMES, SERVERS, Load, Measured

MANY_NAMES = 100_000
BARS = {
    ("A", "CoreDNS"): 4.0,
    ("A", "CoreDNS tuned"): 3.0,
    ("A", "NSD"): 0.6,
    ("A, EDNS + cookie", "CoreDNS tuned"): 2.5,
    ("NXDOMAIN", "CoreDNS tuned"): 3.0,
}
"""Least ratio of our queries per CPU second to another server's (facts of the peers' best)."""
OURS = ("lbctl", "lbctl compiled")
OTHERS = [name for name in SERVERS if name not in OURS]
MANY_MB, MANY_S = 300.0, 2.0
VISIBLE_MS = 2.0
Rounds = dict[tuple[str, str], list[Measured]]
"""By load and server, one for each round."""


def run_rounds(folder: Path, rounds: int, seconds: float) -> Rounds:
    """Measure every server under every load, in turn."""
    zone = folder / "zone"
    dns_servers.write_zone(zone, NAMES)
    found: Rounds = {(load.name, name): [] for load in LOADS for name in SERVERS}
    with ExitStack() as stack:
        running = [
            stack.enter_context(dns_servers.serving(name, folder / name.replace(" ", "-"), zone))
            for name in SERVERS
        ]
        for number in range(rounds):
            for load in LOADS:
                queries = write_queries(folder, load, number)
                for server in running:
                    measured = dns_servers.measure(server, load, queries, seconds)
                    found[load.name, server.name].append(measured)
    return found


def write_queries(folder: Path, load: Load, seed: int) -> Path:
    """Write dnsperf's input: all names once, in an order of the round's own."""
    numbers = list(range(NAMES))
    random.Random(seed).shuffle(numbers)
    path = folder / "queries"
    path.write_text("".join(load.query.format(n=n) + "\n" for n in numbers))
    return path


def ratio(found: Rounds, load: str, ours: str, other: str) -> float:
    """Return the median over rounds of ours to another's queries per CPU second."""
    pairs = zip(found[load, ours], found[load, other], strict=True)
    return statistics.median(own.per_cpu_s / its.per_cpu_s for own, its in pairs)


def rate(found: Rounds, load: str, name: str) -> float:
    """Return the median over rounds of a server's queries per CPU second."""
    return statistics.median(one.per_cpu_s for one in found[load, name])


def rows(found: Rounds) -> list[list[str]]:
    """Return the table of rates: a load a row."""
    shown = [["queries per CPU second", *SERVERS]]
    shown += [
        [load.name, *(f"{rate(found, load.name, one):,.0f}" for one in SERVERS)] for load in LOADS
    ]
    return shown


def ratio_rows(found: Rounds) -> list[list[str]]:
    """Return the table of ratios: each load for each of ours, beside the other servers."""
    shown = [["x", *OTHERS]]
    for load in LOADS:
        for ours in OURS:
            ratios = [
                verdict(ratio(found, load.name, ours, one), BARS.get((load.name, one)))
                for one in OTHERS
            ]
            shown.append([f"{load.name}: {ours}", *ratios])
    return shown


def verdict(value: float, bar: float | None) -> str:
    """Return a ratio with its bar and whether it is met."""
    if bar is None:
        return f"{value:.2f}"
    return f"{value:.2f} ({'' if value >= bar else 'MISSES '}≥ {bar:g})"


def show(table: list[list[str]], *, markdown: bool) -> None:
    """Print a table for people or for the docs."""
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in table]
        lines.insert(1, "|" + "---|" * len(table[0]))
    else:
        widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in table
        ]
    print("\n".join(lines), flush=True)


def many_names(folder: Path) -> None:
    """Serve zone files of one name and of 100,000: print what the names cost."""
    alone_s, alone_mb = served(folder, 1)
    took_s, memory_mb = served(folder, MANY_NAMES)
    print(
        f"{MANY_NAMES:,} names: {memory_mb:.0f} MB (≤ {MANY_MB:.0f}), all processes, one name "
        f"{alone_mb:.0f}; served {took_s:.1f} s after the start on one core, one name "
        f"{alone_s:.1f} s (difference ≤ {MANY_S:.0f})",
        flush=True,
    )


def served(folder: Path, count: int) -> tuple[float, float]:
    """Return the seconds until so many names of a zone file are served, and all memory in MB."""
    zone = folder / f"zone-{count}"
    dns_servers.write_zone(zone, count)
    began = time.monotonic()
    with dns_servers.serving("lbctl", folder / f"lbctl-{count}", zone) as server:
        took_s = time.monotonic() - began
        last = f"svc-{count - 1}.default.lb.example"
        if not dns_servers.answers(server.port, last):
            raise RuntimeError(f"{last} is not served: a table must show whole")
        return took_s, server.rss_mb()


def visibility(changes: int, qps: int) -> None:
    """Print how soon a change is seen through all workers."""
    seen = dns_visibility.measure(changes, qps)
    print(
        f"change to seen through 8 ports over 2 workers under {qps:,} queries/s: "
        f"{quantiles_ms(seen.took_s)} (≤ {VISIBLE_MS:g}), {changes} changes, from the API "
        f"server's watch event on; the 8 round trips alone: {quantiles_ms(seen.bare_s)}; "
        f"from the event in the server to its last worker's word: {seen.in_time:.0f} of "
        f"{seen.counted:.0f} within {VISIBLE_MS:g} ms",
        flush=True,
    )


def quantiles_ms(took_s: list[float]) -> str:
    """Return median and 95th percentile for people."""
    cuts = statistics.quantiles(took_s, n=20, method="inclusive")
    return f"p50 {cuts[9] * 1000:.2f} ms, p95 {cuts[18] * 1000:.2f} ms"


def machine() -> str:
    """Return what the figures were taken on."""
    text = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    versions = []
    for command in (("nsd", "-v"), ("knotd", "-V")):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        versions.append((done.stdout + done.stderr).splitlines()[0])
    python = f"Python {platform.python_version()}"
    cores = f"{len(models)} x {models[0]}, servers on core 0, load on 1"
    return "; ".join([cores, python, *versions])


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=3.0, show_default=True, help="Length of each run of dnsperf.")
@click.option("--changes", default=200, show_default=True, help="Changes to time.")
@click.option("--qps", default=30_000, show_default=True, help="Load while changes are timed.")
@click.option("--markdown", is_flag=True, help="Print the table for the docs.")
@click.option("--part", type=click.Choice(["rates", "names", "visibility"]), multiple=True)
def main(
    rounds: int, seconds: float, changes: int, qps: int, markdown: bool, part: tuple[str, ...]
) -> None:
    """Measure rates beside other servers, 100,000 names, and how soon a change is visible."""
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if not part or "rates" in part:
            found = run_rounds(folder, rounds, seconds)
            print(f"medians of {rounds} rounds of {seconds:g} s, {NAMES:,} names")
            show(rows(found), markdown=markdown)
            show(ratio_rows(found), markdown=markdown)
            lost = sum(one.lost for each in found.values() for one in each)
            print(f"lost: {lost} of {sum(one.completed for e in found.values() for one in e):,}")
        if not part or "names" in part:
            many_names(folder)
        if not part or "visibility" in part:
            visibility(changes, qps)


if __name__ == "__main__":
    main()
