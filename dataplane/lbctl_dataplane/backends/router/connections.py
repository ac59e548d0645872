"""Connections that a Linux router tracks: drop those whose VIP, leg or members are gone."""

import ipaddress
import itertools
import re
from collections.abc import Iterable

from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import conntrack
from lbctl_dataplane.rules import constants, frontend
from lbctl_dataplane.rules.router import flows

FEW = 4
"""What is dropped without looking first whether it has connections at all."""
_SIDES = ("dst", "src")
"""Where a VIP stands in an entry: an answer that comes late makes one in which it is the source."""
_MARKED = ("--mark", f"{constants.LEG_MARK:#x}/{constants.LEG_MARK_MASK:#x}")


async def drop_vips(vips: frozenset[Address]) -> None:
    """Drop the connections to VIPs.

    Those of many VIPs are looked for first: one look instead of a command for each. Connections
    without our mark follow no leg, so they may stay.
    """
    if len(vips) > FEW:
        vips &= ends(await _list(vips))
    for vip in sorted(vips, key=_order):
        for side in _SIDES:
            await conntrack.drop(vip.version, f"--orig-{side}", str(vip))


async def drop_legs(numbers: Iterable[int]) -> None:
    """Drop the connections by legs."""
    for number in sorted(numbers):
        for version in conntrack.FAMILIES:
            await conntrack.drop(version, "--mark", f"{constants.LEG_MARK + number:#x}")


async def forget_flows(forgotten: flows.Forgotten, vips: frozenset[Address]) -> int:
    """Drop UDP flows; return how many places and legs had some. `vips` are those in use.

    It is looked for them first, unless there are few that may be there.
    """
    wanted = await _to_forget(forgotten, vips)
    dropped = [await _drop_flows(entry) for entry in sorted(wanted, key=_flows_order)]
    return sum(dropped)


async def _to_forget(
    forgotten: flows.Forgotten, vips: frozenset[Address]
) -> frozenset[flows.Flows]:
    if isinstance(forgotten, flows.Ended):
        if len(forgotten.flows) <= FEW:
            return forgotten.flows
        vips = frozenset(entry.place.vip for entry in forgotten.flows)
    listing = await _list(vips, "-p", "udp")
    return flows.among(flows.parse(listing, vips), forgotten)


async def _drop_flows(entry: flows.Flows) -> bool:
    place = entry.place
    found = False
    for side in _SIDES:
        filters = {
            "-p": "udp",
            "--mark": f"{constants.LEG_MARK + entry.leg:#x}",
            f"--orig-{side}": str(place.vip),
            f"--orig-port-{side}": str(place.port),
        }
        words = itertools.chain.from_iterable(filters.items())
        found |= await conntrack.drop(place.vip.version, *words)
    return found


async def _list(vips: Iterable[Address], *options: str) -> str:
    """Return the marked connections of the families that VIPs are of."""
    return await conntrack.listing({vip.version for vip in vips}, *_MARKED, *options)


def ends(listing: str) -> frozenset[Address]:
    """Return the addresses of the connections in the lines of `conntrack -L`."""
    texts = set(re.findall(r" (?:src|dst)=(\S+)", listing))
    return frozenset(map(ipaddress.ip_address, texts))


def _order(address: Address) -> tuple[int, int]:
    return (address.version, int(address))


def _flows_order(entry: flows.Flows) -> tuple[tuple[int, int, str, int], int]:
    return (frontend.place_order(entry.place), entry.leg)
