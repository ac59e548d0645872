"""TCP connections inside one event loop, with limits small enough to reach."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator

import pytest

import nameserver_builders as nb
from lbctl_dns import server

SAFETY_S = 20.0
HOST = "kuard.default.lb.example"


@contextlib.asynccontextmanager
async def listening(limits: server.Limits) -> AsyncIterator[int]:
    streams = server.Streams(nb.responder(*nb.sets(HOST, "192.0.2.1")), limits)
    loop = asyncio.get_running_loop()
    found = await loop.create_server(functools.partial(server.Stream, streams), "127.0.0.1", 0)
    try:
        yield int(found.sockets[0].getsockname()[1])
    finally:
        found.close()


async def ask(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Connect and ask once; an empty reply means that the server hung up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    query = nb.query(HOST)
    writer.write(len(query).to_bytes(2) + query)
    try:
        length = await reader.readexactly(2)
    except (asyncio.IncompleteReadError, ConnectionError):
        return reader, writer, b""
    return reader, writer, await reader.readexactly(int.from_bytes(length))


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("drip", [b"", b"\0"])
def test_a_connection_that_asks_nothing_is_closed_even_when_bytes_drip_in(drip: bytes) -> None:
    async def scenario() -> None:
        async with listening(server.Limits(idle_s=0.05)) as port, asyncio.timeout(SAFETY_S):
            reader, writer, reply = await ask(port)
            assert reply
            writer.write(drip)
            assert await is_closed(reader)
            writer.close()

    asyncio.run(scenario())


def test_a_query_that_never_ends_is_cut_off_however_it_drips() -> None:
    async def scenario() -> None:
        async with listening(server.Limits(idle_s=0.2)) as port, asyncio.timeout(SAFETY_S):
            reader, writer, _ = await ask(port)
            ended = asyncio.ensure_future(is_closed(reader))
            while not ended.done():  # a message of 65,535 bytes that comes a byte at a time
                writer.write(b"\xff")
                await asyncio.wait([ended], timeout=0.05)
            assert ended.result()
            writer.close()

    asyncio.run(scenario())


def test_a_slow_client_keeps_nobody_waiting() -> None:
    async def scenario() -> None:
        async with listening(server.Limits()) as port, asyncio.timeout(SAFETY_S):
            _, slow, _ = await ask(port)
            slow.write(b"\0")
            asked = [await ask(port) for _ in range(5)]
            assert all(reply for _, _, reply in asked)
            for _, writer, _ in asked:
                writer.close()
            slow.close()

    asyncio.run(scenario())


def test_half_a_query_before_the_end_is_not_answered() -> None:
    async def scenario() -> None:
        async with listening(server.Limits()) as port, asyncio.timeout(SAFETY_S):
            reader, writer, _ = await ask(port)
            query = nb.query(HOST)
            writer.write(len(query).to_bytes(2) + query + len(query).to_bytes(2) + query[:5])
            writer.write_eof()
            replies = await reader.read()
            assert int.from_bytes(replies[:2]) == len(replies) - 2
            writer.close()

    asyncio.run(scenario())


def test_one_client_may_have_only_so_many_connections() -> None:
    async def scenario() -> None:
        async with listening(server.Limits(per_client=2)) as port, asyncio.timeout(SAFETY_S):
            asked = [await ask(port) for _ in range(3)]
            assert [bool(reply) for _, _, reply in asked] == [True, True, False]
            asked[0][1].close()
            await asked[0][1].wait_closed()
            while not (last := await ask(port))[2]:
                last[1].close()
            for _, writer, _ in (*asked[1:], last):
                writer.close()

    asyncio.run(scenario())


def test_the_connection_idle_for_longest_makes_room() -> None:
    async def scenario() -> None:
        async with listening(server.Limits(streams=2)) as port, asyncio.timeout(SAFETY_S):
            asked = [await ask(port) for _ in range(3)]
            assert all(reply for _, _, reply in asked)
            assert await is_closed(asked[0][0])
            for _, writer, _ in asked:
                writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", b"192.0.2.1"),
        ("2001:db8:1:2:3::4", bytes.fromhex("20010db800010002")),
        ("fe80::1%eth0", bytes.fromhex("fe80000000000000")),
    ],
)
def test_a_client_is_an_ipv4_address_or_a_64(host: str, client: bytes) -> None:
    assert server.network_of(host) == client
