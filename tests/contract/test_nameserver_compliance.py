"""The EDNS compliance list of ISC's tester (its groups EDNS, FULL, COMM and TYPE), and its rules.

The rules hold for every reply and are written here once, from its behaviour and RFC 6891, so a
probe is only what it sends. Flags that a query must not carry are in it on purpose.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import dns_messages
import nameserver_compiled
from dns_messages import BADCOOKIE, BADVERS, COOKIE, TYPES, Message
from nameserver_process import Server, serving

ZONE = """\
$TTL 5
@ IN SOA ns1 hostmaster 7 10800 3600 86400 5
@ IN NS ns1
ns1 IN A 127.0.0.1
"""
ORIGIN = b"\2lb\7example\0"
AA, TC, RD, RA, Z, AD, CD = 0x0400, 0x0200, 0x0100, 0x0080, 0x0040, 0x0020, 0x0010
DO = 0x8000
UNKNOWN_OPTION, CLIENT_COOKIE = 100, b"\1\2\3\4\5\6\7\x08"
ECHOED = b"\0\x64\0\0"
NSID, SUBNET, EXPIRE = b"\0\3\0\0", b"\0\x08\0\4\0\1\0\0", b"\0\x09\0\0"
ASKS_COOKIE = b"\0\x0a\0\x08" + CLIENT_COOKIE


@dataclass(frozen=True)
class Probe:
    """What one check of the list sends."""

    name: str
    rtype: int = TYPES["SOA"]
    flags: int = 0
    opcode: int = 0
    size: int = 0
    """EDNS payload size; 0: no EDNS."""
    version: int = 0
    edns_flags: int = 0
    options: bytes = b""
    tcp: bool = False

    @property
    def packet(self) -> bytes:
        head = b"\x56\x78" + (self.opcode << 11 | self.flags).to_bytes(2)
        if self.opcode:
            return head + bytes(8)
        opt = self.opt if self.size else b""
        counts = b"\0\1\0\0\0\0\0" + bytes((bool(opt),))
        return head + counts + ORIGIN + self.rtype.to_bytes(2) + b"\0\1" + opt

    @property
    def opt(self) -> bytes:
        ttl = bytes((0, self.version)) + self.edns_flags.to_bytes(2)
        length = len(self.options).to_bytes(2)
        return b"\0\0\x29" + self.size.to_bytes(2) + ttl + length + self.options


def edns(name: str, **how: int | bytes | bool) -> Probe:
    return Probe(name, **{"size": 4096, **how})  # type: ignore[arg-type]


OPTIONS = {"nsid": NSID, "cookie": ASKS_COOKIE, "expire": EXPIRE, "subnet": SUBNET}
PROBES = [
    Probe("dns"),
    Probe("aa", flags=AA),
    Probe("ad", flags=AD),
    Probe("cd", flags=CD),
    Probe("ra", flags=RA),
    Probe("rd", flags=RD),
    Probe("tc", flags=TC),
    Probe("zflag", flags=Z),
    Probe("opcode", opcode=15),
    Probe("opcodeflg", opcode=15, flags=AA | TC | RD | RA | Z | AD | CD),
    Probe("type666", rtype=666),
    Probe("tcp", tcp=True),
    edns("edns"),
    edns("edns1", version=1),
    edns("edns@512", size=512, rtype=TYPES["DNSKEY"]),
    edns("ednsopt", options=ECHOED),
    edns("edns1opt", version=1, options=ECHOED),
    edns("do", edns_flags=DO),
    edns("docd", edns_flags=DO, flags=CD),
    edns("edns1do", version=1, edns_flags=DO),
    edns("ednsflags", edns_flags=0x0080),
    edns("optlist", options=NSID + SUBNET + EXPIRE + ASKS_COOKIE),
    *(edns(f"edns{name}", options=option) for name, option in OPTIONS.items()),
    *(edns(f"edns1{name}", version=1, options=option) for name, option in OPTIONS.items()),
    edns("ednstcp", size=512, edns_flags=DO, rtype=TYPES["DNSKEY"], tcp=True),
    edns("bind11", edns_flags=DO, options=ASKS_COOKIE),
    edns("dig11", flags=RD | AD, options=ASKS_COOKIE),
]
DATA_TYPES = [
    *range(1, 41),
    *range(42, 67),
    *range(99, 110),
    *range(256, 263),
    1000,
    32768,
    32769,
]
"""Every type of data that IANA lists (the list has 65 of them) and an unassigned one."""
PROBES += [Probe(f"TYPE{rtype}", rtype=rtype) for rtype in DATA_TYPES]


@pytest.fixture(scope="module", params=nameserver_compiled.ENGINES)
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    path = Path(tmp_path_factory.mktemp("zones") / "lb.example")
    path.write_text(ZONE)
    engine = nameserver_compiled.environment(request.param)
    with serving("--zone", f"lb.example={path}", environment=engine) as found:
        yield found


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_every_check_of_the_list_passes(server: Server, probe: Probe) -> None:
    packet = probe.packet
    reply = server.tcp(packet) if probe.tcp else server.udp(packet)
    assert reply is not None
    message = dns_messages.read(reply)
    assert message.packet[:2] == packet[:2]
    if probe.opcode:
        assert_not_implemented(message, probe)
        return
    assert_header(message, probe)
    assert_opt(message, probe)
    assert_content(message, probe)
    assert len(reply) <= (65535 if probe.tcp else probe.size or 512)


def assert_not_implemented(message: Message, probe: Probe) -> None:
    assert (message.opcode, message.rcode, message.flags) == (probe.opcode, 4, "qr")
    assert len(message.packet) == 12


def assert_header(message: Message, probe: Probe) -> None:
    wanted = {"qr"} | ({"aa"} if probe.version == 0 else set())
    wanted |= {"rd"} if probe.flags & RD else set()
    shown = set(message.flags.split())
    # AD and CD may come back where they were asked with; nothing else may differ.
    allowed = {name for name, bit in (("ad", AD), ("cd", CD)) if probe.flags & bit}
    assert wanted <= shown <= wanted | allowed
    cookie_asked = ASKS_COOKIE in probe.options and COOKIE in message.options
    rcodes = {BADVERS} if probe.version else {0, BADCOOKIE} if cookie_asked else {0}
    assert (message.opcode, message.rcode in rcodes) == (0, True)


def assert_opt(message: Message, probe: Probe) -> None:
    assert len(message.opts) == (probe.size > 0)
    for opt in message.opts:
        assert (opt.owner, opt.ttl_s >> 16 & 255, opt.ttl_s & 0x7FFF) == (".", 0, 0)
        assert opt.ttl_s & DO == probe.edns_flags & DO
    assert UNKNOWN_OPTION not in message.options
    cookie = message.options.get(COOKIE, CLIENT_COOKIE + bytes(8))
    assert cookie[:8] == CLIENT_COOKIE
    assert 16 <= len(cookie) <= 40


def assert_content(message: Message, probe: Probe) -> None:
    assert message.questions == (ORIGIN + probe.rtype.to_bytes(2) + b"\0\1",)
    held = {TYPES["SOA"], TYPES["NS"]}
    is_answered = probe.rtype in held and probe.version == 0
    assert [one.rtype for one in message.answer] == [probe.rtype] * is_answered
    soa_below = not is_answered and probe.version == 0
    assert [one.rtype for one in message.authority] == [TYPES["SOA"]] * soa_below
