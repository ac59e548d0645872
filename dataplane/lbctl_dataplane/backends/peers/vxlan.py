"""The kernel's side of the tunnel to peers on other links."""

import asyncio
import contextlib

from lbctl.model import errors
from lbctl_dataplane.backends import commands
from lbctl_dataplane.backends.node_facts import PROC_SYS_NET
from lbctl_dataplane.backends.tables.generation import Others
from lbctl_dataplane.backends.tables.kernel_table import KernelTable
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.peers import layout, tunnel
from lbctl_dataplane.rules.peers.tunnel import Device, Entries
from lbctl_dataplane.rules.tables.elements import KeptTable

_NAME = constants.TUNNEL_DEVICE


class Vxlan:
    """Owns the device `lbctl-vx`, and the table that keeps answers fit for it."""

    def __init__(self, service_interface: str, others: Others | None) -> None:
        self._interface = service_interface
        self._others = others
        self.index = 0
        """Number of the device, once it is made."""
        self._made: tuple[Device, Entries] | None = None
        self._answers: KernelTable | None = None

    def distrust(self) -> None:
        """Look at everything again next time."""
        self._made = None

    async def make_it_so(self, wanted: Device, entries: Entries) -> int:
        """Have the tunnel lead to these peers; return how many things that changed."""
        if self._answers is None or self._made is None or self._made[0].mtu != wanted.mtu:
            self._answers = KernelTable(KeptTable(layout.answers(wanted.mtu)), self._others)
        changed = await self._answers.make_it_so()
        if self._made != (wanted, entries) or changed:
            changed += await self._repair(wanted, entries)
            self._made = (wanted, entries)
        return changed

    async def _repair(self, wanted: Device, entries: Entries) -> int:
        found = await look()
        lines = tunnel.render(wanted, found)
        await _batch("ip", lines)
        self.index = (await look() if lines else found).index
        texts = tunnel.commands(entries, await _entries(), self._interface)
        await _batch("ip", texts["route"] + texts["neigh"])
        await _batch("bridge", texts["fdb"])
        return sum(text.count("\n") for text in (lines, *texts.values()))


def strictly_filtered() -> bool:
    """Let clients' packets in by the tunnel; tell whether the kernel would drop them still.

    No route leads back to a client by the tunnel, which a strict filter takes for a forgery.
    Raises Unavailable when the device is gone.
    """
    own, every = (PROC_SYS_NET / "ipv4" / "conf" / name / "rp_filter" for name in (_NAME, "all"))
    try:
        if own.read_text().strip() == "1":
            with contextlib.suppress(OSError):  # in a container: what stands there counts
                own.write_text("0\n")
        return "1" in (own.read_text().strip(), every.read_text().strip())
    except OSError as error:
        raise errors.Unavailable(f"{error.filename}: {error.strerror}") from error


async def look() -> tunnel.Found:
    """Return what has the device's name."""
    return tunnel.parse(await commands.run("ip", "-d", "-j", "link", "show", "type", "vxlan"))


async def forget_routes() -> None:
    """Take away the ways to peers' legs, with or without a device."""
    for version in (4, 6):
        of_ours = ("proto", str(constants.TUNNEL_ROUTE_PROTOCOL))
        await commands.run("ip", f"-{version}", "route", "flush", *of_ours)


async def _entries() -> Entries:
    forwarding, *rest = await asyncio.gather(
        commands.run("bridge", "-j", "fdb", "show", "dev", _NAME),
        *(commands.run("ip", f"-{v}", "-j", "neigh", "show", "dev", _NAME) for v in (4, 6)),
        *(commands.run("ip", f"-{v}", "-j", *tunnel.ROUTES) for v in (4, 6)),
    )
    return tunnel.parse_entries(rest[:2], forwarding, rest[2:])


async def _batch(command: str, lines: str) -> None:
    if lines:
        await commands.run(command, "-batch", "-", stdin=lines)
