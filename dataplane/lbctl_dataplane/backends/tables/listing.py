"""An nftables table of ours, asked of the kernel itself: element by element, no copy in nft."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator

from lbctl.model import errors
from lbctl_dataplane.backends import commands
from lbctl_dataplane.rules.tables import netlink, wire
from lbctl_dataplane.rules.tables.elements import Element, Ends, Table
from lbctl_dataplane.rules.tables.found import Found

TRIES = 3
"""Of a listing into which transactions of others fall."""
_NETFILTER = 12
_LONGEST = 1 << 16
"""Bytes of one `recv`: the kernel fills 32 kB at most."""


async def read(table: Table) -> dict[Element, Ends] | None:
    """Return the table's elements; None where it is not as we make it, or not there.

    Raises Unavailable. While others change their tables all the time, what the last try found
    counts: what it missed is added once more, which changes nothing.
    """
    for _ in range(TRIES):
        listing = _Listing(table)
        found = await listing.found()
        if not listing.interrupted:
            break
    return found


async def record(table: Table, name: str) -> dict[str, str]:
    """Return what packets wrote into a map of a table. Raises Unavailable."""
    taken = Found(table)
    await _Listing(table).take(taken, name)
    return {element.key: "".join(ends) for element, ends in taken.listed().items()}


class _Listing:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._family = wire.family_of(table)
        self.interrupted = False

    async def found(self) -> dict[Element, Ends] | None:
        taken, table = Found(self._table), wire.attribute_of(self._table)
        try:
            async for body in self._all(netlink.GET_CHAIN, b""):
                wire.take_chain(taken, body)
            async for body in self._all(netlink.GET_RULE, table):
                wire.take_rule(taken, body)
            async for body in self._all(netlink.GET_SET, table):
                wire.take_home(taken, body)
            for name in self._table.homes.keys() - self._table.records:
                await self.take(taken, name)
        except FileNotFoundError:  # no table, or one without a set of ours
            return None
        except OSError as error:
            cure = "load nf_tables; does the agent have CAP_NET_ADMIN?"
            raise errors.Unavailable(f"nftables: {error.strerror or error}; {cure}") from error
        return taken.elements()

    async def take(self, taken: Found, name: str) -> None:
        """Take the elements of a set or map."""
        home = wire.home(self._table, name)
        wanted = wire.elements_of(self._table, home)
        async for body in self._all(netlink.GET_ELEMENTS, wanted):
            wire.take_elements(taken, home, body)

    async def _all(self, kind: int, attributes: bytes) -> AsyncIterator[bytes]:
        """Yield the bodies of all messages of a list; others have their turn in between."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as kernel:
            kernel.settimeout(commands.TIMEOUT_S)
            kernel.send(netlink.request(kind, attributes, family=self._family))
            while True:
                for message in netlink.messages(kernel.recv(_LONGEST)):
                    self.interrupted |= bool(message.flags & netlink.INTERRUPTED)
                    if message.kind in (netlink.ERROR, netlink.DONE):
                        _check(message)
                        return
                    yield message.body
                await asyncio.sleep(0)


def _check(message: netlink.Message) -> None:
    if message.error == errno.EINTR:
        return
    if message.error:
        raise OSError(message.error, os.strerror(message.error))
