"""Whatever bytes come back, reading them gives a reply or says that it is malformed."""

import contextlib

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nameserver_builders as nb
from lbctl_dns import edns, message, names, replies, wire, zone

HOST = "kuard.default.lb.example"
RESPONDER = nb.responder(
    *nb.sets(HOST, "192.0.2.10", "2001:db8::10"),
    zone.RecordSet(names.to_wire(HOST), zone.TXT, 5, (b"\3abc",)),
)
ASKED = st.tuples(
    st.sampled_from((HOST, "default.lb.example", "no.lb.example", "lb.example", "example.org")),
    st.sampled_from((zone.A, zone.AAAA, zone.TXT, zone.SOA, 65)),
    st.sampled_from((b"", edns.render())),
)


def answered(asked: tuple[str, int, bytes]) -> bytes:
    host, rtype, opt = asked
    reply = RESPONDER.answer(nb.query(host, rtype, opt=opt), wire.UDP, "")
    assert reply is not None
    return reply


@given(ASKED)
def test_our_replies_read_as_another_library_reads_them(asked: tuple[str, int, bytes]) -> None:
    packet = answered(asked)
    found, other = replies.parse(packet), dnslib.DNSRecord.parse(packet)
    theirs = [(str(one.rname), one.ttl, one.rtype, one.rdata) for one in other.rr]
    ours = [(one.name, one.ttl_s, one.rtype) for one in found.answer]
    assert ours == [one[:3] for one in theirs]
    if asked[1] in {zone.A, zone.TXT}:
        assert [one.content for one in found.answer] == [str(one[3]) for one in theirs]
    assert found.rcode == other.header.rcode
    assert len(found.authority) == len(other.auth)


@given(ASKED, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4))
def test_damaged_replies_raise_nothing_else(
    asked: tuple[str, int, bytes], damages: list[tuple[int, int]]
) -> None:
    packet = bytearray(answered(asked))
    for at, value in damages:
        packet[at % len(packet)] = value
    with contextlib.suppress(message.Malformed):
        replies.parse(bytes(packet))


@given(st.binary(max_size=300))
def test_noise_raises_nothing_else(noise: bytes) -> None:
    with contextlib.suppress(message.Malformed):
        replies.parse(b"\0\0\x80" + noise)


@given(ASKED, st.integers(0, 500))
def test_a_reply_that_is_cut_is_malformed(asked: tuple[str, int, bytes], length: int) -> None:
    packet = answered(asked)
    with pytest.raises(message.Malformed):
        replies.parse(packet[: length % len(packet)])
