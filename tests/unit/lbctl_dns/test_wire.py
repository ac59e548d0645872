"""Single messages against a small zone, by the bytes of query and reply."""

import dnslib
import pytest

import nameserver_builders as nb
from lbctl_dns import careful, names, wire, zone


def named(host: str, rtype: int, *rdatas: bytes) -> zone.RecordSet:
    return zone.RecordSet(names.to_wire(host), rtype, 5, rdatas)


NS1, NS2 = names.to_wire("ns1.lb.example"), names.to_wire("ns2.lb.example")
KUARD = names.to_wire("kuard.default.lb.example")
RECORDS = (
    named("lb.example", zone.NS, NS1, NS2),
    *nb.sets("ns1.lb.example", "192.0.2.53", "2001:db8::53"),
    *nb.sets("kuard.default.lb.example", "192.0.2.10", "2001:db8::10"),
    *nb.sets("v4only.default.lb.example", "192.0.2.11"),
    *nb.sets("*.apps.lb.example", "192.0.2.12"),
    *nb.sets("held.apps.lb.example", "192.0.2.13"),
    *nb.sets("big.default.lb.example", *(f"192.0.3.{n}" for n in range(60))),
    *nb.sets("huge.default.lb.example", *(f"192.0.4.{n}" for n in range(200))),
    named("_http._tcp.kuard.default.lb.example", zone.SRV, b"\0\0\0\0\0\x50" + KUARD),
    named("www.lb.example", zone.CNAME, KUARD),
    named("away.lb.example", zone.CNAME, names.to_wire("www.example.org")),
    named("dead.lb.example", zone.CNAME, names.to_wire("gone.lb.example")),
    *(
        named(f"a-{n}.lb.example", zone.CNAME, names.to_wire(f"a-{n + 1}.lb.example"))
        for n in range(10)
    ),
    named("loop.lb.example", zone.CNAME, names.to_wire("loop.lb.example")),
    named("sub.lb.example", zone.NS, names.to_wire("ns.sub.lb.example")),
    *nb.sets("ns.sub.lb.example", "192.0.2.54"),
)
PLAIN = tuple(one for one in RECORDS if one.rtype in {zone.A, zone.AAAA} and one.name[1:2] != b"*")


def ask(packet: bytes, transport: wire.Transport = wire.UDP) -> dnslib.DNSRecord:
    reply = nb.responder(*RECORDS).answer(packet, transport, "192.0.2.99")
    assert reply is not None
    return dnslib.DNSRecord.parse(reply)


def shown(records: list[dnslib.RR]) -> list[str]:
    return [f"{one.rname} {dnslib.QTYPE[one.rtype]}" for one in records]


@pytest.mark.parametrize(
    ("host", "rtype", "rcode", "answer", "authority"),
    [
        ("kuard.default.lb.example", zone.A, "NOERROR", ["A"], []),
        ("kuard.default.lb.example", zone.AAAA, "NOERROR", ["AAAA"], []),
        ("v4only.default.lb.example", zone.AAAA, "NOERROR", [], ["SOA"]),
        ("kuard.default.lb.example", 666, "NOERROR", [], ["SOA"]),
        ("missing.default.lb.example", zone.A, "NXDOMAIN", [], ["SOA"]),
        ("a.b.c.missing.lb.example", zone.A, "NXDOMAIN", [], ["SOA"]),
        ("default.lb.example", zone.A, "NOERROR", [], ["SOA"]),
        ("lb.example", zone.SOA, "NOERROR", ["SOA"], []),
        ("lb.example", zone.NS, "NOERROR", ["NS", "NS"], []),
        ("lb.example", zone.A, "NOERROR", [], ["SOA"]),
        ("lb.example", 666, "NOERROR", [], ["SOA"]),
        ("x.apps.lb.example", zone.A, "NOERROR", ["A"], []),
        ("x.y.apps.lb.example", zone.A, "NOERROR", ["A"], []),
        ("x.apps.lb.example", zone.AAAA, "NOERROR", [], ["SOA"]),
        ("apps.lb.example", zone.A, "NOERROR", [], ["SOA"]),
        ("held.apps.lb.example", zone.AAAA, "NOERROR", [], ["SOA"]),
        ("x.held.apps.lb.example", zone.A, "NXDOMAIN", [], ["SOA"]),
        ("www.lb.example", zone.A, "NOERROR", ["CNAME", "A"], []),
        ("www.lb.example", zone.CNAME, "NOERROR", ["CNAME"], []),
        ("www.lb.example", 666, "NOERROR", ["CNAME"], ["SOA"]),
        ("away.lb.example", zone.A, "NOERROR", ["CNAME"], []),
        ("dead.lb.example", zone.A, "NXDOMAIN", ["CNAME"], ["SOA"]),
        ("loop.lb.example", zone.A, "NOERROR", ["CNAME"], []),
        ("a-0.lb.example", zone.A, "NOERROR", ["CNAME"] * 8, []),
        ("kuard.default.lb.example", zone.ANY, "NOERROR", ["A"], []),
        ("sub.lb.example", zone.DS, "NOERROR", [], ["SOA"]),
    ],
)
def test_a_name_in_the_zone_is_answered_with_authority(
    host: str, rtype: int, rcode: str, answer: list[str], authority: list[str]
) -> None:
    reply = ask(nb.query(host, rtype))
    assert dnslib.RCODE[reply.header.rcode] == rcode
    assert [dnslib.QTYPE[one.rtype] for one in reply.rr] == answer
    assert [dnslib.QTYPE[one.rtype] for one in reply.auth] == authority
    assert (reply.header.aa, reply.header.ra, reply.header.qr) == (1, 0, 1)


def test_a_denial_carries_the_seeds_soa_at_the_apex() -> None:
    soa = ask(nb.query("missing.default.lb.example")).auth[0]
    assert (str(soa.rname), soa.ttl) == ("lb.example.", 30)
    assert str(soa.rdata) == "ns1.lb.example. hostmaster.lb.example. 1 10800 3600 86400 30"


@pytest.mark.parametrize("host", ["www.example.org", "example", ".", "xlb.example"])
def test_outside_of_the_zone_is_refused_without_authority(host: str) -> None:
    reply = ask(nb.query(host))
    assert (dnslib.RCODE[reply.header.rcode], reply.header.aa) == ("REFUSED", 0)
    assert not (reply.rr or reply.auth or reply.ar)


@pytest.mark.parametrize(("rclass", "rtype"), [(3, zone.A), (255, zone.A), (1, 252), (1, 251)])
def test_other_classes_and_transfers_are_refused(rclass: int, rtype: int) -> None:
    reply = ask(nb.query("kuard.default.lb.example", rtype, rclass=rclass))
    assert dnslib.RCODE[reply.header.rcode] == "REFUSED"


@pytest.mark.parametrize("host", ["host.sub.lb.example", "sub.lb.example", "ns.sub.lb.example"])
def test_below_a_delegation_is_a_referral_with_glue(host: str) -> None:
    reply = ask(nb.query(host))
    assert (reply.header.aa, reply.header.rcode, reply.rr) == (0, 0, [])
    assert shown(reply.auth) == ["sub.lb.example. NS"]
    assert shown(reply.ar) == ["ns.sub.lb.example. A"]


def test_name_servers_and_services_bring_their_addresses() -> None:
    apex = ask(nb.query("lb.example", zone.NS))
    assert shown(apex.ar) == ["ns1.lb.example. A", "ns1.lb.example. AAAA"]
    service = ask(nb.query("_http._tcp.kuard.default.lb.example", zone.SRV))
    assert service.rr[0].rdata.port == 80
    assert shown(service.ar) == ["kuard.default.lb.example. A", "kuard.default.lb.example. AAAA"]


def test_the_question_comes_back_in_the_spelling_it_came_in() -> None:
    for host in ("KuArD.DeFaUlT.lb.EXAMPLE", "MiSsInG.lb.Example", "X.Apps.LB.example"):
        packet = nb.query(host)
        reply = nb.responder(*RECORDS).answer(packet, wire.UDP, "")
        assert reply is not None
        assert reply[12 : len(packet)] == packet[12:]


def test_a_type_that_looks_like_a_capital_letter_stays_itself() -> None:
    assert dnslib.RCODE[ask(nb.query("kuard.default.lb.example", 65)).header.rcode] == "NOERROR"


@pytest.mark.parametrize(("flags", "expected"), [(0x0100, 0x8500), (0x01B0, 0x8500), (0, 0x8400)])
def test_of_the_flags_only_rd_is_copied(flags: int, expected: int) -> None:
    reply = nb.responder(*RECORDS).answer(
        nb.query("kuard.default.lb.example", flags=flags), wire.UDP, ""
    )
    assert reply is not None
    assert int.from_bytes(reply[2:4]) == expected


def test_what_does_not_fit_is_left_out_whole_and_asked_again_by_tcp() -> None:
    packet = nb.query("big.default.lb.example")
    short = ask(packet)
    assert (short.header.tc, short.rr) == (1, [])
    assert len(ask(packet, wire.TCP).rr) == 60
    opt = bytes.fromhex("00002904d0000000000000")
    assert len(ask(nb.query("big.default.lb.example", opt=opt)).rr) == 60
    assert ask(nb.query("huge.default.lb.example", opt=opt)).header.tc == 1
    whole = ask(nb.query("huge.default.lb.example", opt=opt), wire.TCP)
    assert (len(whole.rr), whole.header.tc) == (200, 0)


@pytest.mark.parametrize(
    ("opcode", "rcode"), [(1, "NOTIMP"), (2, "NOTIMP"), (4, "REFUSED"), (5, "REFUSED"), (15, 4)]
)
def test_other_opcodes_get_a_bare_header(opcode: int, rcode: str | int) -> None:
    packet = b"\x12\x34" + bytes((opcode << 3 | 1, 0)) + bytes(8)
    reply = nb.responder().answer(packet, wire.UDP, "")
    number = rcode if isinstance(rcode, int) else getattr(dnslib.RCODE, rcode)
    assert reply == b"\x12\x34" + bytes((0x80 | opcode << 3, number)) + bytes(8)


GOOD = nb.query("kuard.default.lb.example")


@pytest.mark.parametrize(
    "packet",
    [b"", GOOD[:11], GOOD[:2] + b"\x80" + GOOD[3:], GOOD[:2] + b"\xff" + GOOD[3:]],
    ids=["empty", "short", "a reply", "a reply of another opcode"],
)
def test_what_is_no_query_gets_silence(packet: bytes) -> None:
    assert nb.responder(*RECORDS).answer(packet, wire.UDP, "") is None


OPT = bytes.fromhex("00002904d0000000000000")


def with_counts(packet: bytes, counts: str) -> bytes:
    return packet[:4] + bytes.fromhex(counts) + packet[12:]


@pytest.mark.parametrize(
    "packet",
    [
        GOOD[:12],
        GOOD[:-1],
        GOOD + b"\0",
        with_counts(GOOD, "0000000000000000"),
        with_counts(GOOD + GOOD[12:], "0002000000000000"),
        with_counts(GOOD, "0001000100000000"),
        with_counts(GOOD, "0001000000000001"),
        with_counts(GOOD + OPT + OPT, "0001000000000002"),
        GOOD[:12] + b"\xc0\x0c\0\1\0\1",
        GOOD[:12] + b"\x41" + b"a" * 65 + b"\0\0\1\0\1",
        GOOD[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
        GOOD[:12] + b"\5kuard" + b"\0\1\0\1",
        nb.query("lb.example", 41),
        nb.query("lb.example", opt=OPT[:-1]),
        nb.query("lb.example", opt=OPT + b"\0"),
        nb.query("lb.example", opt=OPT[:9] + b"\0\x06\0\x0a\0\x02ab"),
        nb.query("lb.example", opt=OPT[:9] + b"\0\x04\0\x64\0\x02"),
    ],
)
def test_malformed_queries_get_a_bare_format_error(packet: bytes) -> None:
    reply = nb.responder(*RECORDS).answer(packet, wire.UDP, "")
    assert reply == b"\x12\x34\x80\x01" + bytes(8)


def test_a_name_with_strange_bytes_is_denied_like_any_other() -> None:
    packet = GOOD[:12] + b"\3a\0b\2lb\7example\0" + b"\0\1\0\1"
    reply = ask(packet)
    assert dnslib.RCODE[reply.header.rcode] == "NXDOMAIN"


def test_before_all_is_known_only_what_is_known_is_answered() -> None:
    early = nb.responder(*PLAIN, loaded=False)
    for host, rcode in [
        ("kuard.default.lb.example", 0),
        ("missing.default.lb.example", 2),
        ("default.lb.example", 2),
        ("www.example.org", 5),
    ]:
        reply = early.answer(nb.query(host), wire.UDP, "")
        assert reply is not None
        assert (reply[3], reply[2] & 4) == (rcode, 4 if rcode == 0 else 0)


def test_an_inner_zone_answers_instead_of_the_outer_one() -> None:
    inner = names.to_wire("inner.lb.example")
    responder = nb.responder(*RECORDS, nb.SOA.record_set(inner, 9))
    reply = responder.answer(nb.query("x.inner.lb.example"), wire.UDP, "")
    assert reply is not None
    assert str(dnslib.DNSRecord.parse(reply).auth[0].rname) == "inner.lb.example."


@pytest.mark.parametrize(
    ("host", "rcode", "authority"),
    [
        ("missing.default.lb.example", "NXDOMAIN", 1),
        ("a.b.missing.default.lb.example", "NXDOMAIN", 1),
        ("default.lb.example", "NOERROR", 1),
        ("example", "REFUSED", 0),
        ("www.example.org", "REFUSED", 0),
        (".", "REFUSED", 0),
        (".".join(["x" * 63] * 3 + ["y" * 50, "lb.example"]), "NXDOMAIN", 1),
        (".".join(["x" * 63] * 3 + ["y" * 51, "lb.example"]), "FORMERR", 0),
        ("x" * 64 + ".lb.example", "FORMERR", 0),
    ],
)
def test_a_zone_without_wildcards_denies_by_the_short_path(
    host: str, rcode: str, authority: int
) -> None:
    responder = nb.responder(*PLAIN)
    assert responder.table.simple
    packet = nb.query(host)
    reply = responder.answer(packet, wire.TCP, "")
    assert reply is not None
    assert (reply[3] & 15, reply[9]) == (getattr(dnslib.RCODE, rcode), authority)
    assert reply == careful.answer(responder.table, packet, wire.TCP, responder.clerk, "")


def test_an_answer_found_the_long_way_is_truncated_or_loses_its_courtesies() -> None:
    assert ask(nb.query("big.default.lb.example", zone.ANY)).header.tc == 1
    targets = [names.to_wire(f"{'t' * 60}{n}.lb.example") for n in range(3)]
    mail = zone.RecordSet(nb.ORIGIN, zone.MX, 5, tuple(b"\0\1" + one for one in targets))
    hosts = [one for target in targets for one in nb.sets(names.to_text(target), "192.0.2.1")]
    responder = nb.responder(mail, *hosts)
    for transport, additional in ((wire.UDP, 0), (wire.TCP, 3)):
        reply = responder.answer(nb.query("lb.example", zone.MX), transport, "")
        assert reply is not None
        parsed = dnslib.DNSRecord.parse(reply)
        assert (len(parsed.rr), len(parsed.ar), parsed.header.tc) == (3, additional, 0)
