"""Batches over real sockets: what compiled code and Python answer and count is the same."""

import asyncio
import socket
from collections.abc import Callable

import pytest

import dns_corpus
import event_loops
import nameserver_builders as nb
import nameserver_compiled
from dns_corpus import COOKIE, HOST, edns
from lbctl_dns import access, compiled, gate, handover, limit, message, server, tally, wire, zone

PACKETS = [
    nb.query(HOST),
    nb.query(HOST.upper(), flags=0x0100),
    nb.query(HOST, opt=edns(COOKIE)),
    nb.query("none.lb.example"),
    nb.query("none.at.all.lb.example", opt=edns(COOKIE)),
    nb.query("lb.example", zone.AAAA),
    nb.query("lb.example", zone.SOA),
    nb.query("big.lb.example"),
    nb.query("elsewhere.example"),
    *(seed.packet for seed in dns_corpus.SEEDS),
]
"""Numbered by `exchange`, so each reply shows what it is for."""
Drain = Callable[[], None]
MakeDrain = Callable[[socket.socket, wire.Responder], Drain]


def by_python(sock: socket.socket, responder: wire.Responder) -> Drain:
    return lambda: server.drain(sock, responder)


def by_compiled(sock: socket.socket, responder: wire.Responder) -> Drain:
    return compiled.drainer(sock, responder, handover.NOBODY)


def exchange(
    make: MakeDrain, packets: list[bytes], responder: wire.Responder, host: str = "127.0.0.1"
) -> dict[bytes, bytes]:
    """Send everything, drain until nothing is left, return the replies by their numbers."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_DGRAM) as ours,
        socket.socket(family, socket.SOCK_DGRAM) as client,
    ):
        ours.bind((host, 0))
        ours.setblocking(False)
        client.connect(ours.getsockname())
        client.settimeout(0)
        drain = make(ours, responder)
        for number, packet in enumerate(packets):
            client.send(number.to_bytes(2) + packet[2:])
        for _ in range(len(packets) // server.BATCH + 2):
            drain()
        return dict(received(client))


def received(client: socket.socket) -> list[tuple[bytes, bytes]]:
    found = []
    while True:
        try:
            reply = client.recv(65535)
        except BlockingIOError:
            return found
        found.append((reply[:2], reply))


@pytest.mark.parametrize("text", [dns_corpus.ZONE, dns_corpus.PLAIN_ZONE])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_replies_and_counts_are_the_same(text: str, host: str) -> None:
    packets = PACKETS * 3  # more than a batch
    while True:
        one, another = dns_corpus.responder(text), dns_corpus.responder(text)
        replies = exchange(by_compiled, packets, one, host)
        others = exchange(by_python, packets, another, host)
        if one.clerk.now_s == another.clerk.now_s:  # else cookies differ in their second
            break
    assert replies == others
    assert len(replies) > server.BATCH
    assert one.tally.counts() == another.tally.counts()


def test_python_answers_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.SWITCH, "python")
    assert compiled.engine() is None
    monkeypatch.setenv(compiled.SWITCH, "compiled")
    assert compiled.engine() is not None


def test_a_sample_of_batches_is_timed() -> None:
    responder = dns_corpus.responder()
    responder.tally.batches = server.TIMED - 1
    exchange(by_compiled, PACKETS[:7], responder)
    assert sum(responder.tally.buckets) == 7
    assert responder.tally.timed_ns > 0


def test_a_transfer_is_left_to_the_feed_process() -> None:
    ours, workers = handover.pair()
    responder = dns_corpus.responder()
    responder.gate = gate.Gate(access.Access(rules=(access.rule("127.0.0.0/8"),)))
    asking = nb.query("lb.example", message.IXFR)

    def make(sock: socket.socket, by: wire.Responder) -> Drain:
        return compiled.drainer(sock, by, handover.Desk(workers, [sock]))

    with ours, workers:
        assert not exchange(make, [asking], responder)
        left = handover.receive(ours)
    assert isinstance(left, handover.Datagram)
    assert (left.place, left.packet[2:], left.peer[0]) == (0, asking[2:], "127.0.0.1")


def test_who_limits_rates_answers_by_python() -> None:
    plain = dns_corpus.responder()
    limited = limit.Responder(plain.table, plain.clerk, limit.Rules(1, 0, 1))
    assert len(exchange(by_compiled, [PACKETS[0]] * 5, limited)) == 1


def test_what_is_no_table_is_refused_without_harm() -> None:
    responder = dns_corpus.responder()
    responder.table = tally.Tally()  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        nameserver_compiled.answer(responder, PACKETS[0], "127.0.0.1")


def test_an_error_in_python_passes_through_and_the_socket_goes_on() -> None:
    responder = dns_corpus.responder()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))
        ours.setblocking(False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(ours.getsockname())
            client.settimeout(5)
            drain = by_compiled(ours, responder)
            whole, responder.gate = responder.gate, None  # type: ignore[assignment]
            client.send(nb.query("lb.example", message.AXFR))
            with pytest.raises(AttributeError):
                drain()
            responder.gate = whole
            client.send(PACKETS[0])
            drain()
            assert client.recv(512)[2:4] == b"\x84\0"


def test_an_event_loop_can_call_it() -> None:
    async def scenario() -> None:
        responder = dns_corpus.responder()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.bind(("127.0.0.1", 0))
            ours.setblocking(False)
            asyncio.get_running_loop().add_reader(ours.fileno(), by_compiled(ours, responder))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.connect(ours.getsockname())
                client.setblocking(False)
                client.send(PACKETS[0])
                reply = await asyncio.get_running_loop().sock_recv(client, 512)
            assert reply[2:4] == b"\x84\0"
            asyncio.get_running_loop().remove_reader(ours.fileno())

    event_loops.run(scenario())
