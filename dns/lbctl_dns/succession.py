"""Tell when a successor has bound the UDP ports that an orphaned worker still answers on."""

import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

_TABLES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
_LOCAL, _INODE = 1, 9
"""Columns of those tables."""


def sharers(socks: Iterable[socket.socket]) -> frozenset[int]:
    """Return the inodes of all UDP sockets on the addresses that `socks` are bound to."""
    ours = {os.fstat(sock.fileno()).st_ino for sock in socks}
    rows = list(_rows())
    places = {local for local, inode in rows if inode in ours}
    return frozenset(inode for local, inode in rows if local in places)


def _rows() -> Iterator[tuple[str, int]]:
    for table in _TABLES:
        for line in table.read_text().splitlines()[1:]:
            columns = line.split()
            yield columns[_LOCAL], int(columns[_INODE])
