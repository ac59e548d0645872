"""What the feed process does for secondaries: gives them zones, tells them of changes.

Workers leave the connections (`handover`), the zones are here anyway, and one process keeps the
journal for all workers. Transfers are made message by message between other work, so neither
answers nor changes wait for them.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from lbctl_dns import (
    access,
    handover,
    journal,
    listening,
    names,
    notify,
    numbering,
    transfers,
    zone,
)

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
"""Transfers at once; a further secondary is hung up on and comes again."""
Contents = Callable[[Collection[bytes]], Iterable[zone.RecordSet]]
"""Gives the whole of some zones."""
OUTCOMES = (*(form.value for form in journal.Form), "refused", "invalid", "broken")
"""What may become of a request; `invalid` is a signature that is not right."""
IDLE_S, STALLED_S = 10.0, 30.0
"""Time for the next request on a connection; time for a secondary to read a message."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who may take zones, and who is told of changes."""

    access: access.Access
    targets: tuple[notify.Target, ...]

    @property
    def rendered(self) -> bytes:
        """Return what workers must know of it."""
        return access.render(self.access)

    @property
    def is_needed(self) -> bool:
        """Tell whether there are secondaries at all."""
        return bool(self.access.rules or self.targets)


ALONE = Plan(access.Access(), ())
"""No secondaries."""


def _clock() -> int:
    return int(time.time())


class Primary:
    """The zones of one server for its secondaries; costs nothing where there are none."""

    def __init__(self, plan: Plan) -> None:
        self.library = journal.Library()
        self.plan = plan
        self.notifier = notify.Notifier(self.library)
        self.notifier.configure(plan.targets, plan.access)
        self.counts: Counter[str] = Counter()
        """Requests by outcome, one of OUTCOMES; one that breaks off counts twice."""
        self._connections = 0

    def configure(self, plan: Plan, contents: Callable[[], Iterable[zone.RecordSet]]) -> None:
        """Follow another plan; `contents` gives what `show` was not told without secondaries."""
        began = plan.is_needed and not self.plan.is_needed
        self.plan = plan
        if began:
            self.library.show(contents())
        elif not plan.is_needed:
            self.library.zones = {}
        self.notifier.configure(plan.targets, plan.access)

    def show(
        self,
        contents: Callable[[], Iterable[zone.RecordSet]],
        kept: Collection[bytes] = (),
    ) -> None:
        """Take the whole of all zones; those in `kept` stay as they are."""
        if self.plan.is_needed:
            self.notifier.changed(self.library.show(contents(), kept))

    def take(self, release: numbering.Release, contents: Contents) -> None:
        """Take what has a serial now; a zone that is not here yet, whole as soon as it may be."""
        if not self.plan.is_needed:
            return
        changed: set[bytes] = set()
        self.forget(release.fresh)
        for change in release.given.values():
            # One by one: names of a zone that is not here would count for the one around it.
            changed |= self.library.change(change)
        begun = release.whole - self.library.zones.keys()
        if begun:
            changed |= self.library.show(contents(begun), self.library.zones.keys())
        self.notifier.changed(changed)

    def forget(self, origins: Iterable[bytes]) -> None:
        """Give these zones to nobody until they are taken again, whole."""
        for origin in origins:
            self.library.zones.pop(origin, None)

    def restore(self, saved: Iterable[zone.RecordSet], path: Path) -> None:
        """Take the zones whose journal was saved with them, and what led to them.

        Secondaries then need only what is different now.
        """
        if not self.plan.is_needed:
            return
        try:
            steps = journal.parse(path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, journal.Damaged) as error:
            log.error("no journal from disk, secondaries take whole zones: %s: %s", path, error)
            return
        self.library.show(saved)
        for origin in self.library.zones.keys() - steps.keys():
            del self.library.zones[origin]
        for origin, history in self.library.zones.items():
            history.remember(steps[origin])

    async def run(
        self,
        desk: socket.socket,
        sockets: list[socket.socket],
        places: Iterable[listening.Place],
    ) -> None:
        """Serve secondaries until cancelled.

        What workers leave comes in at `desk`; `sockets` are those that each of them listens on.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.notifier.run(places))
            loop.add_reader(desk.fileno(), self._hear, desk, sockets, group)
            try:
                await loop.create_future()
            finally:
                loop.remove_reader(desk.fileno())

    def _hear(
        self, desk: socket.socket, sockets: list[socket.socket], group: asyncio.TaskGroup
    ) -> None:
        try:
            given = handover.receive(desk)
        except OSError:
            return
        if isinstance(given, handover.Datagram):
            self._answer(given, sockets[given.place])
        elif isinstance(given, handover.Connection):
            if self._connections < MAX_CONNECTIONS:
                group.create_task(self._keep(given))
            else:
                given.sock.close()

    def _answer(self, given: handover.Datagram, sock: socket.socket) -> None:
        reply = self._reply(given.packet, transfers.Asker(given.peer[0], True, _clock))
        if reply is not None:
            with contextlib.suppress(OSError):
                sock.sendto(next(reply.messages), given.peer)

    async def _keep(self, given: handover.Connection) -> None:
        self._connections += 1
        try:
            await self._converse(given)
        except OSError as error:  # TimeoutError is one
            log.info("a transfer broke off: %r", error)
            self.counts["broken"] += 1
        finally:
            self._connections -= 1

    async def _converse(self, given: handover.Connection) -> None:
        with contextlib.ExitStack() as failing:
            failing.callback(given.sock.close)
            client = str(given.sock.getpeername()[0])
            reader, writer = await _opened(given)
            failing.pop_all()
        try:
            while packet := await _next(reader):
                reply = self._reply(packet, transfers.Asker(client, False, _clock))
                if reply is None:
                    break
                await _send(writer, reply.messages)
            await _close(writer)
        finally:
            writer.transport.abort()

    def _reply(self, packet: bytes, asker: transfers.Asker) -> transfers.Reply | None:
        reply = transfers.reply(packet, self.library, self.plan.access, asker)
        if reply is not None:
            self.counts[reply.outcome] += 1
            log.info(
                "%s of %s, serial %d, to %s, key %s",
                reply.outcome,
                names.to_text(reply.zone or names.ROOT),
                reply.serial,
                asker.client,
                names.to_text(reply.key) if reply.key else "none",
            )
        return reply


async def _opened(
    given: handover.Connection,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the connection as streams, with what a worker read of it in front."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    reader.feed_data(given.pending)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, given.sock)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _next(reader: asyncio.StreamReader) -> bytes:
    """Return the next request, nothing when the client is done or says nothing."""
    try:
        async with asyncio.timeout(IDLE_S):
            length = int.from_bytes(await reader.readexactly(2))
            return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, TimeoutError):
        return b""


async def _send(writer: asyncio.StreamWriter, messages: Iterable[bytes]) -> None:
    """Write messages as fast as they are read. Raises TimeoutError when they are not."""
    for one in messages:
        writer.write(len(one).to_bytes(2) + one)
        async with asyncio.timeout(STALLED_S):
            await writer.drain()
        await asyncio.sleep(0)  # changes and other secondaries have their turn


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close once everything was read; who goes without that has what it wanted."""
    writer.close()
    with contextlib.suppress(OSError):
        async with asyncio.timeout(STALLED_S):
            await writer.wait_closed()
