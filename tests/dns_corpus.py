"""Messages that a name server must survive: what to send, and what is due for it.

Seeds of the fuzz tests, sent as they are to the running server, and timed by `make bench-dns-bad`.
Each is the worst of its kind: longest, deepest, most numerous, or one byte wrong.
"""

from dataclasses import dataclass

import nameserver_builders as nb
from lbctl_dns import edns as our_edns
from lbctl_dns import records, table, wire, zone

SILENCE = None
NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 3, 4, 5
BADVERS_LOW = 0
"""BADVERS without its upper bits, which are in the OPT."""
HOST = "kuard.default.lb.example"


@dataclass(frozen=True)
class Seed:
    """One message by UDP."""

    name: str
    packet: bytes
    rcode: int | None
    """The low bits of the reply's rcode; None: there must be no reply."""


def counts(packet: bytes, *numbers: int) -> bytes:
    """Return a message with other section counts."""
    return packet[:4] + b"".join(number.to_bytes(2) for number in numbers) + packet[12:]


def edns(options: bytes = b"", *, size: int = 1232, version: int = 0, length: int = -1) -> bytes:
    """Return an OPT; `length` is what it says of itself when that shall be wrong."""
    said = len(options) if length < 0 else length
    fixed = b"\0\0\x29" + size.to_bytes(2) + bytes((0, version, 0, 0))
    return fixed + said.to_bytes(2) + options


def option(code: int, content: bytes = b"") -> bytes:
    return code.to_bytes(2) + len(content).to_bytes(2) + content


GOOD = nb.query(HOST)
HEAD = GOOD[:12]
KIND = b"\0\1\0\1"
APEX = b"\2lb\7example\0"
COOKIE = option(10, b"clientck")
DEEP = b"\1a" * 121 + APEX
"""123 labels in 254 bytes: the deepest name in our zone."""
LONG = (b"\x3f" + b"x" * 63) * 3 + b"\x32" + b"y" * 50 + APEX
"""255 bytes in the fewest labels."""

SEEDS = (
    Seed("nothing", b"", SILENCE),
    Seed("one byte", b"\x12", SILENCE),
    Seed("eleven bytes", GOOD[:11], SILENCE),
    Seed("a reply", GOOD[:2] + b"\x80" + GOOD[3:], SILENCE),
    Seed("all ones", b"\xff" * 512, SILENCE),
    Seed("a reply of opcode 15", GOOD[:2] + b"\xf8" + GOOD[3:], SILENCE),
    Seed("a header alone", HEAD, FORMERR),
    Seed("all zeros", bytes(512), FORMERR),
    Seed("a byte short", GOOD[:-1], FORMERR),
    Seed("a byte long", GOOD + b"\0", FORMERR),
    Seed("an old query with 1500 bytes behind it", GOOD + b"x" * 1400, FORMERR),
    Seed("no question", counts(GOOD, 0, 0, 0, 0), FORMERR),
    Seed("two questions", counts(GOOD + GOOD[12:], 2, 0, 0, 0), FORMERR),
    Seed("65535 questions", counts(GOOD, 65535, 0, 0, 0), FORMERR),
    Seed("all counts 65535", counts(GOOD, *[65535] * 4), FORMERR),
    Seed("an answer in a query", counts(GOOD + b"\xc0\x0c" + KIND + bytes(6), 1, 1, 0, 0), FORMERR),
    Seed("an authority in a query", counts(GOOD, 1, 0, 1, 0), FORMERR),
    Seed("an additional that is not there", counts(GOOD, 1, 0, 0, 1), FORMERR),
    Seed("a question that points to itself", HEAD + b"\xc0\x0c" + KIND, FORMERR),
    Seed("a question that points to the header", HEAD + b"\xc0\0" + KIND, FORMERR),
    Seed("a chain of 250 pointers", HEAD + b"\xc0\x0c" * 250 + KIND, FORMERR),
    Seed("a chain of pointers, each to the next", HEAD + b"".join(
        (0xC000 | 12 + 2 * n + 2).to_bytes(2) for n in range(600)) + KIND, FORMERR),
    Seed("labels that each end in a pointer", HEAD + b"\1a\xc0\x0c" * 120 + KIND, FORMERR),
    Seed("a label of 64", HEAD + b"\x40" + b"a" * 64 + b"\0" + KIND, FORMERR),
    Seed("a label of type 10", HEAD + b"\x80" + b"a" * 64 + b"\0" + KIND, FORMERR),
    Seed("a name without its end", HEAD + b"\5kuard" + KIND, FORMERR),
    Seed("a name of 256 bytes", HEAD + b"\1z" + LONG[1:] + KIND, FORMERR),
    Seed("750 labels of one byte", HEAD + b"\1a" * 750 + b"\0" + KIND, FORMERR),
    Seed("the deepest name", HEAD + DEEP + KIND, NXDOMAIN),
    Seed("the deepest name of a wildcard", HEAD + b"\1a" * 118 + b"\4apps" + APEX + KIND, NOERROR),
    Seed("the deepest name of nobody", HEAD + b"\1a" * 127 + b"\0" + KIND, REFUSED),
    Seed("the longest name", HEAD + LONG + KIND, NXDOMAIN),
    Seed("bytes that are no text", HEAD + bytes([63, *range(1, 64)]) + APEX + KIND, NXDOMAIN),
    Seed("zero bytes in a label", HEAD + b"\5\0\0\0\0\0" + APEX + KIND, NXDOMAIN),
    Seed("a large set with EDNS", nb.query("big.lb.example", opt=edns(size=65535)), NOERROR),
    Seed("a loop of aliases", nb.query("loop.lb.example"), NOERROR),
    Seed("below a delegation", nb.query("a.b.c.sub.lb.example"), NOERROR),
    Seed("any type", nb.query(HOST, zone.ANY), NOERROR),
    Seed("any type of a large set", nb.query("big.lb.example", zone.ANY), NOERROR),
    Seed("a transfer", nb.query("lb.example", 252), REFUSED),
    Seed("a question for OPT", nb.query("lb.example", 41), FORMERR),
    Seed("an unknown class", nb.query(HOST, rclass=254), REFUSED),
    Seed("an update", nb.query(HOST, flags=0x2800), REFUSED),
    Seed("an unknown opcode", nb.query(HOST, flags=0x7800), NOTIMP),
    Seed("EDNS", nb.query(HOST, opt=edns()), NOERROR),
    Seed("EDNS with a cookie", nb.query(HOST, opt=edns(COOKIE)), NOERROR),
    Seed("two OPT", counts(nb.query(HOST, opt=edns() + edns()), 1, 0, 0, 2), FORMERR),
    Seed("OPT that names a host", nb.query(HOST, opt=b"\1a" + edns()), FORMERR),
    Seed("OPT that points", nb.query(HOST, opt=b"\xc0\x0c" + edns()[1:]), FORMERR),
    Seed("OPT a byte short", nb.query(HOST, opt=edns()[:-1]), FORMERR),
    Seed("OPT a byte long", nb.query(HOST, opt=edns() + b"\0"), FORMERR),
    Seed("OPT that promises more", nb.query(HOST, opt=edns(length=65535)), FORMERR),
    Seed("OPT that promises less", nb.query(HOST, opt=edns(COOKIE, length=0)), FORMERR),
    Seed("a record that is no OPT", nb.query(HOST, opt=b"\0\0\x10" + edns()[3:]), FORMERR),
    Seed("EDNS version 255", nb.query(HOST, opt=edns(COOKIE, version=255)), BADVERS_LOW),
    Seed("an option cut in its head", nb.query(HOST, opt=edns(b"\0\x0a\0")), FORMERR),
    Seed("an option cut in its body", nb.query(HOST, opt=edns(b"\0\x64\0\x09abc")), FORMERR),
    Seed("an option of 65535", nb.query(HOST, opt=edns(b"\0\x64\xff\xff")), FORMERR),
    Seed("32 options", nb.query(HOST, opt=edns(option(100) * 31 + COOKIE)), NOERROR),
    Seed("33 options", nb.query(HOST, opt=edns(option(100) * 33)), FORMERR),
    Seed("350 options", nb.query(HOST, opt=edns(option(100) * 350)), FORMERR),
    Seed("32 cookies", nb.query(HOST, opt=edns(COOKIE * 32)), NOERROR),
    Seed("an option of 1400", nb.query(HOST, opt=edns(option(100, b"x" * 1400))), NOERROR),
    *(
        Seed(f"a cookie of {length}", nb.query(HOST, opt=edns(option(10, b"c" * length))), rcode)
        for length, rcode in [
            (0, FORMERR), (1, FORMERR), (7, FORMERR), (8, NOERROR), (9, FORMERR), (15, FORMERR),
            (16, NOERROR), (40, NOERROR), (41, FORMERR), (1400, FORMERR),
        ]
    ),
    Seed("the deepest name with 32 options", nb.query("", opt=edns(option(100) * 32))[:12] + DEEP
         + KIND + edns(option(100) * 32), NXDOMAIN),
)  # fmt: skip

ZONE = """\
$TTL 5
@ IN SOA ns1 hostmaster 7 10800 3600 86400 5
@ IN NS ns1
ns1 IN A 127.0.0.1
kuard.default IN A 192.0.2.10
kuard.default IN AAAA 2001:db8::10
*.apps IN A 192.0.2.12
loop IN CNAME loop.lb.example.
sub IN NS ns.sub
ns.sub IN A 192.0.2.53
""" + "".join(f"big IN A 192.0.3.{n}\n" for n in range(60))
"""A zone in which nothing is simple: wildcard, alias and delegation put all on the long path."""


PLAIN_ZONE = "".join(
    line for line in ZONE.splitlines(keepends=True) if not line.startswith(("*", "loop", "sub"))
)
"""One in which everything is simple: denials take the short path."""


def responder(text: str = ZONE) -> wire.Responder:
    """Return what answers from a zone."""
    parsed, serial = records.parse_zone(text, "lb.example")
    found = table.Table()
    found.loaded = True
    for one in table.encode_all(zone.Authority([parsed], {parsed.origin: serial}).contents()):
        found.put(one)
    return wire.Responder(found, our_edns.Clerk(b"k" * 16))
