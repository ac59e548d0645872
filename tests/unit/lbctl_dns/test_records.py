import pytest

from lbctl_dns import names, records, table, zone

SOA = "@ 5 IN SOA ns1 hostmaster 7 10800 3600 86400 5\n"


def test_a_zone_file_becomes_record_sets_with_names_in_full() -> None:
    text = SOA + "@ IN NS ns1\nNS1 IN A 192.0.2.53\nwww 60 IN CNAME kuard\nm IN MX 10 ns1\n"
    found, serial = records.parse_zone("$TTL 5\n" + text, "lb.example")
    by_key = {one.key: one for one in found.fixed}
    ns1 = names.to_wire("ns1.lb.example")
    assert serial == 7
    assert found.soa.negative_ttl_s == 5
    assert found.soa.mname == ns1
    assert by_key[names.to_wire("lb.example"), zone.NS].rdatas == (ns1,)
    assert by_key[ns1, zone.A] == zone.RecordSet(ns1, zone.A, 5, (bytes((192, 0, 2, 53)),))
    assert by_key[names.to_wire("m.lb.example"), zone.MX].rdatas == (b"\0\x0a" + ns1,)
    assert by_key[names.to_wire("www.lb.example"), zone.CNAME].ttl_s == 60


def test_records_of_one_name_and_type_are_one_set_with_one_ttl() -> None:
    found, _ = records.parse_zone(SOA + "x 9 IN A 192.0.2.1\nx 5 IN A 192.0.2.2\n", "lb.example")
    (one,) = found.fixed
    assert (one.ttl_s, len(one.rdatas)) == (5, 2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x 5 IN A 192.0.2.1\n", "SOA"),
        (SOA + SOA.replace("@", "x"), "SOA"),
        (SOA + "x 5 IN A 192.0.2\n", "lb.example"),
        (SOA + "x.other.example. 5 IN A 192.0.2.1\n", "outside"),
        (SOA + "x" * 64 + " 5 IN A 192.0.2.1\n", "label"),
    ],
)
def test_what_is_no_zone_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(records.MalformedZone, match=reason):
        records.parse_zone(text, "lb.example")


def test_encoding_a_set_loses_nothing() -> None:
    found, _ = records.parse_zone(SOA + '@ IN NS ns1\nx 5 IN TXT "a b"\n', "lb.example")
    for one in found.fixed:
        assert table.decode(table.encode(one)) == one


def test_relative_names_and_the_origin_are_written_in_full_in_every_type() -> None:
    text = (
        "@ 5 IN NS @\n_h._tcp IN SRV 1 2 80 kuard\nm IN MX 10 @\np IN PTR a.b\nc IN CNAME @\n"
        "far IN SRV 0 0 80 there.example.org.\n$ORIGIN sub.lb.example.\nx IN SRV 0 0 80 y\n"
    )
    found, _ = records.parse_zone(SOA + text, "lb.example")
    shown = {
        names.to_text(one.name).removesuffix(".lb.example."): one.rdatas[0] for one in found.fixed
    }
    origin = names.to_wire("lb.example")
    srv = bytes((0, 0, 0, 0, 0, 80))
    assert shown == {
        "lb.example.": origin,
        "_h._tcp": bytes((0, 1, 0, 2, 0, 80)) + names.to_wire("kuard.lb.example"),
        "m": b"\0\x0a" + origin,
        "p": names.to_wire("a.b.lb.example"),
        "c": origin,
        "far": srv + names.to_wire("there.example.org"),
        "x.sub": srv + names.to_wire("y.sub.lb.example"),
    }
