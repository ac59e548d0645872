"""What clients of `make bench-dataplane` get by one path: connections, a stream, latencies."""

import functools
import json
import resource
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataplane_space import CLIENTS, entering, load_program

SECONDS, LATENCY_SECONDS, STREAM_SECONDS = 1.5, 0.5, 1.0
OUTSTANDING = 32
GIVE_UP_S = 60.0


@dataclass(frozen=True)
class Way:
    """How a client reaches what a path serves."""

    space: str
    """The client's namespace."""
    address: str
    port: int
    sink: str
    """Where a stream goes."""
    sink_port: int
    programs: tuple[int, ...]
    """Processes that take part, but for the client: the pods', and the path's own."""


@dataclass(frozen=True)
class Traffic:
    """What one round gave."""

    per_s: float
    """New connections, each greeted."""
    cpu_us: float
    """CPU time of one, of all that takes part: a busy machine changes it little."""
    failed: int
    p50_us: int
    p99_us: int
    """From connect() to the first byte, with one connection at a time."""
    mbit_s: float


def measure(way: Way) -> Traffic:
    """Send by one path: many connections at a time, one at a time, one stream."""
    before_s = _cpu_s(way.programs)
    many = _connect(way, SECONDS, OUTSTANDING)
    cpu_us = (_cpu_s(way.programs) - before_s) * 1e6 / max(1, many["per_s"] * SECONDS)
    single = _connect(way, LATENCY_SECONDS, 1)
    stream = _load(way, "stream", way.sink, str(way.sink_port), str(STREAM_SECONDS))
    failed = many["failed"] + single["failed"]
    latencies = (single["p50_us"], single["p99_us"])
    return Traffic(many["per_s"], cpu_us, failed, *latencies, stream["mbit_s"])


def _cpu_s(programs: Iterable[int]) -> float:
    """Return the CPU time of processes, of the commands that ended, and of the kernel's threads.

    The kernel's part of a connection runs in whoever sends or in its threads for the rest of it;
    the scheduler's count of a process holds the former.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    tasks = (task for pid in programs for task in Path(f"/proc/{pid}/task").iterdir())
    counted = (*tasks, *_kernel_threads())
    ran_ns = sum(int((task / "schedstat").read_text().split()[0]) for task in counted)
    return ended.ru_utime + ended.ru_stime + ran_ns / 1e9


@functools.cache
def _kernel_threads() -> tuple[Path, ...]:
    names = Path("/proc").glob("[0-9]*/comm")
    return tuple(name.parent for name in names if name.read_text().startswith("ksoftirqd/"))


def wait(way: Way) -> None:
    """Return as soon as somebody greets."""
    deadline = time.monotonic() + GIVE_UP_S
    while not answers(way):
        if time.monotonic() > deadline:
            raise SystemExit(f"nobody answers at {way.address}:{way.port}")
        time.sleep(0.02)


def answers(way: Way) -> bool:
    """Tell whether somebody greets at once."""
    return bool(_connect(way, 0.1, 1)["per_s"])


def _connect(way: Way, seconds: float, outstanding: int) -> dict[str, Any]:
    first, count = CLIENTS
    own = (str(seconds), str(outstanding), str(first), str(count))
    return _load(way, "connect", way.address, str(way.port), *own)


def _load(way: Way, *words: str) -> dict[str, Any]:
    argv = entering(way.space, str(load_program()), *words)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=GIVE_UP_S)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()}")
    return dict(json.loads(done.stdout))
