"""Replies of any server, read as text: ours, with every kind of record, and hostile ones."""

import pytest

import nameserver_builders as nb
from lbctl_dns import edns, message, names, replies, wire, zone

KUARD = "kuard.default.lb.example"
HOST = b"\3www\xc0\x0c"
"""A name that points at the question."""


def reply_of(
    *records: tuple[int, bytes], flags: int = 0x8400, counts: tuple[int, ...] = ()
) -> bytes:
    """A reply about lb.example with these records of it in the answer: type and content."""
    found = counts or (1, len(records), 0, 0)
    head = b"\x12\x34" + b"".join(one.to_bytes(2) for one in (flags, *found))
    body = b"".join(
        b"\xc0\x0c" + rtype.to_bytes(2) + b"\0\1\0\0\0\5" + len(content).to_bytes(2) + content
        for rtype, content in records
    )
    return head + names.to_wire("lb.example") + b"\0\1\0\1" + body


def test_an_answer_of_ours_reads_as_it_was_published() -> None:
    responder = nb.responder(*nb.sets(KUARD, "192.0.2.10", ttl_s=7))
    packet = responder.answer(nb.query(KUARD, opt=edns.render(), flags=0x100), wire.UDP, "")
    assert packet is not None
    found = replies.parse(packet)
    assert found.answer == (replies.Record(KUARD + ".", 7, zone.A, "192.0.2.10"),)
    assert (found.status, found.flags) == ("NOERROR", ("qr", "aa", "rd"))
    assert (found.authority, found.additional, found.number) == ((), (), b"\x12\x34")


def test_a_denial_of_ours_names_the_zone() -> None:
    packet = nb.responder().answer(nb.query("no.lb.example"), wire.UDP, "")
    assert packet is not None
    found = replies.parse(packet)
    assert found.status == "NXDOMAIN"
    (soa,) = found.authority
    assert soa.content == "ns1.lb.example. hostmaster.lb.example. 1 10800 3600 86400 30"


@pytest.mark.parametrize(
    ("rtype", "content", "shown"),
    [
        (zone.A, b"\xc0\0\2\1", "192.0.2.1"),
        (zone.A, b"\xc0\0\2", r"\# 3 c00002"),
        (zone.AAAA, b"\x20\1\x0d\xb8" + bytes(11) + b"\1", "2001:db8::1"),
        (zone.CNAME, HOST, "www.lb.example."),
        (zone.NS, b"\0", "."),
        (zone.MX, b"\0\x0a" + HOST, "10 www.lb.example."),
        (zone.SRV, b"\0\1\0\2\0\x50" + HOST, "1 2 80 www.lb.example."),
        (zone.TXT, b'\3a b\0\4"\\\x1b\xff', r'"a b" "" "\"\\\027\255"'),
        (65, b"\0\1", r"\# 2 0001"),
        (65, b"", r"\# 0"),
    ],
)
def test_each_type_reads_as_in_a_zone_file(rtype: int, content: bytes, shown: str) -> None:
    assert replies.parse(reply_of((rtype, content))).answer[0].content == shown


def test_an_option_record_is_not_shown_and_extends_the_rcode() -> None:
    packet = reply_of(counts=(1, 0, 0, 1)) + edns.render(extended_rcode=1)
    found = replies.parse(packet)
    assert (found.rcode, found.status, found.additional) == (16, "RCODE16", ())


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        nb.query(KUARD),
        reply_of((zone.A, b"\xc0\0\2\1"))[:-1],
        reply_of((zone.CNAME, HOST + b"\0")),
        reply_of((zone.CNAME, b"\xc0\xff")),
        reply_of((zone.CNAME, b"\xc0")),
        reply_of((zone.CNAME, b"\x40a\0")),
        reply_of((zone.CNAME, b"\xc0\x28")),
        reply_of((zone.CNAME, b"\x3f" + b"a" * 63)),
        reply_of((zone.SRV, b"\0\1\0\2")),
        reply_of((zone.SOA, b"\0\0" + bytes(19))),
        reply_of((zone.TXT, b"\5abc")),
        reply_of() + b"\0",
        reply_of()[:-1],
        reply_of(counts=(2, 0, 0, 0)),
        reply_of(counts=(1, 1, 0, 0)),
    ],
)
def test_what_is_cut_or_points_astray_is_malformed(packet: bytes) -> None:
    with pytest.raises(message.Malformed):
        replies.parse(packet)


def ladder(steps: int) -> bytes:
    """A record full of pointers, each to the one before, the first to the root; 40 is its place."""
    targets = (40, *range(41, 41 + 2 * (steps - 1), 2))
    return b"\0" + b"".join((0xC000 | at).to_bytes(2) for at in targets)


def climbing(steps: int, count: int) -> bytes:
    """So many records, each named by the top of the ladder."""
    rung = (0xC000 | 41 + 2 * (steps - 1)).to_bytes(2) + b"\0\1\0\1" + bytes(6)
    return reply_of((65, ladder(steps)), counts=(1, 1 + count, 0, 0)) + rung * count


def test_a_name_follows_pointers_so_far_and_no_further() -> None:
    longest = replies.MAX_STEPS - 2
    packet = climbing(longest, 5000)
    assert len(packet) < 65536
    assert {one.name for one in replies.parse(packet).answer[1:]} == {"."}
    with pytest.raises(message.Malformed, match="too long"):
        replies.parse(climbing(longest + 1, 1))


@pytest.mark.parametrize(("text", "rtype"), [("a", 1), ("SOA", 6), ("type65", 65), ("TYPE1", 1)])
def test_types_are_named_or_numbered(text: str, rtype: int) -> None:
    assert replies.parse_type(text) == rtype


@pytest.mark.parametrize("text", ["", "X", "TYPE", "TYPE0", "TYPE65536", "TYPE-1", "65x", "TYPE²"])
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no record type: A, NS"):
        replies.parse_type(text)
