"""The feed process's side: connections that workers leave, and zones over them."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import nameserver_builders as nb
from lbctl_dns import access, handover, journal, message, numbering, primary, zone
from transfer_builders import records_in, request, soa

SAFETY_S = 20.0
PLAN = primary.Plan(access.checked([], [access.rule("127.0.0.1")]), ())
HOST = nb.sets("kuard.lb.example", "192.0.2.1")
LARGE = [
    zone.RecordSet(
        f"\x04h{number:03}".encode() + nb.ORIGIN,
        zone.AAAA,
        5,
        tuple(number.to_bytes(8) + other.to_bytes(8) for other in range(2000)),
    )
    for number in range(120)
]
"""More than all buffers of a connection hold."""


class Bed:
    """A primary, a worker's end of its desk, and a listening socket."""

    def __init__(self, serving: primary.Primary, workers_end: socket.socket) -> None:
        self.primary = serving
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", 0))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.desk = handover.Desk(workers_end, [self._listener, self.datagrams])

    def leave(self, pending: bytes) -> socket.socket:
        """Connect, and leave the connection as a worker does; return the client's end."""
        client = socket.create_connection(self._listener.getsockname())
        sock, _ = self._listener.accept()
        with sock:
            self.desk.leave_stream(sock, pending)
        client.setblocking(False)
        return client

    def close(self) -> None:
        self._listener.close()
        self.datagrams.close()


def released(*sets: zone.RecordSet) -> numbering.Release:
    return numbering.Release(given={nb.ORIGIN: zone.Change(sets)})


@contextlib.asynccontextmanager
async def bed(*sets: zone.RecordSet) -> AsyncIterator[Bed]:
    serving = primary.Primary(PLAN)
    serving.show(lambda: [soa(1), *sets])
    desk, workers_end = handover.pair()
    with desk, workers_end, contextlib.closing(Bed(serving, workers_end)) as found:
        places = [found.datagrams, found.datagrams]
        task = asyncio.create_task(serving.run(desk, places, []))
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.wait([task])


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        async with asyncio.timeout(SAFETY_S):
            await scenario()

    asyncio.run(body())


def framed(packet: bytes) -> bytes:
    return len(packet).to_bytes(2) + packet


async def messages(client: socket.socket, count: int) -> list[bytes]:
    reader, writer = await asyncio.open_connection(sock=client)
    found = []
    try:
        while len(found) < count:
            found.append(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
    finally:
        writer.close()
    return found


def whole(serving: primary.Primary) -> list[bytes]:
    return list(serving.library.zones[nb.ORIGIN].full())


def test_a_connection_is_served_from_where_the_worker_left_it() -> None:
    async def scenario() -> None:
        async with bed(*HOST) as found:
            asked = framed(request())
            client = found.leave(asked + asked[:9])
            client.send(asked[9:])
            for one in await messages(client, 2):
                assert records_in([one]) == whole(found.primary)
            assert found.primary.counts == {"axfr": 2}

    run(scenario)


def test_who_does_not_read_stops_nobody() -> None:
    async def scenario() -> None:
        async with bed(*LARGE) as found:
            with found.leave(framed(request())):
                total, taken = len(whole(found.primary)), 0
                reader, writer = await asyncio.open_connection(
                    sock=found.leave(framed(request(message.IXFR, 0)))
                )
                while taken < total:
                    length = int.from_bytes(await reader.readexactly(2))
                    taken += len(records_in([await reader.readexactly(length)]))
                writer.close()
                found.primary.take(released(soa(2), *HOST), lambda _: ())
                assert found.primary.library.serials == {nb.ORIGIN: 2}

    run(scenario)


def test_beyond_the_limit_connections_are_hung_up_on() -> None:
    async def scenario() -> None:
        async with bed(*HOST) as found:
            with contextlib.ExitStack() as stack:
                for _ in range(primary.MAX_CONNECTIONS):
                    stack.enter_context(found.leave(b""))
                further = stack.enter_context(found.leave(framed(request())))
                assert await asyncio.get_running_loop().sock_recv(further, 1) == b""

    run(scenario)


def test_a_query_for_something_else_ends_the_connection() -> None:
    async def scenario() -> None:
        async with bed(*HOST) as found:
            with found.leave(framed(nb.query("kuard.lb.example"))) as client:
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""

    run(scenario)


def test_a_datagram_is_answered_from_the_socket_it_came_to() -> None:
    async def scenario() -> None:
        async with bed(*HOST) as found:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind(("127.0.0.1", 0))
                client.setblocking(False)
                asked = request(message.IXFR, 1)
                found.desk.leave_datagram(found.datagrams, asked, client.getsockname())
                reply, source = await asyncio.get_running_loop().sock_recvfrom(client, 4096)
                assert source == found.datagrams.getsockname()
                assert records_in([reply]) == journal.records_of(soa(1))

    run(scenario)


def test_more_than_a_request_that_was_read_is_not_left() -> None:
    async def scenario() -> None:
        async with bed(*HOST) as found:
            with found.leave(bytes(handover.MAX_PENDING + 1)) as client:
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""

    run(scenario)


def test_without_secondaries_nothing_is_kept() -> None:
    alone = primary.Primary(primary.ALONE)
    alone.show(lambda: [soa(1), *HOST])
    alone.take(released(soa(2)), lambda _: [soa(2), *HOST])
    assert alone.library.zones == {}


def test_secondaries_that_come_later_find_the_zone_and_leave_it_behind() -> None:
    late = primary.Primary(primary.ALONE)
    late.configure(PLAN, lambda: [soa(5), *HOST])
    assert late.library.serials == {nb.ORIGIN: 5}
    late.configure(primary.ALONE, lambda: [])
    assert late.library.zones == {}


def test_a_restart_goes_on_with_the_journal_beside_the_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "names.journal"
    first = primary.Primary(PLAN)
    first.show(lambda: [soa(1), *HOST])
    first.take(released(soa(2), *nb.sets("new.lb.example", "192.0.2.2")), lambda _: ())
    content = journal.render(first.library.steps([nb.ORIGIN]))
    nothing = journal.render(first.library.steps([]))
    for written, kept in ((content, [1]), (content[:-1], []), (nothing, []), (None, [])):
        path.unlink(missing_ok=True)
        if written is not None:
            path.write_bytes(written)
        second = primary.Primary(PLAN)
        second.restore([soa(2), *HOST, *nb.sets("new.lb.example", "192.0.2.2")], path)
        assert [len(one.steps) for one in second.library.zones.values()] == kept


def test_a_zone_that_is_not_here_is_taken_whole_once_all_of_it_has_a_serial() -> None:
    found = primary.Primary(PLAN)
    new = released(soa(1))
    found.take(new, lambda _: [soa(1), *HOST])
    assert found.library.zones == {}
    new.whole.add(nb.ORIGIN)
    found.take(new, lambda _: [soa(1), *HOST])
    assert found.library.serials == {nb.ORIGIN: 1}
    fresh = released(soa(2))
    fresh.fresh.add(nb.ORIGIN)
    found.take(fresh, lambda _: ())
    assert found.library.zones == {}
