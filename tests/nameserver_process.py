"""The real name server as a process, for tests: started, asked with dig and sockets, ended."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import nameserver_builders as nb

LBCTL = str(Path(sys.executable).with_name("lbctl"))
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
PATIENCE_S = 20.0
"""How long a test waits for what must happen; it takes a fraction of a second."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def until(holds: Callable[[], object]) -> None:
    """Wait for a condition; the test fails when it does not come about."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class Server:
    """One `lbctl dns serve` on loopback, IPv4 and IPv6."""

    def __init__(self, *arguments: str, port: int = 0, environment: Mapping[str, str] = {}) -> None:
        self.port = port or free_port()
        places = ("--listen", f"127.0.0.1:{self.port}", "--listen", f"[::1]:{self.port}")
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        command = [LBCTL, "dns", "serve", *places, *arguments]
        given = {**os.environ, **environment}
        self.process = subprocess.Popen(command, stderr=self._stderr, env=given)

    def dig(self, *arguments: str, at: str = "127.0.0.1") -> str:
        command = ["dig", f"@{at}", "-p", str(self.port), "+tries=1", "+time=5", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def short(self, host: str, rtype: str = "A") -> list[str]:
        return self.dig("+short", host, rtype).split()

    def udp(self, packet: bytes, timeout_s: float = PATIENCE_S) -> bytes | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect(("127.0.0.1", self.port))
            sock.send(packet)
            try:
                return sock.recv(65535)
            except TimeoutError:
                return None

    def tcp(self, packet: bytes) -> bytes:
        """Return the reply to one message on a connection of its own."""
        with self.connect() as sock, sock.makefile("rb") as stream:
            sock.sendall(len(packet).to_bytes(2) + packet)
            return stream.read(int.from_bytes(stream.read(2)))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def rcode(self, host: str) -> str:
        """Return how a name is answered now; empty while nothing listens."""
        try:
            reply = self.udp(nb.query(host), timeout_s=2.0)
        except ConnectionRefusedError:
            return ""
        return RCODES[reply[3] & 15] if reply else ""

    def log(self) -> str:
        """What the server wrote to standard error so far."""
        self._stderr.seek(0)
        return self._stderr.read().decode()

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def end(self) -> int:
        """End the server (safe to repeat) and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        if not self._stderr.closed:
            sys.stderr.write(self.log())
            self._stderr.close()
        return code


@contextlib.contextmanager
def serving(
    *arguments: str, port: int = 0, environment: Mapping[str, str] = {}
) -> Iterator[Server]:
    """A server that answers, ended afterwards whatever happened."""
    server = Server(*arguments, port=port, environment=environment)
    try:
        until(lambda: server.process.poll() is not None or server.rcode("lb.example"))
        assert server.process.poll() is None
        yield server
    finally:
        server.end()


def is_running(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    return False


def configuration(folder: Path, api_port: int, **further: object) -> tuple[str, ...]:
    """Write settings and kubeconfig; return the arguments that name them."""
    zones = {"subdomains": ["lb.example"], "nsAddresses": ["127.0.0.1", "::1"]}
    settings = {"nameservice": zones, **further}
    kubeconfig = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{api_port}"}}],
        "users": [{"name": "test", "user": {}}],
    }
    paths = folder / "settings.yaml", folder / "kubeconfig", folder / "state"
    paths[0].write_text(json.dumps(settings))
    paths[1].write_text(json.dumps(kubeconfig))
    names = ("--config", "--kubeconfig", "--state-dir")
    return tuple(str(word) for pair in zip(names, paths, strict=True) for word in pair)
