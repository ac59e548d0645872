"""The HTTP endpoint of a process, asked over a real socket."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

import event_loops
from lbctl.runtime import endpoint

SHORT = endpoint.Limits(head_bytes=512, request_s=0.05, reply_s=0.2, connections=2)


async def metrics() -> bytes:
    return b"lbctl_leader 1\n"


async def unwell() -> str:
    return "the API server is away"


async def broken() -> bytes:
    raise RuntimeError("a fault")


async def silent() -> bytes:
    await asyncio.sleep(60)
    return b""


ROUTES = endpoint.routes(unwell, endpoint.well, metrics, "text/plain; version=0.0.4")


@contextlib.asynccontextmanager
async def serving(
    routes: dict[str, endpoint.Route] = ROUTES, limits: endpoint.Limits | None = None
) -> AsyncIterator[int]:
    sock = socket.create_server(("127.0.0.1", 0))
    async with event_loops.running(endpoint.Endpoint(routes, limits).serve(sock)):
        yield sock.getsockname()[1]


async def said(port: int, request: bytes) -> bytes:
    """Send bytes and return everything that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def asked(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Return status, fields and body."""
    reply = await said(port, f"{method} {path} HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n".encode())
    head, _, body = reply.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in rest)
    return int(first.split()[1]), fields, body


def test_metrics_come_with_their_type_and_length_and_the_connection_ends() -> None:
    async def body() -> None:
        async with serving() as port:
            status, fields, content = await asked(port, "/metrics")
            assert (status, content) == (200, b"lbctl_leader 1\n")
            assert fields["Content-Type"] == "text/plain; version=0.0.4"
            assert fields["Content-Length"] == str(len(content))
            assert fields["Connection"] == "close"

    event_loops.run(body())


@pytest.mark.parametrize(
    ("path", "status", "content"),
    [
        ("/healthz", 200, b"ok\n"),
        ("/readyz", 503, b"the API server is away\n"),
        ("/metrics?name=a", 200, b"lbctl_leader 1\n"),
        ("/", 404, b"no such path\n"),
        ("/metrics/", 404, b"no such path\n"),
        ("http://a/metrics", 404, b"no such path\n"),
    ],
)
def test_each_path_has_its_answer(path: str, status: int, content: bytes) -> None:
    async def body() -> None:
        async with serving() as port:
            assert (await asked(port, path))[::2] == (status, content)

    event_loops.run(body())


def test_head_is_get_without_the_body() -> None:
    async def body() -> None:
        async with serving() as port:
            whole, bare = await asked(port, "/metrics"), await asked(port, "/metrics", "HEAD")
            assert bare == (whole[0], whole[1], b"")

    event_loops.run(body())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods_are_refused_by_name(method: str) -> None:
    async def body() -> None:
        async with serving() as port:
            status, fields, _ = await asked(port, "/metrics", method)
            assert (status, fields["Allow"]) == (405, "GET, HEAD")

    event_loops.run(body())


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n\r\n",
        b"GET /metrics\r\n\r\n",
        b"GET /metrics HTTP/2.0\r\n\r\n",
        b"GET  /metrics HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_400(request_: bytes) -> None:
    async def body() -> None:
        async with serving() as port:
            assert (await said(port, request_)).startswith(b"HTTP/1.1 400 ")

    event_loops.run(body())


def test_a_request_in_pieces_is_one_request() -> None:
    async def body() -> None:
        async with serving() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for piece in (b"GET /hea", b"lthz HTTP/1.1\r", b"\nHost: a\r\n", b"\r\n"):
                writer.write(piece)
                await event_loops.turns()
            assert (await reader.read()).endswith(b"\r\n\r\nok\n")
            writer.close()

    event_loops.run(body())


@pytest.mark.parametrize("size", [513, 100_000])
def test_a_head_that_is_too_long_is_told_so(size: int) -> None:
    async def body() -> None:
        async with serving(limits=SHORT) as port:
            reply = await said(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * size + b"\r\n\r\n")
            assert reply.startswith(b"HTTP/1.1 431 ")

    event_loops.run(body())


def test_a_client_that_sends_no_whole_request_is_hung_up_on() -> None:
    async def body() -> None:
        async with serving(limits=SHORT) as port:
            assert await said(port, b"GET /metrics HTTP/1.1\r\n") == b""
            assert (await asked(port, "/metrics"))[0] == 200

    event_loops.run(body())


def test_a_client_that_leaves_early_disturbs_nobody() -> None:
    async def body() -> None:
        async with serving() as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /met")
            writer.close()
            assert (await asked(port, "/metrics"))[0] == 200

    event_loops.run(body())


def test_more_clients_than_allowed_are_hung_up_on_until_one_leaves() -> None:
    async def body() -> None:
        patient = endpoint.Limits(request_s=30.0, connections=2)
        async with serving(limits=patient) as port:
            opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            await event_loops.turns()
            assert await said(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
            for _, writer in opened:
                writer.close()
            while not await said(port, b"GET /healthz HTTP/1.1\r\n\r\n"):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    event_loops.run(body())


def test_a_fault_in_a_route_is_500_and_in_the_log_and_the_next_one_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def body() -> None:
        routes = endpoint.routes(endpoint.well, endpoint.well, broken, endpoint.TEXT)
        async with serving(routes) as port:
            assert (await asked(port, "/metrics"))[0] == 500
            assert (await asked(port, "/healthz"))[0] == 200

    event_loops.run(body())
    assert "a fault" in caplog.text


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    async def body() -> None:
        routes = endpoint.routes(endpoint.well, endpoint.well, silent, endpoint.TEXT)
        async with serving(routes, SHORT) as port:
            assert await said(port, b"GET /metrics HTTP/1.1\r\n\r\n") == b""

    event_loops.run(body())


def test_without_metrics_the_health_checks_stay() -> None:
    async def body() -> None:
        async with serving(endpoint.routes(unwell, endpoint.well, None, endpoint.TEXT)) as port:
            assert (await asked(port, "/metrics"))[0] == 404
            assert (await asked(port, "/healthz"))[0] == 200

    event_loops.run(body())


def test_a_port_in_use_is_said_once_and_taken_when_it_is_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def body() -> None:
        with socket.create_server(("", 0)) as taken:
            port = taken.getsockname()[1]
            often = endpoint.Limits(retry_s=0.01)
            server = asyncio.ensure_future(endpoint.Endpoint(ROUTES, often).run(port))
            await asyncio.sleep(0.05)
            assert not server.done()
        while True:
            with contextlib.suppress(ConnectionError):
                assert (await asked(port, "/healthz"))[0] == 200
                break
            await asyncio.sleep(0.005)
        server.cancel()
        await asyncio.wait([server])

    event_loops.run(body())
    assert caplog.text.count("no health checks and metrics") == 1


def test_port_zero_serves_nothing_and_ends_nothing() -> None:
    async def body() -> None:
        async with event_loops.running(endpoint.Endpoint(ROUTES).run(0)) as (task,):
            await event_loops.turns()
            assert not task.done()

    event_loops.run(body())
