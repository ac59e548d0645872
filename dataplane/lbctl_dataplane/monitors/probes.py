"""One probe: connections, datagrams and requests to one member.

Answers are verdicts. What keeps this machine from asking (no file descriptor or port left, a filter
of its own) says nothing about a member and is raised as OSError.
"""

import asyncio
import contextlib
import errno
import functools
import socket
import ssl
import struct
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from lbctl.model.monitors import Failure, Kind, payload
from lbctl_dataplane.monitors import answers
from lbctl_dataplane.monitors.health import Target

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN}
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
INFORMATIONAL = range(100, 200)


async def ask(target: Target) -> Failure | None:
    """Return why a target fails; None: it is well. Raises OSError when it could not be asked."""
    monitor = target.monitor
    try:
        async with asyncio.timeout(monitor.timeout_ms / 1000):
            return await _ASK[monitor.kind](target)
    except TimeoutError:
        # Where no answer is expected, silence only means that nobody said no.
        silent = monitor.kind is Kind.UDP and not monitor.expect
        return None if silent else Failure.TIMED_OUT
    except ssl.SSLError:  # before the next: one about a certificate is a ValueError as well
        return Failure.TLS_FAILED
    except (asyncio.LimitOverrunError, ValueError):
        return Failure.WRONG_ANSWER
    except (EOFError, ConnectionResetError, BrokenPipeError):
        return Failure.CLOSED
    except OSError as error:
        return _failure_of(error)


def _failure_of(error: OSError) -> Failure:
    if isinstance(error, ConnectionRefusedError):
        return Failure.REFUSED
    if error.errno in _UNREACHABLE:
        return Failure.UNREACHABLE
    raise error


async def _connection(target: Target) -> Failure | None:
    with _opened(target, socket.SOCK_STREAM) as one:
        await _connect(one, target)
    return None


async def _half_connection(target: Target) -> Failure | None:
    """Send SYN, and RST to the answer, as one who looks which ports are open.

    The kernel does it, without a raw socket: with quick acknowledgements off it keeps the ACK of
    a SYN-ACK back for up to 200 ms, in the hope of data to go with it, and a close without
    lingering sends the RST first (net/ipv4/tcp_input.c, `tcp_rcv_synsent_state_process`).
    """
    with _opened(target, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        await _connect(one, target)
    return None


async def _datagram(target: Target) -> Failure | None:
    loop, monitor = asyncio.get_running_loop(), target.monitor
    with _opened(target, socket.SOCK_DGRAM) as one:
        await _connect(one, target)
        await loop.sock_sendall(one, payload(monitor.send))
        answer = await loop.sock_recv(one, answers.BODY_BYTES)
    return None if payload(monitor.expect) in answer else Failure.WRONG_ANSWER


async def _request(target: Target) -> Failure | None:
    monitor = target.monitor
    async with _stream(target) as (reader, writer):
        writer.write(answers.request(monitor, target.address, target.port))
        head = await _head(reader)
        failure = answers.verdict(monitor, head, b"")
        if failure is not Failure.WRONG_BODY:
            return failure
        return answers.verdict(monitor, head, await _body(reader, head))


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Return the head of the answer; those before it that only inform are passed over."""
    while True:
        head = await reader.readuntil(answers.END_OF_HEAD)
        if answers.code_of(head) not in INFORMATIONAL:
            return head


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Return the first part of the body, `answers.BODY_BYTES` at most."""
    if answers.is_chunked(head):
        return await _chunks(reader)
    length = answers.length_of(head)
    if length is not None:
        return await reader.readexactly(min(length, answers.BODY_BYTES))
    content = b""
    while len(content) < answers.BODY_BYTES and (more := await reader.read(answers.BODY_BYTES)):
        content += more
    return content


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    content = b""
    for _ in range(answers.CHUNKS):
        size = answers.chunk_size(await reader.readuntil(answers.END_OF_LINE))
        left = answers.BODY_BYTES - len(content)
        content += await reader.readexactly(min(size, left))
        if size == 0 or size >= left:
            break
        await reader.readexactly(len(answers.END_OF_LINE))
    return content


@contextlib.contextmanager
def _opened(target: Target, kind: socket.SocketKind) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if target.address.version == 6 else socket.AF_INET
    with socket.socket(family, kind | socket.SOCK_NONBLOCK) as one:
        yield one


async def _connect(one: socket.socket, target: Target) -> None:
    await asyncio.get_running_loop().sock_connect(one, (str(target.address), target.port))


@contextlib.asynccontextmanager
async def _stream(
    target: Target,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Have a connection, with TLS where the monitor says so; it is cut off at the end.

    A server that does not end it after its answer is none that a monitor should wait for.
    """
    monitor, address = target.monitor, str(target.address)
    secure = _tls(monitor.verify) if monitor.kind is Kind.HTTPS else None
    name = _server_name(monitor.host) or address
    reader, writer = await asyncio.open_connection(
        address,
        target.port,
        limit=answers.BODY_BYTES,
        ssl=secure,
        server_hostname=name if secure else None,
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@functools.cache
def _tls(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _server_name(host: str) -> str:
    """Return a Host header without its port."""
    return urllib.parse.urlsplit(f"//{host}").hostname or ""


_ASK: dict[Kind, Callable[[Target], Awaitable[Failure | None]]] = {
    Kind.TCP: _connection,
    Kind.HALF_OPEN: _half_connection,
    Kind.UDP: _datagram,
    Kind.HTTP: _request,
    Kind.HTTPS: _request,
}
