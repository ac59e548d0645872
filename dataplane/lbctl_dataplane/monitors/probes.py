"""One probe: connections, datagrams and requests to one member.

Answers are verdicts. What keeps this machine from asking (no file descriptor or port left, a filter
of its own) says nothing about a member and is raised as OSError.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
import struct
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from lbctl.model.monitors import Failure, Kind, payload
from lbctl_dataplane.monitors import answers
from lbctl_dataplane.monitors.health import Target
from lbctl_dataplane.monitors.streams import Stream, TlsStream

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN}
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
INFORMATIONAL = range(100, 200)
MOST_INFORMATIONAL = 10
"""Answers that only inform; more of them is nonsense."""
LATE_S = 0.02
"""A timer that comes so late tells that this process was busy."""


async def ask(target: Target) -> Failure | None:
    """Return why a target fails; None: it is well. Raises OSError when it could not be asked."""
    monitor = target.monitor
    try:
        async with _limit(monitor.timeout_ms / 1000):
            return await _ASK[monitor.kind](target)
    except TimeoutError:
        # Where no answer is expected, silence only means that nobody said no.
        silent = monitor.kind is Kind.UDP and not monitor.expect
        return None if silent else Failure.TIMED_OUT
    except ssl.SSLError:  # before the next: one about a certificate is a ValueError as well
        return Failure.TLS_FAILED
    except ValueError:
        return Failure.WRONG_ANSWER
    except (EOFError, ConnectionResetError, BrokenPipeError):
        return Failure.CLOSED
    except OSError as error:
        return _failure_of(error)


@contextlib.asynccontextmanager
async def _limit(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError after so long, not counting time in which this process did not look.

    A process that was busy finds its timeouts over and the answers that came in time unread.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + seconds

    def end() -> None:
        late_s = loop.time() - ends_at
        limit.reschedule(loop.time() + (late_s if late_s > LATE_S else 0.0))

    async with asyncio.timeout(None) as limit:
        timer = loop.call_at(ends_at, end)
        try:
            yield
        finally:
            timer.cancel()


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
    with _opened(target, socket.SOCK_STREAM) as one:
        await _connect(one, target)
        stream = await _stream(one, target)
        await stream.send(answers.request(monitor, target.address, target.port))
        head = await _head(stream)
        failure = answers.verdict(monitor, head, b"")
        if failure is not Failure.WRONG_BODY:
            return failure
        return answers.verdict(monitor, head, await _body(stream, head))


async def _stream(one: socket.socket, target: Target) -> Stream:
    monitor = target.monitor
    if monitor.kind is not Kind.HTTPS:
        return Stream(one)
    name = _server_name(monitor.host) or str(target.address)
    secure = TlsStream(one, name, verify=monitor.verify)
    await secure.greet()
    return secure


def _server_name(host: str) -> str:
    """Return a Host header without its port."""
    return urllib.parse.urlsplit(f"//{host}").hostname or ""


async def _head(stream: Stream) -> bytes:
    """Return the head of the answer; those before it that only inform are passed over."""
    for _ in range(MOST_INFORMATIONAL):
        head = await stream.until(answers.END_OF_HEAD)
        if answers.code_of(head) not in INFORMATIONAL:
            return head
    raise ValueError("the answer never comes")


async def _body(stream: Stream, head: bytes) -> bytes:
    """Return the first part of the body, `answers.BODY_BYTES` at most."""
    if answers.is_chunked(head):
        return await _chunks(stream)
    length = answers.length_of(head)
    if length is not None:
        return await stream.exactly(min(length, answers.BODY_BYTES))
    return await stream.rest(answers.BODY_BYTES)


async def _chunks(stream: Stream) -> bytes:
    content = b""
    for _ in range(answers.CHUNKS):
        size = answers.chunk_size(await stream.until(answers.END_OF_LINE))
        left = answers.BODY_BYTES - len(content)
        content += await stream.exactly(min(size, left))
        if size == 0 or size >= left:
            break
        await stream.exactly(len(answers.END_OF_LINE))
    return content


@contextlib.contextmanager
def _opened(target: Target, kind: socket.SocketKind) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if target.address.version == 6 else socket.AF_INET
    with socket.socket(family, kind | socket.SOCK_NONBLOCK) as one:
        yield one


async def _connect(one: socket.socket, target: Target) -> None:
    await asyncio.get_running_loop().sock_connect(one, (str(target.address), target.port))


_ASK: dict[Kind, Callable[[Target], Awaitable[Failure | None]]] = {
    Kind.TCP: _connection,
    Kind.HALF_OPEN: _half_connection,
    Kind.UDP: _datagram,
    Kind.HTTP: _request,
    Kind.HTTPS: _request,
}
