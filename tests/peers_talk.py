"""What clients of VIPs say and hear, whichever node they come by."""

import contextlib
import socket
from collections.abc import Iterator

from peers_bed import PeersBed


def greeting(connection: socket.socket) -> tuple[str, str]:
    """Return who answers, and from which address he was asked."""
    name, client = connection.recv(200).decode().split()
    return name, client


def asked(datagrams: socket.socket, text: bytes = b"who") -> str:
    datagrams.send(text)
    return datagrams.recv(65535).decode().partition(" ")[0]


def alive(connection: socket.socket) -> bool:
    connection.sendall(b"ping")
    return connection.recv(100) == b"ping"


@contextlib.contextmanager
def connections(bed: PeersBed, vip: str, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(bed.connect(vip)) for _ in range(count)]
