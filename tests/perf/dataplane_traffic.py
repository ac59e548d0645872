"""What clients of `make bench-dataplane` get by one path: connections, a stream, latencies."""

import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from dataplane_space import CLIENTS, entering, load_program

SECONDS, LATENCY_SECONDS, STREAM_SECONDS = 2.0, 0.5, 1.0
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


@dataclass(frozen=True)
class Traffic:
    """What one round gave."""

    per_s: float
    """New connections, each greeted."""
    failed: int
    p50_us: int
    p99_us: int
    """From connect() to the first byte, with one connection at a time."""
    mbit_s: float


def measure(way: Way) -> Traffic:
    """Send by one path: many connections at a time, one at a time, one stream."""
    many = _connect(way, SECONDS, OUTSTANDING)
    single = _connect(way, LATENCY_SECONDS, 1)
    stream = _load(way, "stream", way.sink, str(way.sink_port), str(STREAM_SECONDS))
    failed = many["failed"] + single["failed"]
    return Traffic(many["per_s"], failed, single["p50_us"], single["p99_us"], stream["mbit_s"])


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
