"""Servers that work, refuse, hang, are late or talk nonsense, in a namespace. Needs root."""

import contextlib
import datetime
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dataplane_bed
import spaces
from lbctl_lab import certs
from spaces import sh

ADDRESSES = ("192.0.2.2", "2001:db8:b::2")
NOBODY = ("192.0.2.9", "2001:db8:b::9")
"""On the same link, and no one's."""
NOWHERE = ("203.0.113.1", "2001:db8:ffff::1")
"""Without a way there."""
WELL, BROKEN, LATE, CLOSING, CHUNKED, NONSENSE, HANGING, PATIENT, OLD, ENDLESS, TALKER = range(
    8080, 8091
)
COUNTED, TLS, REFUSED = 8100, 8443, 8999
ECHO, SILENT, COUNT = 9000, 9001, 9002

SERVERS = """
import asyncio, ssl, sys
BODY = b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nalive"
CHUNKED = b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
CHUNKS = CHUNKED + b"2\\r\\nal\\r\\n3\\r\\nive\\r\\n0\\r\\n\\r\\n"
SAID = {
    8080: BODY,
    8081: b"HTTP/1.1 500 Oops\\r\\nContent-Length: 5\\r\\n\\r\\nalive",
    8084: CHUNKS,
    8085: b"SSH-2.0-OpenSSH_9.2\\r\\n\\r\\n",
    8087: b"HTTP/1.1 100 Continue\\r\\n\\r\\nHTTP/1.1 103 Early Hints\\r\\n\\r\\n" + BODY,
    8088: b"HTTP/1.0 200 OK\\r\\n\\r\\nalive",
    8443: BODY,
}
accepted = 0
async def serve(reader, writer):
    global accepted
    port = writer.get_extra_info("sockname")[1]
    try:
        if port == 8100:
            accepted += 1
        if port in (8083, 8100):
            return
        await reader.readuntil(b"\\r\\n\\r\\n")
        if port == 8082:
            await asyncio.sleep(3)
            writer.write(BODY)
        elif port == 8089:
            writer.write(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
            while True:
                writer.write(b"dead" * 4096)
                await writer.drain()
        elif port == 8090:
            while True:
                writer.write(b"HTTP/1.1 100 Continue\\r\\n\\r\\n" * 1000)
                await writer.drain()
        elif port in SAID:
            writer.write(SAID[port])
        if port in (8084, 8086):
            await asyncio.sleep(60)
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, port):
        self.port = port
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, content, peer):
        if self.port == 9000:
            self.transport.sendto(b"echo " + content, peer)
        elif self.port == 9002:
            self.transport.sendto(b"%d accepted" % accepted, peer)
async def main(certificate, addresses):
    loop = asyncio.get_running_loop()
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secure.load_cert_chain(certificate)
    for port in (*range(8080, 8091), 8100, 8443):
        await asyncio.start_server(serve, addresses, port, ssl=secure if port == 8443 else None)
    for address in addresses:
        for port in (9000, 9001, 9002):
            await loop.create_datagram_endpoint(lambda port=port: Datagrams(port), (address, port))
    print("up", flush=True)
    await asyncio.sleep(3600)
asyncio.run(main(sys.argv[1], sys.argv[2:]))
"""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run the servers in a namespace, one link away from another one, whose name is returned."""
    here, there = spaces.named("monitor", "node"), spaces.named("monitor", "pod")
    made: list[str] = []
    try:
        for space in (here, there):
            spaces.add(space)
            made.append(space)
            dataplane_bed.forward(space)
        _link(here, there)
        with _servers(folder, there):
            yield here
    finally:
        for space in made:
            spaces.delete(space)


def _link(here: str, there: str) -> None:
    peer = ("type", "veth", "peer", "name", "m0", "netns", there)
    sh("ip", "link", "add", "m0", "netns", here, *peer)
    own = {here: ("192.0.2.1/24", "2001:db8:b::1/64"), there: ("192.0.2.2/24", "2001:db8:b::2/64")}
    for space, addresses in own.items():
        sh("ip", "link", "set", "m0", "up", inside=space)
        for address in addresses:
            sh("ip", "address", "add", address, "dev", "m0", "nodad", inside=space)


@contextlib.contextmanager
def _servers(folder: Path, space: str) -> Iterator[None]:
    now = datetime.datetime.now(tz=datetime.UTC)
    identity = certs.Identity("member", names=("member.example",))
    issued = certs.issue(certs.new_authority(now), identity, now)
    pair = folder / "member.pem"
    pair.write_text(issued.certificate + issued.key)
    enter = ("nsenter", f"--net={spaces.NETNS}/{space}")
    argv = [*enter, sys.executable, "-c", SERVERS, str(pair), *ADDRESSES]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as servers:
        try:
            assert servers.stdout is not None
            assert servers.stdout.readline() == "up\n"
            yield
        finally:
            servers.kill()
