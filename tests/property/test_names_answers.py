"""Answers against a naive model of RFC 1034, and the short path against the complete one."""

import dataclasses

import dnslib
from hypothesis import given
from hypothesis import strategies as st

import nameserver_builders as nb
import nameserver_compiled
from lbctl_dns import careful, edns, message, names, wire, zone

LABELS = st.sampled_from([b"a", b"b", b"*", b"default"])
NAMES = st.lists(LABELS, max_size=4).map(
    lambda labels: names.from_labels([*labels, b"lb", b"example"])
)
TRANSFERS = st.sampled_from([message.AXFR, message.IXFR])
TYPES = st.sampled_from([zone.A, zone.AAAA, zone.TXT, zone.CNAME, zone.SRV])


@st.composite
def record_sets(draw: st.DrawFn) -> tuple[zone.RecordSet, ...]:
    """Sets of one zone; an alias is alone at its name, as RFC 1034 §3.6.2 wants it."""
    keys = draw(st.sets(st.tuples(NAMES, TYPES), max_size=8))
    aliased = {name for name, rtype in keys if rtype == zone.CNAME and name != nb.ORIGIN}
    found = []
    for name, rtype in sorted(keys):
        if (rtype == zone.CNAME) == (name in aliased):
            found.append(zone.RecordSet(name, rtype, 5, (_rdata(rtype, draw(NAMES)),)))
    return tuple(found)


def _rdata(rtype: int, target: bytes) -> bytes:
    return {
        zone.A: b"\xc0\0\2\1",
        zone.AAAA: bytes(16),
        zone.TXT: b"\1x",
        zone.CNAME: target,
        zone.SRV: b"\0\0\0\0\0\x50" + target,
    }[rtype]


@dataclasses.dataclass(frozen=True)
class Expected:
    rcode: int
    answer: tuple[tuple[bytes, int], ...]
    denied: bool


def expected(sets: tuple[zone.RecordSet, ...], qname: bytes, qtype: int) -> Expected:
    """The model: search everything, each time."""
    answer: list[tuple[bytes, int]] = []
    for _ in range(8):
        if not names.is_within(qname, nb.ORIGIN):
            return Expected(0 if answer else 5, tuple(answer), False)
        source = _source(sets, qname)
        here = {one.rtype: one for one in sets if one.name == source}
        if qtype in here:
            return Expected(0, (*answer, (qname, qtype)), False)
        if zone.CNAME not in here:
            return Expected(0 if source else 3, tuple(answer), True)
        answer.append((qname, zone.CNAME))
        qname = here[zone.CNAME].rdatas[0]
        if qname in {name for name, _ in answer}:
            return Expected(0, tuple(answer), False)
    return Expected(0, tuple(answer), False)


def _source(sets: tuple[zone.RecordSet, ...], qname: bytes) -> bytes | None:
    exist = {nb.ORIGIN, *(above for one in sets for above in names.lineage(one.name))}
    if qname in exist:
        return qname
    encloser = next(above for above in names.lineage(qname) if above in exist)
    return b"\1*" + encloser if b"\1*" + encloser in exist else None


@given(sets=record_sets(), qname=NAMES, qtype=TYPES)
def test_an_answer_is_what_a_search_through_the_whole_zone_finds(
    sets: tuple[zone.RecordSet, ...], qname: bytes, qtype: int
) -> None:
    packet = b"\0\1\0\0\0\1\0\0\0\0\0\0" + qname + qtype.to_bytes(2) + b"\0\1"
    reply = nb.responder(*sets).answer(packet, wire.TCP, "")
    assert reply is not None
    parsed = dnslib.DNSRecord.parse(reply)
    found = Expected(
        parsed.header.rcode,
        tuple((names.from_labels(list(one.rname.label)), one.rtype) for one in parsed.rr),
        [one.rtype for one in parsed.auth] == [zone.SOA],
    )
    assert found == expected(sets, qname, qtype)


OPTS = st.sampled_from(
    [
        b"",
        edns.render(),
        edns.render(dnssec_ok=True),
        edns.render(options=b"\0\x0a\0\x08abcdefgh"),
        edns.render(options=b"\0\x0a\0\x07abcdefg"),
        edns.render()[:-1],
        edns.render()[:6] + b"\1" + edns.render()[7:],
    ]
)


@given(
    sets=record_sets(),
    qname=st.one_of(NAMES, st.binary(max_size=30)),
    qtype=st.one_of(TYPES, TRANSFERS, st.integers(0, 300)),
    opt=OPTS,
    rd=st.booleans(),
    loaded=st.booleans(),
)
def test_the_short_path_gives_the_bytes_of_the_complete_one(
    sets: tuple[zone.RecordSet, ...], qname: bytes, qtype: int, opt: bytes, rd: bool, loaded: bool
) -> None:
    head = b"\0\1" + bytes((rd, 0)) + b"\0\1\0\0\0\0\0" + bytes((bool(opt),))
    packet = head + qname + qtype.to_bytes(2) + b"\0\1" + opt
    responder = nb.responder(*sets, loaded=loaded)
    for transport in (wire.UDP, wire.TCP):
        whole = careful.answer(responder.table, packet, transport, responder.clerk, "::1")
        assert responder.answer(packet, transport, "::1") == whole
    by_udp = responder.answer(packet, wire.UDP, "192.0.2.1")
    assert nameserver_compiled.answer(responder, packet, "192.0.2.1") in {None, by_udp}


@given(qname=NAMES, qtype=TYPES, opt=st.sampled_from([b"", edns.render()]))
def test_plain_questions_are_answered_by_compiled_code(
    qname: bytes, qtype: int, opt: bytes
) -> None:
    responder = nb.responder(*nb.sets("a.default.lb.example", "192.0.2.1", "2001:db8::1"))
    head = b"\0\1\0\0\0\1\0\0\0\0\0" + bytes((bool(opt),))
    packet = head + qname + qtype.to_bytes(2) + b"\0\1" + opt
    whole = responder.answer(packet, wire.UDP, "192.0.2.1")
    assert nameserver_compiled.answer(responder, packet, "192.0.2.1") == whole
