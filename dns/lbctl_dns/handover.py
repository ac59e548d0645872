"""How a worker leaves a transfer to the feed process: the connection itself goes over.

Workers share one end of a socket pair, the feed process reads the other. A TCP connection travels
as a file descriptor with what was read of it; of a datagram the bytes travel, as the feed process
has the same UDP sockets and answers from them.
"""

import contextlib
import socket
import struct
from dataclasses import dataclass

MAX_PENDING = 32 * 1024
"""Bytes that may have been read of a connection; a request is one hundredth of that."""
_BUFFER = 1 << 20
_STREAM, _DATAGRAM = b"s", b"d"
_PLACE = struct.Struct(">BHB")
"""Number of the listening socket, client's port, length of the client's address."""

Peer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Connection:
    """A TCP connection, and the bytes that were read of it: framed requests."""

    sock: socket.socket
    pending: bytes


@dataclass(frozen=True, slots=True)
class Datagram:
    """A request over UDP."""

    place: int
    """Which of the sockets that each worker listens on."""
    peer: Peer
    packet: bytes


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the feed's end and the workers' end."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        end.setblocking(False)
    return ends


def receive(end: socket.socket) -> Connection | Datagram | None:
    """Return what a worker left, None when it is gone again. Raises BlockingIOError."""
    content, descriptors, _, _ = socket.recv_fds(end, MAX_PENDING + 1024, 1)
    kind, body = content[:1], content[1:]
    if kind == _STREAM and descriptors:
        return Connection(socket.socket(fileno=descriptors[0]), body)
    if kind == _DATAGRAM:
        place, port, length = _PLACE.unpack_from(body)
        middle = _PLACE.size + length
        return Datagram(place, (body[_PLACE.size : middle].decode(), port), body[middle:])
    return None


class Desk:
    """The workers' end; what cannot be left is dropped, and the client asks again."""

    def __init__(self, end: socket.socket | None, listening: list[socket.socket]) -> None:
        self._end = end
        self._places = {id(sock): number for number, sock in enumerate(listening)}

    def leave_stream(self, sock: socket.socket, pending: bytes) -> None:
        """Leave a TCP connection; the caller closes its own copy."""
        if self._end is not None and len(pending) <= MAX_PENDING:
            with contextlib.suppress(OSError):
                socket.send_fds(self._end, [_STREAM + pending], [sock.fileno()])

    def leave_datagram(self, sock: socket.socket, packet: bytes, peer: Peer) -> None:
        """Leave a datagram that came in on a listening socket."""
        if self._end is None:
            return
        host = peer[0].encode()
        place = _PLACE.pack(self._places[id(sock)], peer[1], len(host))
        with contextlib.suppress(OSError):
            self._end.send(_DATAGRAM + place + host + packet)


NOBODY = Desk(None, [])
"""Where there is no feed process: everything that is left is dropped."""
