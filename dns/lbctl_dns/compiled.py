"""UDP answered in batches: by compiled code where that was built, else by `server.drain`.

The compiled code (`_shortest.c`) knows the shortest path alone, on the same table, and leaves the
rest to the same `wire.Responder`: what is answered does not depend on it. It makes two system calls
for a batch, where Python makes two for each query.
"""

import functools
import os
import socket
import time
from collections.abc import Callable
from typing import Protocol

from lbctl_dns import edns, gate, handover, server, table, wire

SWITCH = "LBCTL_DNS_ENGINE"
"""Environment variable: `python` or `compiled` for this and nothing else; else what there is."""
DENIALS = wire.NXDOMAIN, wire.NODATA
LIMITS = wire.UDP.plain, wire.UDP.ceiling
_Denials = tuple[table.Heads, table.Heads]
_Aside = Callable[[bytes, str, int], bytes | None]


class Engine(Protocol):
    """What the compiled code offers."""

    def drain(
        self,
        fd: int,
        known: table.Table,
        clerk: edns.Clerk,
        denials: _Denials,
        limits: tuple[int, int],
        aside: _Aside,
        /,
    ) -> tuple[int, int]:
        """Answer a batch; return how many queries that were, and how many it denied itself.

        `aside` gets query, host and port of what is not on the shortest path and returns the reply.
        """
        ...


def engine() -> Engine | None:
    """Return the compiled code, None where it was not built or is not wanted."""
    wanted = os.environ.get(SWITCH)
    if wanted == "python":
        return None
    try:
        from lbctl_dns import _shortest
    except ImportError:
        if wanted == "compiled":
            raise
        return None
    return _shortest


def drainer(
    sock: socket.socket, responder: wire.Responder, desk: handover.Desk
) -> Callable[[], None]:
    """Return what answers one batch of a UDP socket."""
    # Exactly that one: rate limiting looks at each reply, so it is for Python.
    found = engine() if type(responder) is wire.Responder else None
    if found is None:
        return functools.partial(server.drain, sock, responder, desk)
    return Batches(found, sock, responder, desk).drain


class Batches:
    """Answers what comes in at one UDP socket."""

    def __init__(
        self, by: Engine, sock: socket.socket, responder: wire.Responder, desk: handover.Desk
    ) -> None:
        self._engine = by
        self._sock = sock
        self._responder = responder
        self._desk = desk

    def drain(self) -> None:
        """Answer what waits, at most one batch."""
        tally = self._responder.tally
        self._responder.clerk.tick(int(time.time()))
        tally.batches += 1
        if tally.batches % server.TIMED:
            self._answer()
            return
        started = time.perf_counter_ns()
        count = self._answer()
        took_ns = time.perf_counter_ns() - started
        for _ in range(count):
            tally.timed(took_ns // count)

    def _answer(self) -> int:
        responder = self._responder
        known, clerk = responder.table, responder.clerk
        count, denied = self._engine.drain(
            self._sock.fileno(), known, clerk, DENIALS, LIMITS, self._aside
        )
        responder.tally.queries += count
        responder.tally.nxdomain += denied
        return count

    def _aside(self, packet: bytes, host: str, port: int) -> bytes | None:
        reply = self._responder.answer(packet, wire.UDP, host)
        if reply == gate.HANDED:
            self._desk.leave_datagram(self._sock, packet, (host, port))
        return reply
