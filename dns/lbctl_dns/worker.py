"""One worker process: answers queries from the table that the feed process keeps current.

Started by `lbctl_dns.crew` with inherited sockets. When the feed process dies, it answers on until
the next feed process has bound the ports, or for `LINGER_S`: a crash is then no gap in answers. It
imports neither the API client nor pydantic, so it starts fast and stays small.
"""

import argparse
import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
import time

from lbctl.runtime import collector
from lbctl_dns import (
    access,
    compiled,
    edns,
    frames,
    gate,
    handover,
    limit,
    server,
    succession,
    tally,
    wire,
)

MAX_FRAME = 256 * 1024
LINGER_S = 60.0
"""Time for a supervisor to start the next feed process; no longer, as answers grow stale."""
_LOOK_EVERY_S = 0.05


class Worker:
    """The event loop's callbacks: the feed first, sockets once there is a table."""

    def __init__(
        self,
        feed: socket.socket,
        desk: socket.socket,
        listening: list[socket.socket],
        limits: limit.Rules | None,
    ) -> None:
        self._feed = feed
        self._listening = listening
        self._desk = handover.Desk(desk, listening)
        self._limits = limits
        self._replica = frames.Replica()
        self._responders: tuple[wire.Responder, wire.Responder] | None = None
        """For UDP and for TCP: each counts for itself."""
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.get_running_loop()
        self._has_table: asyncio.Future[bool] = self._loop.create_future()
        self._ended: asyncio.Future[str] = self._loop.create_future()

    async def run(self) -> str:
        """Serve until the feed process is gone and, when it crashed, replaced; return why."""
        self._feed.setblocking(False)
        self._loop.add_reader(self._feed.fileno(), self._hear)
        # Queries wait in the kernel's queue until there is something to answer from.
        with collector.loading():
            has_table = await self._has_table
        if has_table and self._responders is not None:
            await self._open(*self._responders)
        reason = await self._ended
        if not reason and self._responders is not None:
            await self._linger(self._responders[0])
        return reason

    async def _open(self, by_udp: wire.Responder, by_tcp: wire.Responder) -> None:
        streams = server.Streams(by_tcp, server.Limits(), self._desk)
        for sock in self._listening:
            sock.setblocking(False)
            if sock.type == socket.SOCK_DGRAM:
                self._loop.add_reader(sock.fileno(), compiled.drainer(sock, by_udp, self._desk))
            else:
                factory = functools.partial(server.Stream, streams)
                opened = await self._loop.create_server(factory, sock=sock, backlog=128)
                self._servers.append(opened)

    async def _linger(self, responder: wire.Responder) -> None:
        # That nothing listens on TCP tells the next feed process that no other server is alive.
        for one in self._servers:
            one.close()
        datagrams = [sock for sock in self._listening if sock.type == socket.SOCK_DGRAM]
        known = succession.sharers(datagrams)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while succession.sharers(datagrams) <= known:  # noqa: ASYNC110 - a kernel table
                    await asyncio.sleep(_LOOK_EVERY_S)
        for sock in datagrams:
            server.drain(sock, responder, self._desk)

    def _hear(self) -> None:
        """Apply one frame: between two queries, so none sees half a change."""
        try:
            frame = self._feed.recv(MAX_FRAME)
            if not frame:
                self._end("")
                return
            if frame == frames.COUNTS_ASKED:
                self._feed.send(self._counts())
                return
            acknowledgement = self._replica.take(frame)
            if acknowledgement is not None:
                self._show()
                self._feed.send(acknowledgement)
            elif frames.is_aside(frame):
                self._heed()
        except BlockingIOError:
            return  # the next acknowledgement says more than the one that did not fit
        except ConnectionError:
            self._end("")  # killed before it read our last acknowledgement
        except frames.OutOfStep as error:
            self._end(str(error))

    def _show(self) -> None:
        known = self._replica.table
        if self._responders is None:
            clerk = edns.Clerk(os.urandom(edns.KEY_SIZE))
            by_tcp = wire.Responder(known, clerk)
            rules = self._limits
            by_udp = limit.Responder(known, clerk, rules) if rules else wire.Responder(known, clerk)
            self._responders = by_udp, by_tcp
            self._has_table.set_result(True)
            self._heed()
        for responder in self._responders:
            responder.table = known

    def _heed(self) -> None:
        """Follow what was told beside the table; before there is one, that waits."""
        told = self._replica
        found = gate.Gate(access.parse(told.access)) if told.access else gate.Gate()
        for responder in self._responders or ():
            responder.gate = found
            if told.secret:
                responder.clerk.use(*edns.split_keys(told.secret))

    def _counts(self) -> bytes:
        if self._responders is None:
            return tally.render(tally.Totals())
        udp, tcp = (responder.tally.counts() for responder in self._responders)
        return tally.render(tally.Totals(udp, tcp, time.process_time_ns()))

    def _end(self, reason: str) -> None:
        self._loop.remove_reader(self._feed.fileno())
        if not self._has_table.done():
            self._has_table.set_result(False)
        if not self._ended.done():
            self._ended.set_result(reason)


async def _run(
    feed: socket.socket,
    desk: socket.socket,
    listening: list[socket.socket],
    limits: limit.Rules | None,
) -> str:
    return await Worker(feed, desk, listening, limits).run()


def main() -> int:
    """Run a worker on inherited file descriptors; 0 when the feed process ended it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("feed", type=int)
    parser.add_argument("desk", type=int)
    parser.add_argument("sockets", type=int, nargs="*")
    parser.add_argument("--rate-limit", type=limit.parse, help="see limit.Rules.render")
    given = parser.parse_args()
    # The feed process decides when to end; a Ctrl-C reaches the whole process group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    listening = [socket.socket(fileno=number) for number in given.sockets]
    feed, desk = (socket.socket(fileno=number) for number in (given.feed, given.desk))
    reason = asyncio.run(_run(feed, desk, listening, given.rate_limit))
    if reason:
        print(f"lbctl dns worker: {reason}", file=sys.stderr)
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
