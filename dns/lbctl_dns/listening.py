"""Sockets to listen on: opened once by the feed process, inherited by its workers.

Because the feed process keeps them open, queries that arrive while a worker is restarted wait in
the kernel instead of being refused. A crash of the feed process is bridged by `lbctl_dns.worker`.
"""

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass

from lbctl.model import errors

RECEIVE_BUFFER = 1 << 20
"""Bytes of queries that may wait: a worker restart is 0.3 s."""
BACKLOG = 128
PATIENCE_S = 1.0
"""Time for the workers of a crashed predecessor, or for a new IPv6 address, to become ready."""
_TRY_EVERY_S = 0.05

# Linux constants that the socket module lacks. OMIT: never set DF, believe no ICMP message.
_SO_RCVBUFFORCE = 33
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_OMIT = 10, 23, 5


@dataclass(frozen=True, slots=True)
class Place:
    """One address and port to listen on, UDP and TCP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Place:
    """Return the place that `ADDR:PORT`, `[ADDR]:PORT` or `ADDR` names. Raises ValueError.

    >>> parse("[::1]:5353")
    Place(host='::1', port=5353)
    """
    host, colon, port = text.rpartition(":")
    if text.endswith("]") or not colon or ("[" not in text and text.count(":") > 1):
        host, port = text, "53"
    address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    number = int(port)
    if not 0 < number < 65536:
        raise ValueError(f"{number} is not a port")
    return Place(str(address), number)


async def open_all(places: tuple[Place, ...], workers: int) -> list[list[socket.socket]]:
    """Return for each worker a UDP and a TCP socket per place. Raises Misconfigured.

    A port in use and an address that is not there yet are waited for, up to `PATIENCE_S`.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while True:
        try:
            return _open_all(places, workers)
        except errors.Misconfigured:
            if loop.time() > end:
                raise
            await asyncio.sleep(_TRY_EVERY_S)


def _open_all(places: tuple[Place, ...], workers: int) -> list[list[socket.socket]]:
    with contextlib.ExitStack() as trial:
        # UDP is always shared with SO_REUSEPORT, so that the workers of a crashed predecessor can
        # answer until we do; they gave up TCP. Whoever still has TCP is another, living server.
        for place in places:
            _open(place, _TCP, trial, shared=False)
    with contextlib.ExitStack() as opened:
        found = [
            [
                _open(place, kind, opened, shared=kind == _UDP or workers > 1)
                for place in places
                for kind in (_TCP, _UDP)
            ]
            for _ in range(workers)
        ]
        opened.pop_all()
    return found


_UDP, _TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM


def _open(
    place: Place, kind: socket.SocketKind, closing: contextlib.ExitStack, *, shared: bool
) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    sock = closing.enter_context(socket.socket(family, kind))
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if kind == _UDP:
        _make_room(sock)
        _forget_path_mtu(sock, family)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((place.host, place.port))
        if kind == _TCP:
            sock.listen(BACKLOG)
    except OSError as error:
        raise errors.Misconfigured(f"cannot listen on {place}: {error.strerror}") from error
    return sock


def _make_room(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except PermissionError:  # needs CAP_NET_ADMIN; without it net.core.rmem_max is the limit
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def _forget_path_mtu(sock: socket.socket, family: socket.AddressFamily) -> None:
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_OMIT)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_OMIT)
