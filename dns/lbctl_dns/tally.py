"""Counts of what a worker answered, per transport, and their form on the way to the feed. Pure.

The hot path counts next to nothing: queries by the batch, and of their outcomes only those that did
not take the shortest path (`wire.Responder`); plain answers are what is left. Times are a sample.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from lbctl_dns import lookup

BUCKETS_NS = (2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 512000, 1_000_000, 10_000_000)
"""Upper bounds of the time that a query may take; one more bucket is above them all."""
RCODES = 16
_BUCKETS = len(BUCKETS_NS) + 1
_SINGLE = 6
"""Numbers between the rcodes and the buckets."""
_LENGTH = RCODES + _SINGLE + _BUCKETS


@dataclass(frozen=True, slots=True)
class Counts:
    """What one transport did."""

    rcodes: tuple[int, ...] = (0,) * RCODES
    """Replies by rcode."""
    unanswered: int = 0
    """Messages that got silence."""
    slow: int = 0
    """Messages that took the complete path."""
    truncated: int = 0
    """Replies that did not fit."""
    slipped: int = 0
    """Replies that rate limiting made into `ask by TCP`."""
    dropped: int = 0
    """Replies that rate limiting withheld."""
    timed_ns: int = 0
    """Time that the queries in `buckets` took."""
    buckets: tuple[int, ...] = (0,) * _BUCKETS
    """A sample of queries by the time that each took."""

    def __add__(self, other: "Counts") -> "Counts":
        """Return the sum."""
        pairs = zip(_numbers(self), _numbers(other), strict=True)
        return _from_numbers(tuple(one + another for one, another in pairs))


@dataclass(frozen=True, slots=True)
class Totals:
    """What a worker did in its life, or all of them."""

    udp: Counts = Counts()
    tcp: Counts = Counts()
    cpu_ns: int = 0


class Tally:
    """Counts one transport of one worker."""

    __slots__ = (
        "batches", "buckets", "dropped", "nxdomain", "queries", "rcodes", "slipped", "slow",
        "timed_ns", "truncated",
    )  # fmt: skip

    def __init__(self) -> None:
        self.batches = 0
        self.queries = 0
        self.nxdomain = 0
        """Denials on the short path."""
        self.truncated = 0
        self.slipped = self.dropped = 0
        self.slow = 0
        self.rcodes = [0] * (RCODES + 1)
        """Of the complete path; the last one stands for silence."""
        self.buckets = [0] * _BUCKETS
        self.timed_ns = 0

    def timed(self, took_ns: int) -> None:
        """Take the time of one query of the sample."""
        self.timed_ns += took_ns
        self.buckets[bisect_left(BUCKETS_NS, took_ns)] += 1

    def careful(self, reply: bytes | None) -> None:
        """Count what the complete path gave; what the feed process answers is counted there."""
        self.slow += 1
        if reply is None:
            self.rcodes[RCODES] += 1
        elif reply:
            self.rcodes[reply[3] & 15] += 1
            self.truncated += reply[2] >> 1 & 1

    def counts(self) -> Counts:
        """Return what was counted so far; to be asked between two batches."""
        *rcodes, unanswered = self.rcodes
        rcodes[lookup.NXDOMAIN] += self.nxdomain
        rcodes[lookup.NOERROR] += self.queries - self.nxdomain - self.slow
        return Counts(
            tuple(rcodes),
            unanswered,
            self.slow,
            self.truncated,
            self.slipped,
            self.dropped,
            self.timed_ns,
            tuple(self.buckets),
        )


MESSAGE = struct.Struct(f">Q{2 * _LENGTH}Q")
"""Totals as they travel; no acknowledgement has this size."""


def render(of: Totals) -> bytes:
    """Return a worker's totals as they travel."""
    return MESSAGE.pack(of.cpu_ns, *_numbers(of.udp), *_numbers(of.tcp))


def parse(message: bytes) -> Totals:
    """Return what a message of that size says."""
    cpu_ns, *numbers = MESSAGE.unpack(message)
    udp, tcp = tuple(numbers[:_LENGTH]), tuple(numbers[_LENGTH:])
    return Totals(_from_numbers(udp), _from_numbers(tcp), cpu_ns)


def total(of: Iterable[Totals]) -> Totals:
    """Return the sum over workers."""
    udp, tcp, cpu_ns = Counts(), Counts(), 0
    for one in of:
        udp, tcp, cpu_ns = udp + one.udp, tcp + one.tcp, cpu_ns + one.cpu_ns
    return Totals(udp, tcp, cpu_ns)


def _numbers(of: Counts) -> tuple[int, ...]:
    single = of.unanswered, of.slow, of.truncated, of.slipped, of.dropped, of.timed_ns
    return (*of.rcodes, *single, *of.buckets)


def _from_numbers(numbers: tuple[int, ...]) -> Counts:
    middle = RCODES + _SINGLE
    unanswered, slow, truncated, slipped, dropped, timed_ns = numbers[RCODES:middle]
    return Counts(
        numbers[:RCODES],
        unanswered,
        slow,
        truncated,
        slipped,
        dropped,
        timed_ns,
        numbers[middle:],
    )
