"""The running server is sent the whole corpus, by UDP and TCP, and answers on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import dns_corpus
import dns_messages
import nameserver_compiled
from dns_corpus import GOOD, SEEDS, Seed
from nameserver_process import Server, serving

ROUNDS = 20


@pytest.fixture(scope="module", params=nameserver_compiled.ENGINES)
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    path = Path(tmp_path_factory.mktemp("zones") / "lb.example")
    path.write_text(dns_corpus.ZONE)
    engine = nameserver_compiled.environment(request.param)
    with serving("--zone", f"lb.example={path}", environment=engine) as found:
        workers = found.workers()
        yield found
        assert found.workers() == workers, "a worker died"


def is_due(seed: Seed, reply: bytes) -> bool:
    dns_messages.read(reply)
    return (reply[:2], reply[3] & 15) == (seed.packet[:2], seed.rcode)


@pytest.mark.parametrize("seed", [one for one in SEEDS if one.rcode is not None], ids=str)
def test_each_datagram_gets_what_is_due(server: Server, seed: Seed) -> None:
    reply = server.udp(seed.packet)
    assert reply is not None
    assert is_due(seed, reply)


def test_silence_is_kept_and_the_next_query_answered(server: Server) -> None:
    for seed in (one for one in SEEDS if one.rcode is None):
        assert server.udp(seed.packet, timeout_s=0.05) is None
    reply = server.udp(GOOD)
    assert reply is not None
    assert reply[2:4] == b"\x84\0"


def test_one_connection_takes_all_of_it_between_good_queries(server: Server) -> None:
    sent = [packet for seed in SEEDS * ROUNDS for packet in (seed.packet, GOOD)]
    framed = b"".join(len(packet).to_bytes(2) + packet for packet in sent)
    with server.connect() as sock, sock.makefile("rb") as stream:
        sock.sendall(framed)
        for seed in SEEDS * ROUNDS:
            reply = stream.read(int.from_bytes(stream.read(2)))
            if seed.rcode is not None:
                assert is_due(seed, reply)
                reply = stream.read(int.from_bytes(stream.read(2)))
            assert reply[2:4] == b"\x84\0"
