"""`make bench-monitors`: what thousands of health monitors cost an agent, and how soon they tell.

One prober as in the agent, against servers in a process of their own on the loopback (each target
has an address of its own in 127.0.0.0/8). CPU is of the prober's process alone.
"""

import asyncio
import contextlib
import ipaddress
import resource
import signal
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import click

from lbctl.model.monitors import Kind, Monitor
from lbctl.model.virtual_service import Listener, Phase, Policy, ServiceRef, VirtualService
from lbctl_dataplane import agent, metrics
from lbctl_dataplane.monitors import prober
from lbctl_dataplane.rules.frontend import Frontend, Member, Place

PORT = 18080
MEMBERS = 5
"""Of each virtual service."""
KINDS = (Kind.TCP, Kind.HALF_OPEN, Kind.UDP, Kind.HTTP, Kind.HTTPS)
SWIFT = Monitor(Kind.HTTP, interval_ms=1000, timeout_ms=400, fall=3, jitter_percent=0)
SERVERS = """
import asyncio, resource, ssl, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
class Http(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nalive")
        self.transport.close()
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, peer):
        self.transport.sendto(data, peer)
async def main(port, pair):
    loop = asyncio.get_running_loop()
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secure.load_cert_chain(pair)
    await loop.create_server(Http, "0.0.0.0", port, backlog=4096)
    await loop.create_server(Http, "0.0.0.0", port + 1, backlog=4096, ssl=secure)
    await loop.create_datagram_endpoint(Echo, ("0.0.0.0", port))
    print("up", flush=True)
    await asyncio.sleep(3600)
asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
"""


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the members until the block ends."""
    pair = folder / "member.pem"
    subject = ["-subj", "/CN=member", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    files = ["-keyout", str(pair), "-out", str(folder / "c.pem")]
    argv = ["openssl", "req", "-x509", "-nodes", "-days", "1", *subject, *files]
    subprocess.run(argv, check=True, capture_output=True)
    pair.write_text(pair.read_text() + (folder / "c.pem").read_text())
    argv = [sys.executable, "-c", SERVERS, str(PORT), str(pair)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            yield child
        finally:
            child.send_signal(signal.SIGCONT)
            child.kill()


def wanted(count: int, monitor: Monitor) -> tuple[list[VirtualService], tuple[Frontend, ...]]:
    """Return virtual services with so many members in all."""
    port = PORT + (monitor.kind is Kind.HTTPS)
    protocol = "UDP" if monitor.kind is Kind.UDP else "TCP"
    first = int(ipaddress.IPv4Address("127.1.0.1"))
    services, frontends = [], []
    for number in range(count // MEMBERS):
        reference = ServiceRef("default", f"s{number}", str(number))
        listeners = (Listener("", protocol, 80, "pool"),)
        policy = Policy(monitor=monitor)
        services.append(
            VirtualService(reference, reference.key, Phase.SERVING, (), listeners, policy)
        )
        place = Place(ipaddress.ip_address("198.18.0.0") + number, protocol, 80)
        own = (first + number * MEMBERS + n for n in range(MEMBERS))
        members = tuple(Member(ipaddress.IPv4Address(one), port) for one in own)
        frontends.append(Frontend(reference.key, place, members))
    return services, tuple(frontends)


@contextlib.asynccontextmanager
async def probing(count: int, monitor: Monitor) -> AsyncIterator[tuple[prober.Prober, "Seen"]]:
    """Probe until the block ends."""
    kept = metrics.Metrics("node", "node")
    made, (services, frontends) = prober.Prober(kept.probes), wanted(count, monitor)
    seen = Seen()
    made.judge(services, frontends)

    woken = asyncio.Event()

    async def passes() -> None:
        """Look when woken, at the agent's pace."""
        while True:
            await woken.wait()
            woken.clear()
            await asyncio.sleep(agent.SETTLE_S)
            seen.take(len(made.judge(services, frontends).failing))
            await asyncio.sleep(agent.LEAST_REST_S)

    tasks = [asyncio.ensure_future(one) for one in (made.follow(woken.set), passes())]
    try:
        yield made, seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        seen.results = {
            ",".join(sample.labels.values()): int(sample.value)
            for family in kept.registry.collect()
            if family.name == "lbctl_agent_probes"
            for sample in family.samples
        }


class Seen:
    """How many members failed when."""

    def __init__(self) -> None:
        self.at: list[float] = []
        """One moment for each member, in order."""
        self.results: dict[str, int] = {}
        self._news = asyncio.Event()

    def take(self, failing: int) -> None:
        now = asyncio.get_running_loop().time()
        self.at += [now] * (failing - len(self.at))
        self._news.set()

    async def until(self, failing: int) -> None:
        """Wait until so many fail."""
        while len(self.at) < failing:
            self._news.clear()
            await self._news.wait()


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_kib() -> int:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1])


async def cost(kind: Kind, count: int, seconds: float) -> None:
    """Print what so many targets cost at the default interval."""
    before_kib = resident_kib()
    async with probing(count, Monitor(kind)) as (_, seen):
        await asyncio.sleep(Monitor(kind).interval_ms / 1000)
        began = cpu_s()
        await asyncio.sleep(seconds)
        used, now_kib = cpu_s() - began, resident_kib()
    rate = count / (Monitor(kind).interval_ms / 1000) / 0.95  # with jitter
    print(
        f"{kind.value:<10}{count:>8}{rate:>10.0f}{100 * used / seconds:>8.1f}"
        f"{1e6 * used / seconds / rate:>10.0f}{(now_kib - before_kib) / 1024:>9.1f}"
        f"{now_kib / 1024:>8.1f}  {seen.results}"
    )


@contextlib.asynccontextmanager
async def lateness() -> AsyncIterator[list[float]]:
    """Yield how late, each time, a timer of this process was: a busy machine spoils the figures."""
    found, clock = [0.0], asyncio.get_running_loop().time

    async def look() -> None:
        while True:
            began = clock()
            await asyncio.sleep(0.01)
            found.append(clock() - began - 0.01)

    task = asyncio.ensure_future(look())
    try:
        yield found
    finally:
        task.cancel()


async def promptness(kind: str, count: int, child: subprocess.Popen[str]) -> None:
    """Print how long after all members died each was known to fail."""
    async with probing(count, SWIFT) as (_, seen):
        await asyncio.sleep(2.5)
        died = asyncio.get_running_loop().time()
        child.send_signal(signal.SIGSTOP if kind == "hang" else signal.SIGKILL)
        async with lateness() as lags:
            await seen.until(count)
    took = sorted(at - died for at in seen.at)
    bound = SWIFT.fall * SWIFT.interval_ms / 1000
    late = sum(one > bound + 0.1 for one in took)
    lag = f"loop late by up to {1000 * max(lags):.0f} ms"
    print(
        f"{count} members {kind}: known after p50 {statistics.median(took):.2f} s, "
        f"last {took[-1]:.2f} s; bound {bound:.1f} + 0.1 s, beyond it: {late}; {lag}  "
        f"{seen.results}"
    )
    child.send_signal(signal.SIGCONT)


@click.command()
@click.option("--sizes", default="1000,5000", show_default=True)
@click.option("--seconds", default=15.0, show_default=True)
def main(sizes: str, seconds: float) -> None:
    """Measure CPU, memory and promptness of health monitors."""
    import tempfile

    prober.allow_many_files()
    print(
        f"{'kind':<10}{'members':>8}{'probes/s':>10}{'CPU %':>8}{'us/probe':>10}"
        f"{'+MiB':>9}{'MiB':>8}  results"
    )
    with tempfile.TemporaryDirectory() as name, servers(Path(name)) as child:
        for count in map(int, sizes.split(",")):
            for kind in KINDS:
                asyncio.run(cost(kind, count, seconds))
        asyncio.run(promptness("hang", 1000, child))
        asyncio.run(promptness("refuse", 1000, child))


if __name__ == "__main__":
    main()
