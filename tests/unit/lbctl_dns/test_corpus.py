"""Every message of the corpus: the reply that is due, after a bounded number of steps."""

import contextlib
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

import dns_corpus
import dns_messages
from dns_corpus import SEEDS, Seed
from lbctl_dns import careful, server, wire

RESPONDER = dns_corpus.responder()
MOST_LINES = 2000
"""Lines of Python that one datagram may cost; `make bench-dns-bad` says what that is in time."""


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_a_message_gets_what_is_due_and_nothing_else(seed: Seed) -> None:
    reply = RESPONDER.answer(seed.packet[: server.MAX_QUERY], wire.UDP, "192.0.2.1")
    if seed.rcode is None:
        assert reply is None
        return
    assert reply is not None
    assert (reply[:2], reply[3] & 15) == (seed.packet[:2], seed.rcode)
    message = dns_messages.read(reply)
    assert len(reply) <= (1232 if message.opts else 512)
    assert reply == careful.answer(
        RESPONDER.table, seed.packet, wire.UDP, RESPONDER.clerk, "192.0.2.1"
    )


class Steps:
    """Counts the lines that run."""

    def __init__(self) -> None:
        self.lines = 0

    def __call__(self, frame: FrameType, event: str, arg: object) -> "Steps":
        self.lines += event == "line"
        return self


@contextlib.contextmanager
def counted() -> Iterator[Steps]:
    steps, before = Steps(), sys.gettrace()
    sys.settrace(steps)
    try:
        yield steps
    finally:
        sys.settrace(before)


def lines_of(packet: bytes, zone: str) -> int:
    responder = dns_corpus.responder(zone)
    with counted() as steps:
        responder.answer(packet, wire.UDP, "192.0.2.1")
    return steps.lines


ZONES = pytest.mark.parametrize(
    "zone", [dns_corpus.ZONE, dns_corpus.PLAIN_ZONE], ids=["mixed", "plain"]
)


@ZONES
@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_a_message_costs_a_bounded_number_of_steps(seed: Seed, zone: str) -> None:
    assert lines_of(seed.packet, zone) <= MOST_LINES


GROWING: dict[str, Any] = {
    "pointers": lambda n: dns_corpus.HEAD + b"\xc0\x0c" * n,
    "labels": lambda n: dns_corpus.HEAD + b"\1a" * n + b"\0" + dns_corpus.KIND,
    "bytes behind": lambda n: dns_corpus.GOOD + bytes(n),
    "options": lambda n: dns_corpus.nb.query(
        dns_corpus.HOST, opt=dns_corpus.edns(dns_corpus.option(100) * n)
    ),
}


@ZONES
@pytest.mark.parametrize("what", GROWING)
def test_past_a_point_more_of_it_costs_no_more_steps(what: str, zone: str) -> None:
    some, more = (GROWING[what](number) for number in (1000, 16000))
    assert lines_of(some, zone) == lines_of(more, zone) <= MOST_LINES
