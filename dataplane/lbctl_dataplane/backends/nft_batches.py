"""Send transactions about nftables to the kernel itself."""

import asyncio
import os
import socket
from collections.abc import Iterator

from lbctl.model import errors
from lbctl_dataplane.backends import commands
from lbctl_dataplane.rules import netlink

_NETFILTER = 12
_LONGEST = 1 << 16
"""Bytes of one `recv`."""
_ROOM = 1 << 22
"""Bytes of the longest transaction: a kernel takes 200 kB by default."""
_SEND_ROOM = 32
"""SO_SNDBUFFORCE, which Python has no name for."""


async def send(transaction: bytes) -> None:
    """Make one transaction. Raises Unavailable where the kernel refuses it: nothing has changed.

    In a thread: it waits for everybody else's transactions, and at its end for a grace period of
    the kernel.
    """
    try:
        # Made here, it is of this network namespace, whichever one a thread began in.
        kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        await asyncio.to_thread(_send, kernel, transaction)
    except OSError as error:
        raise errors.Unavailable(
            f"nftables refused a change: {error.strerror or error}; "
            "does the agent have CAP_NET_ADMIN, and does nobody else edit its tables?"
        ) from error


def _send(kernel: socket.socket, transaction: bytes) -> None:
    with kernel:
        kernel.settimeout(commands.TIMEOUT_S)
        kernel.setsockopt(socket.SOL_SOCKET, _SEND_ROOM, _ROOM)
        kernel.send(transaction)
        answers = [message.error for message in _answers(kernel)]
    refused = next(filter(None, answers), 0)
    if refused:
        raise OSError(refused, os.strerror(refused))


def _answers(kernel: socket.socket) -> Iterator[netlink.Message]:
    """Yield all that the kernel says: it has done so by the time that it says anything."""
    yield from netlink.messages(kernel.recv(_LONGEST))
    kernel.setblocking(False)
    while True:
        try:
            yield from netlink.messages(kernel.recv(_LONGEST))
        except BlockingIOError:
            return
