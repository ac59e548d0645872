"""What a kernel's IPVS holds, as `ipvsadm -Ln` shows it; asked for by netlink."""

from collections.abc import Iterator

from pyroute2 import IPVS, IPVSDest, IPVSService


def listing() -> list[str]:
    """Return the virtual servers and those behind them, sorted."""
    with IPVS() as kernel:
        return sorted(_servers(kernel))


def _servers(kernel: IPVS) -> Iterator[str]:
    for message in kernel.service("dump"):
        found = IPVSService.from_message(message)
        behind = sorted(
            f"{entry['addr']}:{entry['port']}"
            for entry in map(IPVSDest.from_message, kernel.dest("dump", service=found))
        )
        yield f"{found['addr']}:{found['port']} {found['sched_name']} → {' '.join(behind)}"
