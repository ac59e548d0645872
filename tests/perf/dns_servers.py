"""The name servers that benchmarks compare: each started on one zone file, on one core."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nameserver_builders as nb
import nameserver_compiled
from lbctl_lab import binaries, progress
from nameserver_process import free_port

NAMES = 10_000
SERVER_CORE, CLIENT_CORE = "0", "1"
GIVE_UP_S = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Load:
    """What dnsperf sends."""

    name: str
    query: str
    """One line of its input; `{n}` is the number of the name."""
    options: tuple[str, ...] = ()
    rcode: str = "NOERROR"


LOADS = (
    Load("A", "svc-{n}.default.lb.example A"),
    Load("A, EDNS + cookie", "svc-{n}.default.lb.example A", ("-e", "-E", "10:0102030405060708")),
    Load("NXDOMAIN", "no-{n}.default.lb.example A", rcode="NXDOMAIN"),
)


@dataclass(frozen=True)
class Running:
    """One server that answers."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu_s(self) -> float:
        """Return the CPU time of the server and all its children, user and system."""
        return sum(_cpu_s(pid) for pid in tree(self.process.pid))

    def rss_mb(self) -> float:
        """Return the memory of the server and all its children."""
        return sum(_rss_mb(pid) for pid in tree(self.process.pid))


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in tree(int(child)))]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


def write_zone(path: Path, count: int) -> None:
    """Write a zone of so many A records."""
    head = (
        "$ORIGIN lb.example.\n$TTL 5\n"
        "@ IN SOA ns1.lb.example. hostmaster.lb.example. 1 10800 3600 86400 5\n"
        "@ IN NS ns1.lb.example.\nns1 IN A 127.0.0.1\n"
    )
    lines = (f"svc-{n}.default IN A 198.18.{n >> 8 & 255}.{n & 255}\n" for n in range(count))
    path.write_text(head + "".join(lines))


Command = Callable[[Path, Path, int], tuple[str, ...]]
"""From a folder for its files, the zone file and a port to what starts a server."""


def lbctl(_: Path, zone: Path, port: int) -> tuple[str, ...]:
    """Return the command of ours, in Python alone."""
    return _lbctl("python", zone, port)


def lbctl_compiled(_: Path, zone: Path, port: int) -> tuple[str, ...]:
    """Return the command of ours, with the shortest path compiled."""
    return _lbctl("compiled", zone, port)


def _lbctl(engine: str, zone: Path, port: int) -> tuple[str, ...]:
    program = str(Path(sys.executable).with_name("lbctl"))
    return (
        "env",
        *(f"{name}={value}" for name, value in nameserver_compiled.environment(engine).items()),
        program,
        "dns",
        "serve",
        "--zone",
        f"lb.example={zone}",
        "--listen",
        f"127.0.0.1:{port}",
    )


def nsd(folder: Path, zone: Path, port: int) -> tuple[str, ...]:
    """Return the command of NSD with one server."""
    path = folder / "nsd.conf"
    path.write_text(
        f"server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: root\n"
        " rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\n"
        f' zonesdir: "{folder}"\n database: ""\n pidfile: "{folder}/nsd.pid"\n'
        f' xfrdfile: "{folder}/xfrd.state"\n zonelistfile: "{folder}/zone.list"\n'
        "remote-control:\n control-enable: no\n"
        f'zone:\n name: lb.example\n zonefile: "{zone}"\n'
    )
    return ("/usr/sbin/nsd", "-d", "-c", str(path))


def knot(folder: Path, zone: Path, port: int) -> tuple[str, ...]:
    """Return the command of Knot with one UDP worker."""
    path = folder / "knot.conf"
    path.write_text(
        f'server:\n  rundir: "{folder}"\n  listen: 127.0.0.1@{port}\n'
        "  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
        f'database:\n  storage: "{folder}/knot"\n'
        f'template:\n - id: default\n   storage: "{folder}"\n   zonefile-sync: -1\n'
        f'zone:\n - domain: lb.example\n   file: "{zone}"\n'
    )
    return ("/usr/sbin/knotd", "-c", str(path))


def _coredns(folder: Path, port: int, name: str, plugins: str) -> tuple[str, ...]:
    path = folder / name
    path.write_text(f"lb.example:{port} {{\n bind 127.0.0.1\n{plugins}}}\n")
    program = binaries.built(binaries.COREDNS, progress.Progress()) / "coredns"
    return (str(program), "-conf", str(path))


def coredns(folder: Path, zone: Path, port: int) -> tuple[str, ...]:
    """Return the command of CoreDNS as its `file` plug-in comes."""
    return _coredns(folder, port, "Corefile", f" file {zone}\n")


def coredns_tuned(folder: Path, zone: Path, port: int) -> tuple[str, ...]:
    """Return the command of CoreDNS with `minimal` and `cache`."""
    return _coredns(folder, port, "Corefile.tuned", f" minimal\n cache 5\n file {zone}\n")


def coredns_cached(folder: Path, zone: Path, port: int) -> tuple[str, ...]:
    """Return the command of CoreDNS at its very best: the same, and a cache for all names."""
    cache = f" cache 5 {{\n  success {2 * NAMES}\n  denial {2 * NAMES}\n }}\n"
    return _coredns(folder, port, "Corefile.cached", f" minimal\n{cache} file {zone}\n")


SERVERS: dict[str, Command] = {
    "lbctl": lbctl,
    "lbctl compiled": lbctl_compiled,
    "CoreDNS": coredns,
    "CoreDNS tuned": coredns_tuned,
    "CoreDNS all cached": coredns_cached,
    "NSD": nsd,
    "Knot": knot,
}


@contextlib.contextmanager
def serving(name: str, folder: Path, zone: Path) -> Iterator[Running]:
    """Start a server, wait until it answers, end it afterwards."""
    folder.mkdir()
    port = free_port()
    command = SERVERS[name](folder, zone, port)
    with (folder / "log").open("wb") as log:
        pinned = ("taskset", "-c", SERVER_CORE, *command)
        environment = {**os.environ, "GOMAXPROCS": "1"}
        process = subprocess.Popen(pinned, stdout=log, stderr=log, env=environment)
        try:
            end = time.monotonic() + GIVE_UP_S
            while not answers(port):
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{name}: {(folder / 'log').read_text()[-2000:]}")
            yield Running(name, port, process)
        finally:
            process.terminate()
            process.wait()


def answers(port: int, host: str = "svc-0.default.lb.example") -> bool:
    """Tell whether a name is answered, with an address."""
    return ask(port, host) is not None


def ask(port: int, host: str) -> bytes | None:
    """Return the last four bytes of a NOERROR reply, None when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        try:
            sock.connect(("127.0.0.1", port))
            sock.send(nb.query(host))
            reply = sock.recv(4096)
        except OSError:
            time.sleep(0.02)
            return None
    return reply[-4:] if reply[3] & 15 == 0 and reply[6:8] != b"\0\0" else None


@dataclass(frozen=True)
class Measured:
    """One run of dnsperf against one server."""

    completed: int
    lost: int
    cpu_s: float

    @property
    def per_cpu_s(self) -> float:
        """Queries answered for each second of CPU time that the server took."""
        return self.completed / self.cpu_s


def measure(server: Running, load: Load, queries: Path, seconds: float) -> Measured:
    """Put a load on a server. Raises RuntimeError when it gives other answers than it should."""
    command = (
        "taskset", "-c", CLIENT_CORE, "dnsperf", "-s", "127.0.0.1", "-p", str(server.port),
        "-d", str(queries), "-c", "16", "-q", "200", "-t", "2", *load.options,
    )  # fmt: skip
    # All names once beforehand: a server with a cache is measured with the cache full.
    subprocess.run((*command, "-n", "1"), capture_output=True, check=True)
    before = server.cpu_s()
    measured = (*command, "-l", str(seconds))
    done = subprocess.run(measured, capture_output=True, text=True, check=True).stdout
    cpu_s = server.cpu_s() - before
    found = {name: int(number) for name, number in re.findall(r"Queries (\w+):\s+(\d+)", done)}
    codes = re.findall(r"([A-Z]+) \d+ \(([\d.]+)%\)", done)
    if [rcode for rcode, _ in codes] != [load.rcode]:
        raise RuntimeError(f"{server.name}, {load.name}: answered {codes}")
    return Measured(found["completed"], found["lost"], cpu_s)
