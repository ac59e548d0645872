"""The Linux router's kernel: our nftables table, routes, rules and neighbours."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lbctl import delta
from lbctl.model import errors
from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import commands
from lbctl_dataplane.rules import constants, routes, spread

log = logging.getLogger(__name__)

FULL_READ_S = 4.5
"""What was read back last is trusted for this long; then drift is looked for again."""
PROC_SYS_NET = Path("/proc/sys/net")


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the router's kernel holds: ours, and the networks that it is on."""

    ruleset: spread.Ruleset | None
    entries: routes.Entries
    links: tuple[routes.Link, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What it should hold."""

    ruleset: spread.Ruleset | None
    entries: routes.Entries


class LinuxRouter:
    """Owns table `inet lbctl` and everything with our route protocol number."""

    def __init__(self) -> None:
        self._known: Kernel | None = None
        self._full_read_at = float("-inf")

    async def observe(self) -> Kernel:
        """Return what is ours: read back at the end of the last change, or now when that is old."""
        now = asyncio.get_running_loop().time()
        if self._known is None or now - self._full_read_at > FULL_READ_S:
            self._full_read_at = now
            self._known = await self._read()
        return self._known

    async def _read(self) -> Kernel:
        ruleset, four, six, links = await asyncio.gather(
            _ruleset(), _entries(4), _entries(6), commands.run("ip", "-j", "address", "show")
        )
        return Kernel(ruleset, {**four, **six}, routes.parse_links(links))

    async def apply(self, wanted: Wanted, found: Kernel) -> int:
        """Make it so and read back; return the number of changes.

        First the ways, then who is sent along them, then old ways go: at no moment does a packet
        meet a mark without a route.
        """
        change = delta.diff(wanted.entries, found.entries)
        transaction = spread.render(wanted.ruleset, found.ruleset)
        if not change and not transaction:
            return 0
        self._known = None
        await _batch(routes.render_upserts(change, 4), 4)
        await _batch(routes.render_upserts(change, 6), 6)
        if transaction:
            await commands.run("nft", "-f", "-", stdin=transaction)
        await _batch(routes.render_deletes(change, 4), 4)
        await _batch(routes.render_deletes(change, 6), 6)
        await self._verify(wanted, found, (bool(change), bool(transaction)))
        await _forget_connections(wanted, found)
        return len(change.upserts) + len(change.deletes) + transaction.count("\n")

    def let_through(self, device: str) -> None:
        """Turn reverse-path filters off on a leg: answers come from VIPs: no route leads back."""
        for scope in (device, "all"):
            path = PROC_SYS_NET / "ipv4" / "conf" / scope / "rp_filter"
            try:
                if path.read_text().strip() == "0":
                    continue
                if scope == "all":
                    log.error("net.ipv4.conf.all.rp_filter drops answers from VIPs: set it to 0")
                else:
                    path.write_text("0\n")
                    log.warning("net.ipv4.conf.%s.rp_filter was on; turned off", device)
            except OSError as error:
                raise errors.Unavailable(f"{path}: {error.strerror}") from error

    async def _verify(self, wanted: Wanted, before: Kernel, touched: tuple[bool, bool]) -> None:
        entries, ruleset = before.entries, before.ruleset
        if touched[0]:
            four, six = await asyncio.gather(_entries(4), _entries(6))
            entries = {**four, **six}
        if touched[1]:
            ruleset = await _ruleset()
        found = Kernel(ruleset, entries, before.links)
        left = delta.diff(wanted.entries, found.entries)
        if left:
            example = next(iter((*left.upserts, *left.deletes)))
            raise errors.Unavailable(f"the kernel did not keep {example}")
        if spread.render(wanted.ruleset, found.ruleset):
            raise errors.Unavailable("the kernel did not keep our nftables table as written")
        self._known = found


async def _ruleset() -> spread.Ruleset | None:
    listing = await commands.run("nft", "-j", "list", "tables", "inet")
    if f'"name": "{constants.NFT_TABLE}"' not in listing:
        return None
    return spread.parse(
        await commands.run("nft", "-j", "list", "table", "inet", constants.NFT_TABLE)
    )


async def _entries(version: int) -> routes.Entries:
    family, protocol = f"-{version}", str(constants.ROUTE_PROTOCOL)
    listings = await asyncio.gather(
        commands.run("ip", family, "-j", "route", "show", "table", "all", "proto", protocol),
        commands.run("ip", family, "-j", "rule", "show"),
        commands.run("ip", family, "-j", "neigh", "show", "nud", "permanent"),
    )
    return routes.parse(version, *listings)


async def _batch(lines: str, version: int) -> None:
    if lines:
        await commands.run("ip", f"-{version}", "-batch", "-", stdin=lines)


async def _forget_connections(wanted: Wanted, found: Kernel) -> None:
    """Drop the connections of VIPs and legs that are gone; both may be given anew."""
    if found.ruleset is not None:
        kept = wanted.ruleset.vips if wanted.ruleset else frozenset()
        await _drop_connections(
            ("--orig-dst", str(vip)) for vip in sorted(found.ruleset.vips - kept, key=_order)
        )
    before, after = routes.leg_addresses(found.entries), routes.leg_addresses(wanted.entries)
    await _drop_connections(
        ("--mark", f"{constants.LEG_MARK + number:#x}")
        for number in sorted(before.keys() - after.keys())
    )


def _order(address: Address) -> tuple[int, int]:
    return (address.version, int(address))


async def _drop_connections(filters: Iterable[tuple[str, str]]) -> None:
    for option, value in filters:
        families = ("ipv4", "ipv6") if option == "--mark" else (_family(value),)
        for family in families:
            # The command fails when there was nothing to delete.
            with contextlib.suppress(errors.Unavailable):
                await commands.run("conntrack", "-D", "-f", family, option, value)


def _family(address: str) -> str:
    return "ipv6" if ":" in address else "ipv4"
