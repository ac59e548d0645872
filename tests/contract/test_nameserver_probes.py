"""What an authoritative server must answer, asked of the running one byte by byte, UDP and TCP."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import dns_messages
import nameserver_builders as nb
import nameserver_compiled
from dns_messages import TYPES, Message
from nameserver_process import Server, serving

ZONE = """\
$TTL 5
@ IN SOA ns1 hostmaster 7 10800 3600 86400 5
@ IN NS ns1
@ IN NS ns2
ns1 IN A 127.0.0.1
ns1 IN AAAA ::1
ns2 IN A 127.0.0.2
kuard.default IN A 192.0.2.10
kuard.default IN AAAA 2001:db8::10
v4only.default IN A 192.0.2.11
*.apps IN A 192.0.2.12
_http._tcp.kuard.default IN SRV 0 0 80 kuard.default.lb.example.
"""
BIG = "".join(f"big.default IN A 192.0.3.{n}\n" for n in range(60))
HUGE = "".join(f"huge.default IN A 192.0.4.{n}\n" for n in range(200))
REVERSE = """\
$TTL 5
@ IN SOA ns1.lb.example. hostmaster.lb.example. 7 10800 3600 86400 5
@ IN NS ns1.lb.example.
10 IN PTR kuard.default.lb.example.
"""
APEX = "lb.example"
KUARD = "kuard.default.lb.example"
SOA = "lb.example. 5 SOA ns1.lb.example. hostmaster.lb.example. 7 10800 3600 86400 5"
GLUE = [
    "ns1.lb.example. 5 A 127.0.0.1",
    "ns1.lb.example. 5 AAAA ::1",
    "ns2.lb.example. 5 A 127.0.0.2",
]
ADDRESSES = [f"{KUARD}. 5 A 192.0.2.10", f"{KUARD}. 5 AAAA 2001:db8::10"]


@pytest.fixture(scope="module", params=nameserver_compiled.ENGINES)
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("zones")
    zones = {"lb.example": ZONE + BIG + HUGE, "2.0.192.in-addr.arpa": REVERSE}
    arguments = []
    for origin, text in zones.items():
        path = Path(folder / origin)
        path.write_text(text)
        arguments += ["--zone", f"{origin}={path}"]
    engine = nameserver_compiled.environment(request.param)
    with serving(*arguments, environment=engine) as found:
        yield found


def ask(server: Server, packet: bytes, transport: str) -> Message:
    reply = server.udp(packet) if transport == "udp" else server.tcp(packet)
    assert reply is not None
    found = dns_messages.read(reply)
    assert reply[:2] == packet[:2]
    return found


@dataclass(frozen=True)
class Probe:
    """One question without EDNS and RD, and all of its answer."""

    number: int
    host: str
    rtype: str | int
    answer: list[str] = field(default_factory=list)
    authority: list[str] = field(default_factory=list)
    additional: list[str] = field(default_factory=list)
    rcode: str = "NOERROR"
    flags: str = "qr aa"


PROBES = [
    Probe(1, APEX, "SOA", [SOA]),
    Probe(2, KUARD, "A", ADDRESSES[:1]),
    Probe(3, KUARD, "AAAA", ADDRESSES[1:]),
    Probe(4, "v4only.default.lb.example", "AAAA", authority=[SOA]),
    Probe(5, "missing.default.lb.example", "A", authority=[SOA], rcode="NXDOMAIN"),
    Probe(6, "default.lb.example", "A", authority=[SOA]),
    Probe(7, "KuArD.DeFaUlT.lb.example", "A", ["KuArD.DeFaUlT.lb.example. 5 A 192.0.2.10"]),
    Probe(8, "www.example.org", "A", rcode="REFUSED", flags="qr"),
    Probe(9, "x.apps.lb.example", "A", ["x.apps.lb.example. 5 A 192.0.2.12"]),
    Probe(10, "x.apps.lb.example", "AAAA", authority=[SOA]),
    Probe(
        11, f"_http._tcp.{KUARD}", "SRV", [f"_http._tcp.{KUARD}. 5 SRV 0 0 80 {KUARD}."],
        additional=ADDRESSES,
    ),
    Probe(12, "10.2.0.192.in-addr.arpa", "PTR", [f"10.2.0.192.in-addr.arpa. 5 PTR {KUARD}."]),
    Probe(
        13, APEX, "NS", ["lb.example. 5 NS ns1.lb.example.", "lb.example. 5 NS ns2.lb.example."],
        additional=GLUE,
    ),
    Probe(14, APEX, 666, authority=[SOA]),
]  # fmt: skip


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: str(probe.number))
def test_a_plain_question_gets_exactly_its_answer(
    server: Server, probe: Probe, transport: str
) -> None:
    rtype = probe.rtype if isinstance(probe.rtype, int) else TYPES[probe.rtype]
    packet = nb.query(probe.host, rtype)
    reply = ask(server, packet, transport)
    assert dns_messages.RCODES[reply.rcode] == probe.rcode
    assert reply.flags == probe.flags
    assert reply.questions == (packet[12:],)
    assert not reply.opts
    for section in ("answer", "authority", "additional"):
        assert reply.shown(section) == sorted(getattr(probe, section))


def edns(size: int = 4096, version: int = 0, flags: int = 0, options: bytes = b"") -> bytes:
    """Return an OPT record as a client sends it."""
    fixed = b"\0\0\x29" + size.to_bytes(2) + bytes((0, version)) + flags.to_bytes(2)
    return fixed + len(options).to_bytes(2) + options


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("opt", "answer", "rcode", "ttl"),
    [
        pytest.param(edns(), [SOA], 0, 0, id="15"),
        pytest.param(edns(version=1), [], dns_messages.BADVERS, 1 << 24, id="16"),
        pytest.param(edns(options=b"\0\x64\0\0"), [SOA], 0, 0, id="17"),
        pytest.param(edns(flags=0x0080), [SOA], 0, 0, id="18"),
        pytest.param(edns(flags=0x8000), [SOA], 0, 0x8000, id="19"),
    ],
)
def test_an_opt_gets_one_of_version_0_without_options(
    server: Server, opt: bytes, answer: list[str], rcode: int, ttl: int, transport: str
) -> None:
    packet = nb.query(APEX, TYPES["SOA"], opt=opt)
    reply = ask(server, packet, transport)
    assert reply.questions == (packet[12 : -len(opt)],)
    (ours,) = reply.opts
    assert (reply.shown("answer"), reply.rcode, ours.ttl_s) == (answer, rcode, ttl)
    assert 512 <= ours.rclass <= 1432
    assert reply.options == {}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_20_a_client_cookie_comes_back_with_a_server_cookie_that_is_taken(
    server: Server, transport: str
) -> None:
    sent = b"\1\2\3\4\5\6\7\x08"
    for _ in range(2):
        option = (dns_messages.COOKIE).to_bytes(2) + len(sent).to_bytes(2) + sent
        reply = ask(server, nb.query(APEX, TYPES["SOA"], opt=edns(options=option)), transport)
        cookie = reply.options[dns_messages.COOKIE]
        assert (reply.rcode, reply.shown("answer")) == (0, [SOA])
        assert cookie[:8] == sent[:8]
        assert 16 <= len(cookie) <= 40
        sent = cookie


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_21_an_unknown_opcode_gets_a_bare_header(server: Server, transport: str) -> None:
    reply = ask(server, b"\x12\x34\x78\0" + bytes(8), transport)
    assert reply.packet == b"\x12\x34\xf8\x04" + bytes(8)


@pytest.mark.parametrize(("opt", "size"), [(b"", 512), (edns(size=100), 512), (edns(), 1232)])
def test_22_a_set_that_does_not_fit_is_truncated_whole(
    server: Server, opt: bytes, size: int
) -> None:
    for host, count in (("big", 60), ("huge", 200)):
        reply = ask(server, nb.query(f"{host}.default.lb.example", opt=opt), "udp")
        fits = 12 + len(host) + 25 + 16 * count + len(opt) <= size
        assert len(reply.packet) <= size
        assert ("tc" in reply.flags.split(), len(reply.answer)) == (not fits, fits * count)


def test_23_tcp_carries_what_a_datagram_does_not(server: Server) -> None:
    reply = ask(server, nb.query("huge.default.lb.example"), "tcp")
    assert (reply.flags, len(reply.answer)) == ("qr aa", 200)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_24_any_gets_one_set(server: Server, transport: str) -> None:
    reply = ask(server, nb.query(KUARD, TYPES["ANY"]), transport)
    assert (reply.rcode, reply.shown("answer")) == (0, ADDRESSES[:1])
