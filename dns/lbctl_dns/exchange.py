"""One question to one server, over UDP or TCP."""

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable

from lbctl_dns import listening, zone

Exchange = Callable[[listening.Place, bytes], Awaitable[bytes]]


def query(name: bytes, rtype: int, *, flags: int = 0, opt: bytes = b"") -> bytes:
    """Return a query with a number that nobody can guess; `opt` is its OPT record."""
    counts = b"\0\1\0\0\0\0\0" + bytes((bool(opt),))
    head = secrets.token_bytes(2) + flags.to_bytes(2) + counts
    return head + name + rtype.to_bytes(2) + zone.CLASS_IN + opt


async def by_udp(place: listening.Place, query: bytes) -> bytes:
    """Return the first datagram that comes back. Raises OSError; waits for as long as it takes."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (place.host, place.port))
        await loop.sock_sendall(sock, query)
        return await loop.sock_recv(sock, 4096)


async def by_tcp(place: listening.Place, query: bytes) -> bytes:
    """Return the reply over a connection of its own. Raises OSError, IncompleteReadError."""
    reader, writer = await asyncio.open_connection(place.host, place.port)
    try:
        writer.write(len(query).to_bytes(2) + query)
        length = await reader.readexactly(2)
        return await reader.readexactly(int.from_bytes(length))
    finally:
        writer.transport.abort()
