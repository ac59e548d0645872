"""The Linux router's kernel: our nftables table, routes, rules and neighbours.

A pass sends what it changes and nothing else: an nftables transaction is all or nothing and `ip`
stops at the first line that the kernel refuses, so what was taken is there. Everything is read back
when that chain of knowledge has a gap: at the start, after a change that failed, and in an audit
now and then, since others may have changed what is ours. The table itself, which grows with the
number of places, is listed only when the kernel counted a transaction that was not ours.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbctl import delta
from lbctl.model import errors
from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import audits, commands
from lbctl_dataplane.backends.router import connections
from lbctl_dataplane.backends.tables import printed
from lbctl_dataplane.backends.tables.generation import Others
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.router import flows, routes, spread

log = logging.getLogger(__name__)

VERSIONS = (4, 6)
PROC_SYS_NET = Path("/proc/sys/net")


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the router's kernel holds: ours, and the networks that it is on."""

    ruleset: spread.Ruleset | None
    entries: routes.Entries
    links: tuple[routes.Link, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What it should hold; together with a `Kernel` of the same parts, it may be a part."""

    ruleset: spread.Ruleset | None
    entries: routes.Entries
    elsewhere: frozenset[spread.Spread] = frozenset()
    """Spreads of places that are left out of a part."""
    forgotten: flows.Forgotten = flows.NONE
    """UDP flows that are to begin anew, at another leg."""


class LinuxRouter:
    """Owns table `inet lbctl` and everything with our route protocol number."""

    def __init__(self) -> None:
        self._known: Kernel | None = None
        self._ways: tuple[str, ...] = ()
        """All but the table as it was read last, word for word; empty after a change."""
        self._others = Others()
        self._generation: int | None = None
        """The count of others' transactions at which the table is what is known of it."""
        self._fresh = False
        self._audits = audits.Audits()

    async def observe(self) -> Kernel:
        """Return what was ours when it was read last: now, when that is long ago or in doubt.

        As long as it returns the same object, nothing but what was applied has changed.
        """
        self._fresh = False
        known = self._known
        if known is None or self._audits.due():
            with self._audits.running():
                known = await self._read(known)
        return known

    async def _read(self, known: Kernel | None) -> Kernel:
        generation, ways = self._others.count(), await _listed_ways()
        if known is not None and (generation, ways) == (self._generation, self._ways):
            return known
        self._known, self._fresh = _parse(await _listed_table(), ways), True
        self._generation, self._ways = generation, ways
        return self._known

    async def apply(self, wanted: Wanted, found: Kernel) -> int:
        """Make it so; return the number of changes.

        First the ways, then who is sent along them, then old ways go: at no moment does a packet
        meet a mark without a route.
        """
        change = delta.diff(wanted.entries, found.entries)
        transaction = spread.render(wanted.ruleset, found.ruleset, wanted.elsewhere)
        try:
            if change:
                self._ways = ()
            if change or transaction:
                await _change(change, transaction)
                if self._fresh:
                    await _verify(wanted)
            if transaction:
                self._others.made(1)
            await _forget_connections(wanted, found)
            begun = await connections.forget_flows(wanted.forgotten, _vips(wanted))
        except BaseException:
            self._known = None
            raise
        return len(change.upserts) + len(change.deletes) + transaction.count("\n") + begun

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


async def _change(change: delta.Delta[routes.Key, str], transaction: str) -> None:
    await _batch(routes.render_upserts(change, 4), 4)
    await _batch(routes.render_upserts(change, 6), 6)
    if transaction:
        await commands.run("nft", "-f", "-", stdin=transaction)
    await _batch(routes.render_deletes(change, 4), 4)
    await _batch(routes.render_deletes(change, 6), 6)


async def _verify(wanted: Wanted) -> None:
    """Read back a kernel that differed from what it was known to hold."""
    found = _parse(await _listed_table(), await _listed_ways())
    left = delta.diff(wanted.entries, found.entries)
    if left:
        example = next(iter((*left.upserts, *left.deletes)))
        raise errors.Unavailable(f"the kernel did not keep {example}")
    if spread.render(wanted.ruleset, found.ruleset):
        raise errors.Unavailable("the kernel did not keep our nftables table as written")


async def _listed_ways() -> tuple[str, ...]:
    """Read routes, rules and neighbours of each version, and addresses."""
    return tuple(
        await asyncio.gather(
            *(listing for version in VERSIONS for listing in _entries(version)),
            commands.run("ip", "-j", "address", "show"),
        )
    )


async def _listed_table() -> str:
    return await printed.listing(f"inet {constants.NFT_TABLE}", "-j")


def _parse(table: str, ways: tuple[str, ...]) -> Kernel:
    *entries, links = ways
    found = (
        routes.parse(version, *entries[3 * place : 3 * place + 3])
        for place, version in enumerate(VERSIONS)
    )
    merged = {key: value for part in found for key, value in part.items()}
    return Kernel(spread.parse(table), merged, routes.parse_links(links))


def _entries(version: int) -> tuple[Coroutine[Any, Any, str], ...]:
    family, protocol = f"-{version}", str(constants.ROUTE_PROTOCOL)
    return (
        commands.run("ip", family, "-j", "route", "show", "table", "all", "proto", protocol),
        commands.run("ip", family, "-j", "rule", "show"),
        commands.run("ip", family, "-j", "neigh", "show", "nud", "permanent"),
    )


async def _batch(lines: str, version: int) -> None:
    if lines:
        await commands.run("ip", f"-{version}", "-batch", "-", stdin=lines)


async def _forget_connections(wanted: Wanted, found: Kernel) -> None:
    """Drop the connections of VIPs and legs that are gone; both may be given anew."""
    if found.ruleset is not None:
        await connections.drop_vips(found.ruleset.vips - _vips(wanted))
    before, after = routes.leg_addresses(found.entries), routes.leg_addresses(wanted.entries)
    await connections.drop_legs(before.keys() - after.keys())


def _vips(wanted: Wanted) -> frozenset[Address]:
    return wanted.ruleset.vips if wanted.ruleset is not None else frozenset()
