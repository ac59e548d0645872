"""A member's byte stream over TCP or TLS, read by marks and lengths.

Not asyncio's streams: their TLS has a buffer of 256 KiB for each connection, which lives on until
the garbage collector comes (36 MiB more at 1,000 members).
"""

import asyncio
import functools
import socket
import ssl

from lbctl_dataplane.monitors import answers

CHUNK_BYTES = 16384
"""What is read at once; of TLS a record."""


class Stream:
    """One connected socket, whose owner closes it."""

    def __init__(self, one: socket.socket) -> None:
        self._socket = one
        self._loop = asyncio.get_running_loop()
        self._come = b""
        """What was received and not taken yet."""

    async def send(self, content: bytes) -> None:
        """Send all of it."""
        await self._loop.sock_sendall(self._socket, content)

    async def receive(self) -> bytes:
        """Return what comes next; nothing at the end."""
        # A member that sends without pause must not keep the loop from its timers.
        await asyncio.sleep(0)
        return await self._loop.sock_recv(self._socket, CHUNK_BYTES)

    async def until(self, mark: bytes) -> bytes:
        """Take all up to a mark and with it.

        Raises EOFError where the stream ends before, ValueError where that is too far away.
        """
        seen = 0
        while (at := self._come.find(mark, max(seen - len(mark), 0))) < 0:
            seen = len(self._come)
            if seen > answers.BODY_BYTES:
                raise ValueError("the mark does not come")
            await self._more()
        return self._take(at + len(mark))

    async def exactly(self, size: int) -> bytes:
        """Take so many bytes. Raises EOFError where the stream ends before."""
        while len(self._come) < size:
            await self._more()
        return self._take(size)

    async def rest(self, most: int) -> bytes:
        """Take all up to the end, but not more than so many bytes."""
        while len(self._come) < most and (more := await self.receive()):
            self._come += more
        return self._take(most)

    async def _more(self) -> None:
        more = await self.receive()
        if not more:
            raise EOFError("the stream ends too early")
        self._come += more

    def _take(self, size: int) -> bytes:
        taken, self._come = self._come[:size], self._come[size:]
        return taken


class TlsStream(Stream):
    """A TLS session over a connected socket."""

    def __init__(self, one: socket.socket, name: str, *, verify: bool) -> None:
        """Talk to a server of that name, or address; without `verify` any certificate is good."""
        super().__init__(one)
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = _context(verify).wrap_bio(
            self._received, self._to_send, server_hostname=name
        )

    async def greet(self) -> None:
        """Make the session. Raises ssl.SSLError when there can be none."""
        while True:
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                await self._exchange()
            else:
                return

    async def send(self, content: bytes) -> None:
        """Send all of it."""
        self._session.write(content)
        await self._flush()

    async def receive(self) -> bytes:
        """Return what comes next; nothing at the end, however it comes."""
        while True:
            try:
                return self._session.read(CHUNK_BYTES)
            except ssl.SSLWantReadError:
                await self._exchange()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def _exchange(self) -> None:
        await self._flush()
        come = await super().receive()
        if come:
            self._received.write(come)
        else:
            self._received.write_eof()

    async def _flush(self) -> None:
        await super().send(self._to_send.read())


@functools.cache
def _context(verify: bool) -> ssl.SSLContext:
    if verify:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the system's authorities
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
