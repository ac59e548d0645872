"""Ask one's own workers, as a resolver would: over loopback, UDP and TCP.

The way a query takes through kernel, worker and table is what is checked, not what we believe.
"""

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable

from lbctl_dns import listening, lookup, names, zone

UDP_ATTEMPTS = 2
"""From a port each: the kernel chooses the worker by the port, and one may be starting."""
ATTEMPT_S = 0.8
"""All attempts together stay below the time that a kubelet gives a probe."""
NOBODY = b"lbctl-ready-probe"
"""A label that no Service publishes: its denial tells that the names are known."""

Exchange = Callable[[listening.Place, bytes], Awaitable[bytes]]


def reachable(place: listening.Place) -> listening.Place:
    """Return where to ask what listens at a place: on loopback where it listens everywhere."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    return listening.Place(loopback.get(place.host, place.host), place.port)


async def alive(place: listening.Place) -> str:
    """Return what is wrong; nothing when a worker answers at all."""
    return await _asked("UDP", _by_udp, place, (names.ROOT, zone.SOA), UDP_ATTEMPTS)


async def ready(place: listening.Place, origin: bytes) -> str:
    """Return what is wrong; nothing when workers answer on UDP and TCP and know the names."""
    question = names.from_labels([NOBODY])[:-1] + origin, zone.A
    by_udp = await _asked("UDP", _by_udp, place, question, UDP_ATTEMPTS)
    return by_udp or await _asked("TCP", _by_tcp, place, question, 1)


async def _asked(
    how: str,
    exchange: Exchange,
    place: listening.Place,
    question: tuple[bytes, int],
    attempts: int,
) -> str:
    name, rtype = question
    wrong = ""
    for _ in range(attempts):
        number = secrets.token_bytes(2)
        query = number + b"\0\0\0\x01" + bytes(6) + name + rtype.to_bytes(2) + zone.CLASS_IN
        try:
            async with asyncio.timeout(ATTEMPT_S):
                reply = await exchange(place, query)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            wrong = f"no answer on {how} {place}: {error!r}"
            continue
        if len(reply) < 12 or reply[:2] != number:
            return f"an answer to another question on {how} {place}"
        if name != names.ROOT and reply[3] & 15 == lookup.SERVFAIL:
            return "the names are not known yet: no snapshot, no API server"
        return ""
    return wrong


async def _by_udp(place: listening.Place, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (place.host, place.port))
        await loop.sock_sendall(sock, query)
        return await loop.sock_recv(sock, 4096)


async def _by_tcp(place: listening.Place, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(place.host, place.port)
    try:
        writer.write(len(query).to_bytes(2) + query)
        length = await reader.readexactly(2)
        return await reader.readexactly(int.from_bytes(length))
    finally:
        writer.transport.abort()
