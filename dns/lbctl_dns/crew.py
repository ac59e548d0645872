"""The worker processes: started, fed, started again when one dies."""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping

from lbctl_dns import edns, frames, limit, sightings, tally

log = logging.getLogger(__name__)

MAX_QUEUE = 4096
"""Frames that may wait for a slow worker; beyond, one whole table replaces them."""
_BUFFER = 1 << 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0
_STEADY_S = 10.0
"""A worker that lived this long is restarted without a growing pause."""

COUNTS_WITHIN_S = 0.5
"""A worker that does not tell its counts in this time is taken at its last word."""

Whole = Callable[[], frames.Transaction]


class Link:
    """The feed's end of one worker's socket: an ordered, unlimited stream that never blocks."""

    def __init__(self, sock: socket.socket, whole: Whole) -> None:
        self._sock = sock
        self._whole = whole
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes] = deque()
        self._epoch, self._number = 0, 0
        self._writing = False
        self.applied = (0, 0)
        """Epoch and number of the last transaction that the worker answers from."""
        self._awaited: deque[tuple[tuple[int, int], sightings.Sighting]] = deque()
        """Changes that the worker has not acknowledged, by position; the first is the oldest."""
        self.counts = tally.Totals()
        """What the worker has told of what it counted."""
        self._told = asyncio.Event()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._heard)

    def start(self, asides: Mapping[int, bytes]) -> None:
        """Give a new worker what stands beside the table, by its flag, and the whole table."""
        for aside in asides.items():
            self.tell(aside)
        self.send(self._whole())

    def tell(self, aside: frames.Body) -> None:
        """Tell something that holds from now on and is no part of the table."""
        self._queue.append(frames.render(0, 0, aside))
        self._flush()

    def send(self, change: frames.Transaction) -> None:
        """Queue one transaction and write what fits."""
        if len(self._queue) > MAX_QUEUE:
            self._queue = deque(one for one in self._queue if frames.is_aside(one))
            change = self._whole()
        if change.reset:
            self._epoch, self._number = self._epoch + 1, 0
        for body in frames.bodies(change):
            self._number += 1
            self._queue.append(frames.render(self._epoch, self._number, body))
        self._flush()

    def await_sight(self, change: sightings.Sighting) -> None:
        """Tell `change` when the worker answers by what was sent last."""
        if len(self._awaited) < MAX_QUEUE:  # else it stays uncounted: the worker has stopped
            self._awaited.append(((self._epoch, self._number), change))

    async def ask_counts(self) -> None:
        """Have the worker tell its counts, and wait for that."""
        self._told.clear()
        self._queue.append(frames.COUNTS_ASKED)
        self._flush()
        await self._told.wait()

    def close(self) -> None:
        """Let go of the socket; the worker takes that as its end."""
        for _, change in self._awaited:
            change.seen(time.monotonic())
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()

    def _flush(self) -> None:
        try:
            while self._queue:
                self._sock.send(self._queue[0])
                self._queue.popleft()
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._sock.fileno(), self._flush)
            return
        except OSError:
            self._queue.clear()  # the worker died; its successor gets a whole table
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._sock.fileno())

    def _heard(self) -> None:
        try:
            message = self._sock.recv(tally.MESSAGE.size)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if len(message) == frames.POSITION.size:
            self.applied = frames.POSITION.unpack(message)
            self._sighted()
        elif len(message) == tally.MESSAGE.size:
            self.counts = tally.parse(message)
            self._told.set()
        else:
            self._loop.remove_reader(self._sock.fileno())

    def _sighted(self) -> None:
        now_s = time.monotonic()
        while self._awaited and self._awaited[0][0] <= self.applied:
            _, change = self._awaited.popleft()
            change.seen(now_s)


class Crew:
    """All workers; `send` reaches each one that lives, and `whole` each one that starts."""

    def __init__(
        self,
        sockets: list[list[socket.socket]],
        whole: Whole,
        limits: limit.Rules | None,
        desk: socket.socket,
    ) -> None:
        self._sockets = sockets
        self._whole = whole
        self._options = ("--rate-limit", limits.render()) if limits else ()
        self._desk = desk
        """Where workers leave transfers."""
        self._own_key = os.urandom(edns.KEY_SIZE)
        self._asides = {frames.SECRET: self._own_key, frames.ACCESS: b""}
        """What workers that start are told beside the table."""
        self._links: dict[int, Link] = {}
        self._past = tally.Totals()
        """What workers counted that are no more."""
        self.restarts = 0
        """Workers that ended although they should not have."""
        self.delays = sightings.Delays()
        """How long it took until all workers answered by changes."""

    @property
    def size(self) -> int:
        """Return how many workers run now."""
        return len(self._links)

    async def counts(self) -> tally.Totals:
        """Return what all workers counted since this process started; it never goes down."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COUNTS_WITHIN_S):
                await asyncio.gather(*(link.ask_counts() for link in self._links.values()))
        return tally.total((self._past, *(link.counts for link in self._links.values())))

    def send(self, change: frames.Transaction, arrived_s: float | None = None) -> None:
        """Pass one transaction on to every worker; `arrived_s`: when we heard of it, if we did."""
        for link in self._links.values():
            link.send(change)
        if arrived_s is not None:
            sighting = sightings.Sighting(arrived_s, len(self._links), self.delays)
            for link in self._links.values():
                link.await_sight(sighting)

    def tell(self, access: bytes) -> None:
        """Tell every worker, also those to come, who may take zones: `access.render`."""
        self._tell(frames.ACCESS, access)

    def share(self, keys: bytes) -> None:
        """Tell every worker the keys of cookies: `cookies.keys`; a key of our own for none."""
        if self._tell(frames.SECRET, keys or self._own_key):
            number = len(edns.split_keys(keys))
            log.info("secrets of cookies now: %s", number or "one of our own, known to no other")

    def _tell(self, flag: int, content: bytes) -> bool:
        if self._asides[flag] == content:
            return False
        self._asides[flag] = content
        for link in self._links.values():
            link.tell((flag, content))
        return True

    async def run(self) -> None:
        """Keep all workers running until cancelled, then end them."""
        async with asyncio.TaskGroup() as group:
            for index in range(len(self._sockets)):
                group.create_task(self._keep(index))

    async def _keep(self, index: int) -> None:
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
        while True:
            started = loop.time()
            try:
                code: int | str = await self._work(index)
            except OSError as error:  # no memory or process to spare right now
                code = str(error)
            if loop.time() - started > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            self.restarts += 1
            log.error("worker %d ended (%s): starting another", index, code)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _work(self, index: int) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            inherited = [theirs.fileno(), self._desk.fileno()]
            inherited += [sock.fileno() for sock in self._sockets[index]]
            program = (sys.executable, "-P", "-m", "lbctl_dns.worker", *self._options)
            command = (*program, *map(str, inherited))
            process = await asyncio.create_subprocess_exec(*command, pass_fds=inherited)
            theirs.close()
            link = self._links[index] = Link(ours, self._whole)
            try:
                link.start(self._asides)
                log.info("worker %d started as process %d", index, process.pid)
                return await process.wait()
            finally:
                del self._links[index]
                self._past = tally.total((self._past, link.counts))
                link.close()
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
