"""What workers count, against a count of their replies one by one."""

import collections
import socket

import pytest

import nameserver_builders as nb
from lbctl_dns import metrics, server, tally, wire, zone

HOST = "kuard.default.lb.example"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
QUERIES = {
    "a hit": nb.query(HOST),
    "a hit with EDNS": nb.query(HOST, opt=OPT),
    "a denial of the name": nb.query("no.default.lb.example"),
    "a denial of the type": nb.query(HOST, zone.AAAA),
    "a zone of others": nb.query("example.org"),
    "any type": nb.query(HOST, zone.ANY),
    "another class": nb.query(HOST, rclass=3),
    "an update": nb.query(HOST, flags=0x2800),
    "a status query": nb.query(HOST, flags=0x1000),
    "no question": nb.query(HOST)[:12],
    "a reply": nb.query(HOST, flags=0x8000),
    "too short": b"\x12",
    "too much for UDP": nb.query("many.default.lb.example"),
}


def responder(*, loaded: bool = True) -> wire.Responder:
    many = [f"192.0.2.{n}" for n in range(1, 200)]
    records = (*nb.sets(HOST, "192.0.2.1"), *nb.sets("many.default.lb.example", *many))
    return nb.responder(*records, loaded=loaded)


def exchanged(answering: wire.Responder, *queries: bytes) -> list[bytes]:
    """Send queries to a socket, drain it, and return the replies."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
    ):
        ours.bind(("127.0.0.1", 0))
        theirs.bind(("127.0.0.1", 0))
        for sock in (ours, theirs):
            sock.setblocking(False)
        for query in queries:
            theirs.sendto(query, ours.getsockname())
        while answering.tally.queries < len(queries):
            server.drain(ours, answering)
        replies = []
        while True:
            try:
                replies.append(theirs.recv(65535))
            except BlockingIOError:
                return replies


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("what", QUERIES)
def test_each_query_counts_once_by_what_was_said(what: str, *, loaded: bool) -> None:
    answering = responder(loaded=loaded)
    replies = exchanged(answering, QUERIES[what])
    counts = answering.tally.counts()
    assert sum(counts.rcodes) + counts.unanswered == 1
    assert counts.unanswered == (0 if replies else 1)
    assert [rcode for rcode, number in enumerate(counts.rcodes) if number] == [
        reply[3] & 15 for reply in replies
    ]
    assert counts.truncated == sum(reply[2] >> 1 & 1 for reply in replies)


def test_a_mix_larger_than_a_batch_adds_up() -> None:
    answering = responder()
    queries = [*QUERIES.values()] * 12
    replies = exchanged(answering, *queries)
    counts = answering.tally.counts()
    said = collections.Counter(reply[3] & 15 for reply in replies)
    assert {rcode: number for rcode, number in enumerate(counts.rcodes) if number} == said
    assert counts.unanswered == len(queries) - len(replies)
    assert sum(counts.rcodes) + counts.unanswered == len(queries) > server.BATCH


def test_what_comes_from_a_ready_made_reply_is_not_slow() -> None:
    answering = responder()
    exchanged(answering, *(QUERIES[what] for what in ("a hit", "a denial of the name")))
    assert answering.tally.counts().slow == 0
    exchanged(answering, QUERIES["any type"], QUERIES["a hit"], QUERIES["too short"])
    assert answering.tally.counts().slow == 2


def test_an_empty_socket_counts_nothing() -> None:
    answering = responder()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        server.drain(sock, answering)
    assert answering.tally.counts() == tally.Counts()


@pytest.mark.parametrize(
    ("took_ns", "bucket"), [(1, 0), (2000, 0), (2001, 1), (10_000_000, 10), (10_000_001, 11)]
)
def test_a_time_counts_in_its_bucket(took_ns: int, bucket: int) -> None:
    counted = tally.Tally()
    counted.timed(took_ns)
    assert counted.buckets[bucket] == 1
    assert counted.counts().timed_ns == took_ns


@pytest.mark.parametrize("what", QUERIES)
def test_a_timed_batch_counts_and_says_what_others_do(what: str) -> None:
    plain, timed = responder(), responder()
    timed.tally.batches = server.TIMED - 1
    queries = [QUERIES[what]] * 3
    assert exchanged(timed, *queries) == exchanged(plain, *queries)
    (counts, others) = (timed.tally.counts(), plain.tally.counts())
    assert counts.rcodes == others.rcodes
    assert counts.unanswered == others.unanswered
    assert sum(counts.buckets) == 3
    assert counts.timed_ns > 0
    assert sum(others.buckets) == 0


def test_counts_survive_their_way_to_the_feed_and_add_up() -> None:
    answering = responder()
    exchanged(answering, *QUERIES.values())
    totals = tally.Totals(answering.tally.counts(), tally.Counts(slow=7), 5)
    assert tally.parse(tally.render(totals)) == totals
    both = tally.total([totals, totals, tally.Totals()])
    assert both.udp.slow == 2 * totals.udp.slow
    assert both.udp.rcodes == tuple(2 * number for number in totals.udp.rcodes)
    assert (both.tcp.slow, both.cpu_ns) == (14, 10)


def test_an_rcode_without_a_name_is_shown_by_its_number() -> None:
    counted = tally.Tally()
    counted.queries += 1
    counted.careful(b"\0\0\x80\x0a")
    (queries, *_) = metrics.counted(tally.Totals(udp=counted.counts()))
    assert {sample.labels["rcode"] for sample in queries.samples if sample.value} == {"RCODE10"}
