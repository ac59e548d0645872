#!/usr/bin/env python3
"""Layouts of an nftables table side by side: a full load, one change, a listing. Needs root.

Each runs in a network namespace of its own, rounds interleaved. Every Service has a VIP and members
of its own, so nothing is shared. What is printed is CPU time of nft with the kernel's part, median
of the rounds, and the most memory that nft took.
"""

import argparse
import contextlib
import ipaddress
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lbctl_dataplane.rules import maglev
from lbctl_dataplane.rules.frontend import Frontend, Member, Place
from lbctl_dataplane.rules.nft.compiler import NftCompiler
from lbctl_dataplane.rules.pod_routes import PodRoutes

MEMBERS = 4
OPEN = PodRoutes({(4, 0): {0: True}})
"""Everything is behind a device of this node."""
T = "inet t"
HOOK = f"add chain {T} entry {{ type nat hook prerouting priority -105; }}\n"
PLACES = "ip daddr . meta l4proto . th dport"
TCP_PLACES = "ip daddr . meta l4proto . tcp dport"
PLACE_TYPE = "ipv4_addr . inet_proto . inet_service"
SHARED_SLOTS = 31
HEAD = (
    f"add table {T}\nadd map {T} places {{ type {PLACE_TYPE} : verdict; }}\n{HOOK}"
    f"add rule {T} entry {PLACES} vmap @places\n"
)


@dataclass(frozen=True)
class Layout:
    """How Services become text for nft."""

    name: str
    load: Callable[[Sequence[Frontend]], Sequence[str]]
    """Transactions."""
    change: Callable[[Sequence[Frontend], Frontend], str]
    """The first Service becomes another one."""


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    cpu_s: float
    rss_mb: float


def frontends(count: int) -> list[Frontend]:
    """Return Services with all members different."""
    vips, pods = ipaddress.ip_address("198.18.0.0"), ipaddress.ip_address("10.0.0.0")
    return [
        Frontend(
            f"default.s{number}",
            Place(vips + number, "TCP", 80),
            tuple(Member(pods + number * MEMBERS + turn, 8080) for turn in range(MEMBERS)),
        )
        for number in range(count)
    ]


def lesser(frontend: Frontend) -> Frontend:
    """Return the Service with one member less."""
    return Frontend(frontend.key, frontend.place, frontend.members[1:])


def place(frontend: Frontend) -> str:
    """Return the key of a Service's place."""
    return f"{frontend.place.vip} . 6 . {frontend.place.port}"


def slots(frontend: Frontend, first: int = 0) -> str:
    """Return the Maglev table as elements of a map."""
    table = enumerate(maglev.table(frontend.members), first)
    return ", ".join(f"{slot} : {member.address} . {member.port}" for slot, member in table)


def anonymous(frontends: Sequence[Frontend]) -> Sequence[str]:
    """Return a chain per Service with an anonymous map."""
    lines = [HEAD]
    for number, frontend in enumerate(frontends):
        lines.append(f"add chain {T} c{number}\n{_anonymous_rule(number, frontend)}")
        lines.append(f"add element {T} places {{ {place(frontend)} : goto c{number} }}\n")
    return ["".join(lines)]


def _anonymous_rule(number: int, frontend: Frontend) -> str:
    size = maglev.size_for(frontend.members)
    choice = f"jhash ip saddr . tcp sport mod {size} seed 27"
    return f"add rule {T} c{number} dnat ip to {choice} map {{ {slots(frontend)} }}\n"


def anonymous_change(_: Sequence[Frontend], after: Frontend) -> str:
    """Return new rules for the first chain."""
    return f"flush chain {T} c0\n{_anonymous_rule(0, after)}"


def named(frontends: Sequence[Frontend]) -> Sequence[str]:
    """Return a chain and a named map per Service."""
    lines = [HEAD]
    for number, frontend in enumerate(frontends):
        size = maglev.size_for(frontend.members)
        lines.append(
            f"add map {T} m{number} {{ typeof numgen inc mod 2 : ip daddr . th dport; }}\n"
            f"add element {T} m{number} {{ {slots(frontend)} }}\nadd chain {T} c{number}\n"
            f"add rule {T} c{number} dnat ip to jhash ip saddr . tcp sport mod {size} seed 27 "
            f"map @m{number}\nadd element {T} places {{ {place(frontend)} : goto c{number} }}\n"
        )
    return ["".join(lines)]


def named_change(_: Sequence[Frontend], after: Frontend) -> str:
    """Return new elements for the first map; its size is taken as the same."""
    return f"flush map {T} m0\nadd element {T} m0 {{ {slots(after)} }}\n"


def shared(frontends: Sequence[Frontend]) -> Sequence[str]:
    """Return one map for everything, with the same number of slots for each Service."""
    lines = [
        f"add table {T}\nadd map {T} slots {{ type {PLACE_TYPE} . mark : ipv4_addr . inet_service; "
        f"}}\n{HOOK}add rule {T} entry meta mark set jhash ip saddr . tcp sport mod {SHARED_SLOTS} "
        f"seed 27\nadd rule {T} entry dnat ip to {TCP_PLACES} . meta mark map @slots\n"
    ]
    lines += [f"add element {T} slots {{ {_shared_slots(entry)} }}\n" for entry in frontends]
    return ["".join(lines)]


def _shared_slots(frontend: Frontend) -> str:
    ends = maglev.table(frontend.members)[:SHARED_SLOTS]
    members = (*ends, *ends)[:SHARED_SLOTS]
    return ", ".join(
        f"{place(frontend)} . {slot} : {member.address} . {member.port}"
        for slot, member in enumerate(members)
    )


def shared_change(frontends: Sequence[Frontend], after: Frontend) -> str:
    """Return other elements for the first Service."""
    keys = ", ".join(f"{place(after)} . {slot}" for slot in range(SHARED_SLOTS))
    gone = f"delete element {T} slots {{ {keys} }}\n"
    return f"{gone}add element {T} slots {{ {_shared_slots(after)} }}\n"


def proxy(frontends: Sequence[Frontend]) -> Sequence[str]:
    """Return a chain per Service and per endpoint, as kube-proxy's nftables mode lays them out."""
    lines = [HEAD]
    for number, frontend in enumerate(frontends):
        lines.append(f"add chain {T} c{number}\n")
        for turn, member in enumerate(frontend.members):
            lines.append(
                f"add chain {T} e{number}-{turn}\nadd rule {T} e{number}-{turn} meta l4proto tcp "
                f"dnat ip to {member.address}:{member.port}\n"
            )
        lines.append(_proxy_rule(number, range(MEMBERS)))
        lines.append(f"add element {T} places {{ {place(frontend)} : goto c{number} }}\n")
    return ["".join(lines)]


def _proxy_rule(number: int, turns: Sequence[int]) -> str:
    ends = ", ".join(f"{at} : goto e{number}-{turn}" for at, turn in enumerate(turns))
    return f"add rule {T} c{number} numgen random mod {len(turns)} vmap {{ {ends} }}\n"


def proxy_change(_: Sequence[Frontend], __: Frontend) -> str:
    """Return the first Service with an endpoint less."""
    rule = _proxy_rule(0, range(1, MEMBERS))
    return f"flush chain {T} c0\n{rule}flush chain {T} e0-0\ndelete chain {T} e0-0\n"


def ours(frontends: Sequence[Frontend]) -> Sequence[str]:
    """Return what the agent loads."""
    compiler = NftCompiler(["svc0"], pinged=["svc0"])
    compiler.update(frontends, OPEN)
    return compiler.table.transactions()[0]


def ours_change(frontends: Sequence[Frontend], after: Frontend) -> str:
    """Return what the agent changes."""
    compiler = NftCompiler(["svc0"], pinged=["svc0"])
    compiler.update(frontends, OPEN)
    compiler.table.took()
    compiler.update([after, *frontends[1:]], OPEN)
    return compiler.table.transactions()[0][0]


OURS = Layout("maps by size of table, places in them (ours)", ours, ours_change)
PROXY = Layout("chain per endpoint (as kube-proxy)", proxy, proxy_change)
LAYOUTS = (
    OURS,
    Layout("one map with the places in it, 31 slots", shared, shared_change),
    Layout("named map per Service", named, named_change),
    Layout("anonymous map per Service", anonymous, anonymous_change),
    PROXY,
)


def cost(space: int, *words: str, text: str = "") -> Cost:
    """Run nft in the namespace of a process; return what it took."""
    child = subprocess.Popen(
        ["nsenter", f"--net=/proc/{space}/ns/net", "nft", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdin is not None
    child.stdin.write(text)
    child.stdin.close()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"nft {' '.join(words)} failed")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


READ_BACK = """
import asyncio, pathlib, re, time
from lbctl_dataplane.backends import nft_listing
from lbctl_dataplane.rules import nft_table
def used():
    # What getrusage tells of memory is the parent's as well.
    status = pathlib.Path("/proc/self/status").read_text()
    return time.process_time(), int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])
before = used()
assert asyncio.run(nft_listing.read(nft_table.TABLE))
print(*(after - one for after, one in zip(used(), before)))
"""
"""What the agent does in an audit after somebody else's transaction."""


def audits(count: int) -> tuple[Cost, Cost]:
    """Return the cost of listing our table by nft, and of what the agent does in its place."""
    with namespace() as space:
        for text in ours(frontends(count)):
            cost(space, "-f", "-", text=text)
        enter = ("nsenter", f"--net=/proc/{space}/ns/net", sys.executable, "-c", READ_BACK)
        said = subprocess.run(enter, check=True, capture_output=True, text=True).stdout
        cpu_s, rss_kb = map(float, said.split())
        listing = cost(space, "list", "table", "inet", "lbctl-node")
        return listing, Cost(cpu_s, rss_kb / 1024)


@contextlib.contextmanager
def namespace() -> Iterator[int]:
    """Have a network namespace; yield a process that is in it."""
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo up; exec sleep 600"],
                              stdout=subprocess.PIPE)  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def load_and_change(space: int, layout: Layout, count: int) -> tuple[Cost, Cost]:
    """Return the cost of a load and of one change."""
    services = frontends(count)
    change = layout.change(services, lesser(services[0]))
    parts = [cost(space, "-f", "-", text=text) for text in layout.load(services)]
    load = Cost(sum(part.cpu_s for part in parts), max(part.rss_mb for part in parts))
    return load, cost(space, "-f", "-", text=change)


def measure(layout: Layout, count: int) -> tuple[Cost, Cost, Cost]:
    """Return the cost of a load, of one change and of a listing, in a fresh namespace."""
    with namespace() as space:
        return *load_and_change(space, layout, count), cost(space, "list", "ruleset")


def main() -> None:
    """Measure and print a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", default="1000,10000")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", choices=("layouts", "audits"))
    asked = options.parse_args()
    for count in map(int, asked.sizes.split(",")):
        if asked.only != "layouts":
            print_audits(count, [audits(count) for _ in range(asked.rounds)])
        if asked.only == "audits":
            continue
        found: dict[str, list[tuple[Cost, Cost, Cost]]] = {entry.name: [] for entry in LAYOUTS}
        for _ in range(asked.rounds):
            for layout in LAYOUTS:
                found[layout.name].append(measure(layout, count))
        print(f"\n| {count} Services | load, s | memory, MB | one change, ms | listing, s |")
        print("|---|---|---|---|---|")
        for name, rounds in found.items():
            load, change, listing = zip(*rounds, strict=True)
            print(
                f"| {name} | {_median(load):.2f} | {max(entry.rss_mb for entry in load):.0f} "
                f"| {1000 * _median(change):.1f} | {_median(listing):.2f} |",
                flush=True,
            )


def print_audits(count: int, rounds: Sequence[tuple[Cost, Cost]]) -> None:
    """Print what it takes to read back our table."""
    print(f"\n| {count} Services: an audit | CPU, s | memory more, MB |\n|---|---|---|")
    names = ("`nft list table`, without reading its text", "the agent, asking the kernel")
    for name, costs in zip(names, zip(*rounds, strict=True), strict=True):
        memory = max(entry.rss_mb for entry in costs)
        print(f"| {name} | {_median(costs):.2f} | {memory:.0f} |", flush=True)


def _median(costs: Sequence[Cost]) -> float:
    return statistics.median(entry.cpu_s for entry in costs)


if __name__ == "__main__":
    sys.exit(main())
