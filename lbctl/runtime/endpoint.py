"""A process's small HTTP endpoint: health checks and metrics, on asyncio alone.

GET and HEAD, one request a connection (RFC 9112 with `Connection: close`, which kubelets and
Prometheus take); everything a client sends is bounded in size and time.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a path answers."""

    status: int
    body: bytes
    content_type: str = TEXT
    fields: tuple[tuple[str, str], ...] = ()
    """Further header fields."""


ANY = "*"
"""In place of a path: all that have no route of their own."""
Route = Callable[[], Awaitable[Reply]]
"""Makes the reply to one path."""
Check = Callable[[], Awaitable[str]]
"""Tells what is wrong, in a line; nothing when all is well."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take."""

    head_bytes: int = 8192
    """Of a request: its line and its fields."""
    request_s: float = 5.0
    """To send a whole request."""
    reply_s: float = 10.0
    """To be made and to be taken."""
    connections: int = 32
    """At a time; more are hung up on."""
    retry_s: float = 5.0
    """Wait before a port in use is tried again: a process does its work without this endpoint."""


class Endpoint:
    """Serves routes on one port."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        limits: Limits | None = None,
        what: str = "health checks and metrics",
    ) -> None:
        """Serve `routes` by path; `what` says in the log what a taken port costs."""
        self._routes = routes
        self._what = what
        self._limits = limits or Limits()
        self._open = 0

    async def run(self, port: int) -> None:
        """Serve all addresses of this machine until cancelled; port 0: only wait.

        A port that cannot be had is said once, and tried again.
        """
        said = False
        while port:
            try:
                sock = _listen(port)
            except OSError as error:
                if not said:
                    log.error("no %s: port %d: %s", self._what, port, error.strerror)
                said = True
                await asyncio.sleep(self._limits.retry_s)
            else:
                await self.serve(sock)
        await asyncio.get_running_loop().create_future()

    async def serve(self, sock: socket.socket) -> None:
        """Serve a listening socket until cancelled."""
        limit = self._limits.head_bytes
        server = await asyncio.start_server(self._connected, sock=sock, limit=limit)
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= self._limits.connections:
                await self._converse(reader, writer)
        except (OSError, TimeoutError):
            writer.transport.abort()  # gone, or too slow
        finally:
            self._open -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(self._limits.request_s):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                head = None
            except asyncio.IncompleteReadError:
                return
        async with asyncio.timeout(self._limits.reply_s):
            method, reply = await self._answer(head)
            writer.write(render(reply, with_body=method != "HEAD"))
            await writer.drain()
            if head is None:
                await _hang_up_gently(reader, writer)

    async def _answer(self, head: bytes | None) -> tuple[str, Reply]:
        if head is None:
            return "", Reply(431, b"too much\n")
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return "", Reply(400, b"not a request\n")
        method, target, _ = words
        route = self._routes.get(target.partition("?")[0]) or self._routes.get(ANY)
        if route is None:
            return method, Reply(404, b"no such path\n")
        if method not in {"GET", "HEAD"}:
            return method, Reply(405, b"GET and HEAD only\n")
        try:
            return method, await route()
        except Exception:
            # A fault in what is only looked at must not end what is looked at.
            log.exception("no answer to %s", target)
            return method, Reply(500, b"a fault: see the log\n")


def routes(
    ready: Check, alive: Check, metrics: Callable[[], Awaitable[bytes]] | None, content_type: str
) -> dict[str, Route]:
    """Return the paths that every process has; /metrics only where there are some to show."""
    found: dict[str, Route] = {"/readyz": _checked(ready), "/healthz": _checked(alive)}
    if metrics is not None:
        show = metrics

        async def shown() -> Reply:
            return Reply(200, await show(), content_type)

        found["/metrics"] = shown
    return found


async def well() -> str:
    """Find nothing wrong: that the event loop gets here is all there is to check."""
    return ""


def _checked(check: Check) -> Route:
    async def checked() -> Reply:
        wrong = await check()
        return Reply(503, f"{wrong}\n".encode()) if wrong else Reply(200, b"ok\n")

    return checked


_PHRASES = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def render(reply: Reply, *, with_body: bool = True) -> bytes:
    """Return a reply as it is sent.

    >>> render(Reply(404, b"no")).splitlines()[0]
    b'HTTP/1.1 404 Not Found'
    """
    lines = [
        f"HTTP/1.1 {reply.status} {_PHRASES[reply.status]}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {len(reply.body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *(f"{name}: {value}" for name, value in reply.fields),
    ]
    if reply.status == 405:
        lines.append("Allow: GET, HEAD")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head + reply.body if with_body else head


def _listen(port: int) -> socket.socket:
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    return socket.create_server(("", port), family=family, dualstack_ipv6=both)


async def _hang_up_gently(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # Closing with bytes unread resets the connection, and the client never sees the reply.
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while await reader.read(8192):
                pass
