"""How soon all workers of a running name server answer what an API server has just said."""

import asyncio
import contextlib
import io
import itertools
import multiprocessing
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from dns_servers import NAMES

import metrics_reader
import nameserver_builders as nb
from nameserver_process import Server, configuration, free_port, serving, until

HOST = "kuard.default.lb.example"
PORTS = 8
"""Source ports that ask: the kernel spreads them over the workers."""
WORKERS = 2
SETTLE_S = 0.02
VISIBLE = "lbctl_dns_visible_seconds"


def _api(control: Connection) -> None:
    """Run an API server; a number that arrives becomes a change, its moment goes back."""

    async def body() -> None:
        api = nb.NamesApi()
        for number in range(NAMES):
            await api.put(nb.decision(f"svc-{number}", _address(number)))
        await api.start()
        control.send(api.port)
        loop = asyncio.get_running_loop()
        while (number := await loop.run_in_executor(None, control.recv)) is not None:
            decided = nb.decision("kuard", _address(number))
            before = api.told_at
            await api.put(decided)
            while api.told_at == before:  # noqa: ASYNC110 - one turn of the loop away
                await asyncio.sleep(0)
            control.send(api.told_at)
        await api.stop()

    asyncio.run(body())


def _address(number: int) -> str:
    return f"198.18.{number >> 8 & 255}.{number & 255}"


@contextlib.contextmanager
def _api_server() -> Iterator[tuple[Connection, int]]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_api, args=(theirs,))
    process.start()
    try:
        yield ours, ours.recv()
    finally:
        ours.send(None)
        process.join()


@contextlib.contextmanager
def _loaded(port: int, qps: int, folder: Path) -> Iterator[None]:
    queries = folder / "load"
    queries.write_text("".join(f"svc-{n}.default.lb.example A\n" for n in range(NAMES)))
    command = ("dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries), "-l", "3600",
               "-Q", str(qps), "-c", "16", "-q", "200")  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class Seen:
    """How soon changes were visible, in seconds."""

    took_s: list[float]
    """From the event's leaving the API server until every port was answered with it."""
    bare_s: list[float]
    """What asking all ports takes when nothing changes, right after each change."""
    counted: float
    """Changes that the server counted: from the event's arrival to the last worker's word."""
    in_time: float
    """Those of them that took 2 ms at most."""


def measure(changes: int, qps: int) -> Seen:
    """Make changes one by one and see how soon each is answered."""
    with contextlib.ExitStack() as stack:
        # The server's log, a line for each change, is no part of the result.
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        control, api_port = stack.enter_context(_api_server())
        told = free_port()
        settings = configuration(folder, api_port, metrics={"port": told})
        arguments = (*settings, "--workers", str(WORKERS))
        server: Server = stack.enter_context(serving(*arguments))
        until(lambda: server.rcode(f"svc-{NAMES - 1}.default.lb.example") == "NOERROR")
        sockets = [stack.enter_context(_asking(server.port)) for _ in range(PORTS)]
        stack.enter_context(_loaded(server.port, qps, folder))
        time.sleep(1.0)
        found = [_change(control, sockets, number) for number in range(changes)]
        own = asyncio.run(metrics_reader.scrape(told))
        return Seen(
            [took_s for took_s, _ in found],
            [bare_s for _, bare_s in found],
            own.value(VISIBLE + "_count"),
            own.value(VISIBLE + "_bucket", le="0.002"),
        )


def _asking(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(0.2)
    sock.connect(("127.0.0.1", port))
    return sock


def _change(control: Connection, sockets: list[socket.socket], number: int) -> tuple[float, float]:
    """Return the seconds until a change was seen, and those of the round trips alone."""
    wanted = socket.inet_aton(_address(number))
    control.send(number)
    _ask_all(sockets, wanted)
    seen = time.monotonic()
    moment = float(control.recv())
    time.sleep(SETTLE_S)
    began = time.monotonic()
    _ask_all(sockets, wanted)
    return seen - moment, time.monotonic() - began


def _ask_all(sockets: list[socket.socket], wanted: bytes) -> None:
    """Ask through one port after the other, each until it is answered as wanted."""
    for sock in sockets:
        for turn in itertools.count():
            if _asked(sock, turn).endswith(wanted):
                break


def _asked(sock: socket.socket, turn: int) -> bytes:
    packet = turn.to_bytes(4)[2:] + nb.query(HOST)[2:]
    try:
        sock.send(packet)
        while (reply := sock.recv(512))[:2] != packet[:2]:
            pass
    except TimeoutError:
        return b""
    return reply
