"""Our nftables table on a node, asked of the kernel itself: element by element, no copy in nft."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator

from lbctl.model import errors
from lbctl_dataplane.backends import commands
from lbctl_dataplane.rules import netlink, nft_table, nft_wire
from lbctl_dataplane.rules.nft_found import Found
from lbctl_dataplane.rules.nft_table import Element, Ends

TRIES = 3
"""Of a listing into which transactions of others fall."""
_NETFILTER = 12
_LONGEST = 1 << 16
"""Bytes of one `recv`: the kernel fills 32 kB at most."""


async def read() -> dict[Element, Ends] | None:
    """Return the table's elements; None where it is not as we make it, or not there.

    Raises Unavailable. While others change their tables all the time, what the last try found
    counts: what it missed is added once more, which changes nothing.
    """
    for _ in range(TRIES):
        listing = _Listing()
        found = await listing.found()
        if not listing.interrupted:
            break
    return found


class _Listing:
    def __init__(self) -> None:
        self.interrupted = False

    async def found(self) -> dict[Element, Ends] | None:
        taken = Found()
        try:
            async for body in self._all(netlink.GET_CHAIN, b""):
                nft_wire.take_chain(taken, body)
            async for body in self._all(netlink.GET_RULE, nft_wire.TABLE):
                nft_wire.take_rule(taken, body)
            async for body in self._all(netlink.GET_SET, nft_wire.TABLE):
                nft_wire.take_home(taken, body)
            for name in nft_table.HOMES:
                home = nft_wire.home(name)
                async for body in self._all(netlink.GET_ELEMENTS, nft_wire.elements_of(home)):
                    nft_wire.take_elements(taken, home, body)
        except FileNotFoundError:  # no table, or one without a set of ours
            return None
        except OSError as error:
            cure = "load nf_tables; does the agent have CAP_NET_ADMIN?"
            raise errors.Unavailable(f"nftables: {error.strerror or error}; {cure}") from error
        return taken.elements()

    async def _all(self, kind: int, attributes: bytes) -> AsyncIterator[bytes]:
        """Yield the bodies of all messages of a list; others have their turn in between."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as kernel:
            kernel.settimeout(commands.TIMEOUT_S)
            kernel.send(netlink.request(kind, attributes))
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
