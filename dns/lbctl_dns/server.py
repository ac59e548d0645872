"""Answer queries on sockets: UDP drained in batches, TCP with pipelining (RFC 7766)."""

import asyncio
import contextlib
import socket
import time
from collections import OrderedDict
from dataclasses import dataclass

from lbctl_dns import handover, wire

BATCH = 64
"""Messages answered before others get their turn."""
TIMED = 64
"""One batch of so many is timed, query by query: the others pay one addition for that."""
MAX_QUERY = 1536
"""Bytes read of a datagram; a longer query is cut, so malformed."""
MAX_UNSENT = 256 * 1024
"""Bytes of replies that a client may leave unread before we stop reading its queries."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What TCP clients may take from one worker."""

    idle_s: float = 10.0
    """A connection without a complete query for so long is closed, bytes dripping in or not."""
    streams: int = 256
    """Open connections; the one idle for longest makes room for a new one."""
    per_client: int = 32
    """Open connections of one IPv4 address or one IPv6 /64; more are hung up on."""


def drain(
    sock: socket.socket, responder: wire.Responder, desk: handover.Desk = handover.NOBODY
) -> None:
    """Answer what waits in a UDP socket, at most one batch."""
    responder.clerk.tick(int(time.time()))
    tally = responder.tally
    tally.batches += 1
    if tally.batches % TIMED == 0:
        _drain_timed(sock, responder, desk)
        return
    answer, receive, send = responder.answer, sock.recvfrom, sock.sendto
    for taken in range(BATCH):
        try:
            packet, peer = receive(MAX_QUERY)
        except OSError:
            count = taken
            break  # nothing waits
        try:
            reply = answer(packet, wire.UDP, peer[0])
            if reply:
                send(reply, peer)
            elif reply is not None:
                desk.leave_datagram(sock, packet, peer)
        except OSError:
            continue  # unreachable client, source port 0, full buffer: it will ask again
    else:
        count = BATCH
    tally.queries += count


def _drain_timed(sock: socket.socket, responder: wire.Responder, desk: handover.Desk) -> None:
    tally = responder.tally
    started = time.perf_counter_ns()
    for _ in range(BATCH):
        try:
            packet, peer = sock.recvfrom(MAX_QUERY)
        except OSError:
            return
        tally.queries += 1
        reply = responder.answer(packet, wire.UDP, peer[0])
        if reply:
            with contextlib.suppress(OSError):
                sock.sendto(reply, peer)
        elif reply is not None:
            desk.leave_datagram(sock, packet, peer)
        ended = time.perf_counter_ns()
        tally.timed(ended - started)
        started = ended


class Streams:
    """The TCP connections of one worker, longest idle first."""

    def __init__(
        self,
        responder: wire.Responder,
        limits: Limits,
        desk: handover.Desk = handover.NOBODY,
    ) -> None:
        self.responder = responder
        self.limits = limits
        self.desk = desk
        self._open: OrderedDict[Stream, None] = OrderedDict()
        self._per_client: dict[bytes, int] = {}

    def admit(self, stream: "Stream") -> bool:
        """Count a connection in; False when its client has too many already."""
        if self._per_client.get(stream.client, 0) >= self.limits.per_client:
            return False
        self._per_client[stream.client] = self._per_client.get(stream.client, 0) + 1
        self._open[stream] = None
        if len(self._open) > self.limits.streams:
            next(iter(self._open)).abort()
        return True

    def active(self, stream: "Stream") -> None:
        """Note that a connection asked something."""
        if stream in self._open:
            self._open.move_to_end(stream)

    def forget(self, stream: "Stream") -> None:
        """Count a connection out; safe to repeat."""
        if stream in self._open:
            del self._open[stream]
            left = self._per_client.pop(stream.client) - 1
            if left:
                self._per_client[stream.client] = left


class Stream(asyncio.Protocol):
    """One TCP connection: length-prefixed queries, answered in order."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._ended = self._blocked = self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._host = ""
        self.client = b""
        """What counts as one client: see `network_of`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client or hang up."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._host = str((transport.get_extra_info("peername") or ("",))[0])
        self.client = network_of(self._host)
        if not self._streams.admit(self):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=MAX_UNSENT)
        self._restart_timer()

    def data_received(self, data: bytes) -> None:
        """Gather bytes; a query may arrive in pieces, many may arrive at once."""
        self._waiting += data
        self._work()

    def eof_received(self) -> bool:
        """Answer what was asked before the client closed its side."""
        self._ended = True
        self._work()
        return True

    def pause_writing(self) -> None:
        """Stop asking for more while the client does not read."""
        self._blocked = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on where the client began to read again."""
        self._blocked = False
        self._work()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._streams.forget(self)
        if self._timer is not None:
            self._timer.cancel()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._streams.forget(self)
        self._transport.abort()

    def _work(self) -> None:
        if self._scheduled or self._blocked or self._transport.is_closing():
            return
        if self._answer_batch() < BATCH:
            self._rest()
            return
        # Others have their turn before this client's next batch.
        self._scheduled = True
        self._transport.pause_reading()
        self._loop.call_soon(self._again)

    def _answer_batch(self) -> int:
        """Answer what is there, at most one batch; return how many queries that was."""
        responder = self._streams.responder
        responder.clerk.tick(int(time.time()))
        answered = 0
        while answered < BATCH and self._answer_one():
            answered += 1
        responder.tally.queries += answered
        return answered

    def _again(self) -> None:
        self._scheduled = False
        self._work()

    def _rest(self) -> None:
        if self._blocked:
            return
        if self._ended:
            self._transport.close()
        else:
            self._transport.resume_reading()

    def _restart_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._streams.limits.idle_s, self.abort)

    def _answer_one(self) -> bool:
        """Answer the next complete query; False when there is none, or the client must read."""
        length = int.from_bytes(self._waiting[:2])
        if self._blocked or len(self._waiting) < 2 or len(self._waiting) < 2 + length:
            return False
        packet = bytes(self._waiting[2 : 2 + length])
        del self._waiting[: 2 + length]
        self._restart_timer()
        self._streams.active(self)
        reply = self._streams.responder.answer(packet, wire.TCP, self._host)
        if reply:
            self._transport.write(len(reply).to_bytes(2) + reply)
        elif reply is not None:
            self._leave(len(packet).to_bytes(2) + packet)
            return False
        return True

    def _leave(self, request: bytes) -> None:
        """Leave the connection, from this request on, to the feed process."""
        self._waiting[:0] = request
        if self._transport.get_write_buffer_size():
            # Earlier answers first: we are called again when they are on their way.
            self._transport.set_write_buffer_limits(high=0)
            return
        sock = self._transport.get_extra_info("socket")
        self._streams.desk.leave_stream(sock, bytes(self._waiting))
        self.abort()


def network_of(host: str) -> bytes:
    """Return what counts as one client: an IPv4 address, or the /64 of an IPv6 one."""
    if ":" not in host:
        return host.encode()
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8]
