"""Requests for zones and their replies, from the worker's gate to the last message."""

import dnslib
import pytest

import nameserver_builders as nb
from lbctl_dns import edns, gate, journal, lookup, message, transfers, tsig, wire, zone
from transfer_builders import (
    CLIENT,
    KEY,
    KNOWN,
    NOW,
    OTHER,
    records_in,
    request,
    signed,
    soa,
)  # fmt: skip

HOST = "kuard.default.lb.example"
OPT = edns.render()


def worker() -> wire.Responder:
    found = nb.responder(*nb.sets(HOST, "192.0.2.1"))
    found.gate = gate.Gate(KNOWN)
    found.clerk.tick(NOW)
    return found


def asked(
    packet: bytes, transport: wire.Transport = wire.TCP, client: str = CLIENT
) -> bytes | None:
    return worker().answer(packet, transport, client)


def rcode(reply: bytes | None) -> int:
    assert reply
    return reply[3] & 15


def library(*sizes: int) -> journal.Library:
    """A zone with one A set of each size, at serial 1."""
    found = journal.Library()
    sets = [nb.sets(f"h{n}.lb.example", *hosts(n, size)) for n, size in enumerate(sizes)]
    found.show([soa(1), *(one for group in sets for one in group)])
    return found


def hosts(number: int, count: int) -> list[str]:
    return [f"10.{number}.{n >> 8}.{n & 255}" for n in range(count)]


def reply(packet: bytes, zones: journal.Library, *, by_udp: bool = False) -> transfers.Reply:
    asker = transfers.Asker(CLIENT, by_udp, lambda: NOW)
    found = transfers.reply(packet, zones, KNOWN, asker)
    assert found is not None
    return found


@pytest.mark.parametrize("serial", [None, 7])
def test_a_worker_leaves_what_is_allowed_to_the_feed_process(serial: int | None) -> None:
    qtype = message.AXFR if serial is None else message.IXFR
    assert asked(signed(request(qtype, serial))[0]) == gate.HANDED


def test_ixfr_by_udp_is_left_too_and_axfr_is_refused() -> None:
    assert asked(signed(request(message.IXFR, 7))[0], wire.UDP) == gate.HANDED
    assert rcode(asked(signed(request())[0], wire.UDP)) == lookup.REFUSED


@pytest.mark.parametrize("qtype", [message.AXFR, message.IXFR])
def test_a_worker_refuses_what_no_rule_allows(qtype: int) -> None:
    serial = 7 if qtype == message.IXFR else None
    for packet in (request(qtype, serial), signed(request(qtype, serial), OTHER)[0]):
        assert rcode(asked(packet)) == lookup.REFUSED
    from_elsewhere = asked(signed(request(qtype, serial))[0], client="203.0.113.9")
    assert rcode(from_elsewhere) == lookup.REFUSED


@pytest.mark.parametrize("dnssec_ok", [False, True])
@pytest.mark.parametrize(("qtype", "serial"), [(message.AXFR, None), (message.IXFR, 7)])
def test_a_refused_transfer_is_answered_with_edns_as_any_query(
    qtype: int, serial: int | None, dnssec_ok: bool
) -> None:
    opt = edns.render(dnssec_ok)
    refused = asked(request(qtype, serial, opt))
    assert refused
    assert (rcode(refused), refused[-len(opt) :]) == (lookup.REFUSED, opt)
    assert refused == worker().answer(nb.query("lb.example", qtype, opt=opt), wire.TCP, CLIENT)


def test_a_refused_transfer_gets_a_cookie_and_is_told_the_version_that_we_know() -> None:
    cookie = edns.render(options=b"\0\x0a\0\x08abcdefgh")
    with_cookie = asked(request(message.IXFR, 7, cookie))
    assert with_cookie
    assert with_cookie[-24:-16] == b"abcdefgh"
    later = asked(request(opt=OPT[:6] + b"\1" + OPT[7:]))
    assert later
    assert dnslib.DNSRecord.parse(later).ar[0].edns_ver == 0
    assert later[3] & 15 == lookup.BADVERS & 15


@pytest.mark.parametrize(
    ("key", "now_s"),
    [(OTHER, NOW), (KEY, NOW - 400), (tsig.Key(KEY.name, "hmac-sha256", b"x" * 32), NOW)],
    ids=["no rule", "wrong time", "wrong secret"],
)
def test_the_signature_of_a_refusal_is_behind_its_opt(key: tsig.Key, now_s: int) -> None:
    packet, _ = signed(request(opt=OPT), key, now_s)
    by_feed = list(reply(packet, library(1)).messages)
    for refused in (asked(packet), *by_feed):
        assert refused
        kinds = [one.rtype for one in message.parse(refused).records]
        assert kinds == [41, message.TSIG]


def test_without_rules_nothing_reaches_the_feed_process() -> None:
    plain = nb.responder()
    assert rcode(plain.answer(request(), wire.TCP, CLIENT)) == lookup.REFUSED
    assert rcode(plain.answer(signed(request())[0], wire.TCP, CLIENT)) == tsig.NOTAUTH


def test_a_signed_query_gets_the_same_answer_signed() -> None:
    query = nb.query(HOST)
    packet, mac = signed(query)
    reply = asked(packet, wire.UDP)
    assert reply
    signature = tsig.find(message.parse(reply))
    assert signature is not None
    assert tsig.verify(reply, signature, KNOWN.keys, NOW, mac) == tsig.Verdict(0, KEY)
    assert tsig.stripped(reply, signature) == worker().answer(query, wire.UDP, CLIENT)


def test_a_signed_reply_fits_into_the_datagram() -> None:
    records = nb.sets(HOST, *(f"192.0.2.{n}" for n in range(26)))
    crowded = nb.responder(*records)
    crowded.gate = gate.Gate(KNOWN)
    crowded.clerk.tick(NOW)
    whole = crowded.answer(nb.query(HOST), wire.UDP, CLIENT)
    cut = crowded.answer(signed(nb.query(HOST))[0], wire.UDP, CLIENT)
    assert whole is not None
    assert cut is not None
    assert (whole[2] & 2, cut[2] & 2) == (0, 2)
    assert len(cut) <= 512


@pytest.mark.parametrize(
    ("key", "now_s", "error"), [(OTHER, NOW, 0), (KEY, NOW - 400, tsig.BADTIME)]
)
def test_a_wrong_time_is_said_in_a_signed_reply(key: tsig.Key, now_s: int, error: int) -> None:
    packet, mac = signed(nb.query(HOST), key, now_s)
    reply = asked(packet, wire.UDP)
    assert reply
    signature = tsig.find(message.parse(reply))
    assert signature is not None
    assert signature.error == error
    # The client checks the time that it sent itself (RFC 8945 §5.2.3).
    assert tsig.verify(reply, signature, KNOWN.keys, now_s, mac).error == tsig.NOERROR
    assert signature.other == (NOW.to_bytes(6) if error else b"")


@pytest.mark.parametrize("client_knows", ["another secret", "another name"])
def test_a_wrong_key_is_said_without_a_mac(client_knows: str) -> None:
    name = b"\x05other\0" if client_knows == "another name" else KEY.name
    packet, _ = signed(nb.query(HOST), tsig.Key(name, "hmac-sha256", b"x" * 32))
    reply = asked(packet, wire.UDP)
    assert reply
    signature = tsig.find(message.parse(reply))
    assert signature is not None
    wanted = tsig.BADKEY if client_knows == "another name" else tsig.BADSIG
    assert (rcode(reply), signature.error, signature.mac) == (tsig.NOTAUTH, wanted, b"")
    assert len(reply) <= len(packet)


def test_a_malformed_request_is_a_format_error_as_ever() -> None:
    assert rcode(asked(request()[:-1] + b"\x01\0")) == lookup.FORMERR
    assert rcode(asked(signed(request())[0][:-1])) == lookup.FORMERR


def test_a_zone_travels_whole_in_messages_of_bounded_size() -> None:
    zones = library(700, 700, 1)
    found = reply(signed(request())[0], zones)
    messages = list(found.messages)
    assert (found.outcome, found.serial, len(messages)) == ("axfr", 1, 3)
    assert records_in(messages) == list(zones.zones[nb.ORIGIN].full())
    assert [dnslib.DNSRecord.parse(one).header.q for one in messages] == [1, 0, 0]
    assert max(map(len, messages)) < transfers.MAX_MESSAGE + 512


def test_a_transfer_goes_on_from_what_the_zone_was_when_it_began() -> None:
    zones = library(700, 700)
    before = list(zones.zones[nb.ORIGIN].full())
    messages = reply(signed(request())[0], zones).messages
    sent = [next(messages)]
    zones.change(zone.Change((soa(2),), (nb.sets("h1.lb.example", "10.0.0.1")[0].key,)))
    assert records_in([*sent, *messages]) == before
    assert len(list(zones.zones[nb.ORIGIN].full())) < len(before)


def test_every_message_is_signed_and_by_the_time_it_leaves() -> None:
    packet, mac = signed(request())
    clock = iter(range(NOW, NOW + 100))
    asker = transfers.Asker(CLIENT, False, lambda: next(clock))
    found = transfers.reply(packet, library(700, 700), KNOWN, asker)
    assert found is not None
    ends = [one[-48:] for one in found.messages]
    assert [int.from_bytes(end[:6]) - NOW for end in ends] == [1, 2, 3]
    assert len({mac, *(end[10:42] for end in ends)}) == 4


def test_edns_is_answered_with_edns_in_the_first_message() -> None:
    messages = list(reply(signed(request(opt=OPT))[0], library(700, 700)).messages)
    kinds = [[one.rtype for one in dnslib.DNSRecord.parse(each).ar] for each in messages]
    assert kinds == [[41, 250], [250], [250]]


def test_a_datagram_takes_the_steps_where_they_fit_and_else_the_soa_alone() -> None:
    zones = library(50)
    zones.change(zone.Change((soa(2), *nb.sets("new.lb.example", *hosts(1, 4)))))
    packet = {opt: signed(request(message.IXFR, 1, opt))[0] for opt in (b"", OPT)}
    for opt, outcome, limit in ((b"", "soa", 512), (OPT, "ixfr", 1232)):
        found = reply(packet[opt], zones, by_udp=True)
        (one,) = found.messages
        assert found.outcome == outcome
        assert len(one) <= limit
        assert len(records_in([one])) == (1 if outcome == "soa" else 8)


@pytest.mark.parametrize(
    ("zones", "wanted"), [(journal.Library(), lookup.SERVFAIL), (library(1), tsig.NOTAUTH)]
)
def test_a_zone_that_is_not_ours_is_said_and_one_not_known_yet_is_asked_for_again(
    zones: journal.Library, wanted: int
) -> None:
    elsewhere = request().replace(b"\x02lb\x07example", b"\x02xx\x07example")
    found = reply(signed(elsewhere)[0], zones)
    (one,) = found.messages
    assert (found.outcome, rcode(one)) == ("refused", wanted)


def test_the_feed_process_believes_no_worker() -> None:
    asker = transfers.Asker("203.0.113.9", False, lambda: NOW)
    refused = transfers.reply(signed(request())[0], library(1), KNOWN, asker)
    assert refused is not None
    assert refused.outcome == "refused"
    forged = signed(request())[0][:-20] + bytes(20)
    assert reply(forged, library(1)).outcome == "invalid"


@pytest.mark.parametrize("packet", [b"", nb.query(HOST), request()[:-3]])
def test_what_is_no_request_for_a_zone_ends_the_connection(packet: bytes) -> None:
    asker = transfers.Asker(CLIENT, False, lambda: NOW)
    assert transfers.reply(packet, library(1), KNOWN, asker) is None


def test_what_only_looks_like_a_transfer_is_answered_as_ever() -> None:
    as_reply = request()[:2] + b"\x80" + request()[3:]
    assert asked(as_reply) is None
    as_notify = request()[:2] + b"\x20" + request()[3:]
    assert rcode(asked(as_notify)) == lookup.REFUSED
    assert rcode(asked(request().replace(b"\xfc\0\x01", b"\xfc\0\x03"))) == lookup.REFUSED


def test_the_feed_process_refuses_by_key_and_place_again() -> None:
    refused = reply(signed(request(), OTHER)[0], library(1))
    assert refused.outcome == "refused"
    (one,) = refused.messages
    assert rcode(one) == lookup.REFUSED


@pytest.mark.parametrize("cut", range(1, 45))
def test_a_request_that_is_cut_anywhere_is_malformed(cut: int) -> None:
    whole = request(message.IXFR, 7, OPT)
    with pytest.raises(message.Malformed):
        message.parse(whole[:-cut])


@pytest.mark.parametrize(
    "packet",
    [
        request()[:4] + b"\0\x02" + request()[6:],
        request()[:10] + b"\0\x09" + request()[12:] + OPT * 9,
        request()[:12] + b"\xc0\x0c" + request()[12:],
        request()[:12] + b"\x40" * 80 + request()[12:],
        request() + b"x",
    ],
)
def test_what_is_not_one_question_and_few_records_is_malformed(packet: bytes) -> None:
    with pytest.raises(message.Malformed):
        message.parse(packet)
