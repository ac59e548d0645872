"""A socket by which the kernel is asked about nftables, and told: one that stays open."""

import contextlib
import errno
import os
import socket
import weakref

from lbctl_dataplane.rules.tables import netlink

_NETFILTER = 12
_LONGEST = 1 << 16
"""Bytes of one answer."""
_ROOM = 1 << 22
"""Bytes of the longest message: a kernel takes 200 kB by default."""
_SEND_ROOM = 32
"""SO_SNDBUFFORCE, which Python has no name for."""


class Netfilter:
    """One socket, of the network namespace in which it is used first.

    To close one takes 12 ms where somebody has just made a transaction (measured, Linux 6.18): the
    kernel first frees what that left.
    """

    def __init__(self) -> None:
        self._opened: socket.socket | None = None

    def open(self) -> socket.socket:
        """Return the socket. Raises OSError."""
        if self._opened is None:
            made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
            made.setblocking(False)
            self._opened = made
            weakref.finalize(self, made.close)
        return self._opened


def ask(kernel: socket.socket, message: bytes) -> bytes:
    """Return all that the kernel answers, which it has done when it has taken the message.

    Raises OSError.
    """
    _answered(kernel)  # to one who was stopped before he read it
    kernel.send(message)
    return _answered(kernel)


def change(kernel: socket.socket, transaction: bytes) -> None:
    """Make one transaction. Raises OSError where it is refused: then nothing has changed."""
    kernel.setsockopt(socket.SOL_SOCKET, _SEND_ROOM, _ROOM)
    refusal = netlink.refusal(ask(kernel, transaction))
    if refusal is None:
        raise OSError(errno.EIO, "the kernel does not say what became of it")
    if refusal:
        raise OSError(refusal, os.strerror(refusal))


def _answered(kernel: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            found += kernel.recv(_LONGEST)
    return found
