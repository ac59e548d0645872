"""Zone files read line by line where that may be, against dnslib alone."""

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl_dns import names, plain_lines, records, zone

ORIGIN = names.to_wire("lb.example")
HEAD = "@ 30 IN SOA ns1 hostmaster 7 10800 3600 86400 30\n"
LINES = st.sampled_from(
    [
        "a IN A 192.0.2.1",
        "a 7 IN AAAA 2001:db8::1",
        "b.a A 192.0.2.2",
        "*.w\tIN\tA\t192.0.2.3  ",
        "@ IN A 192.0.2.4",
        "full.lb.example. 9 A 192.0.2.5",
        "10 IN A 192.0.2.6",
        "IN A 192.0.2.7",
        " IN A 192.0.2.8",
        "\tIN AAAA 2001:db8::2",
        "   ",
        "",
        "; a IN A 192.0.2.9 ( not open",
        "c IN A 192.0.2.10 ; why",
        't IN TXT "a ( b ; c"',
        "( d IN A 192.0.2.11 )",
        "( d IN A",
        "192.0.2.12",
        ")",
        "$TTL 11",
        "$TTL 1h",
        "$ORIGIN sub.lb.example.",
        "$ORIGIN lb.example.",
        "m IN MX 10 a.lb.example.",
        "Up IN A 192.0.2.13",
        "o\\046x IN A 192.0.2.14",
        "a.lb.example. IN A 192.0.2.15",
        "example. IN A 192.0.2.16",
        "p IN A 192.0.2.256",
        "p IN A 192.0.02.1",
        "p IN A 192.0.2",
    ]
)


def by_dnslib(text: str) -> list[tuple[zone.SetKey, int, bytes]]:
    parsed = dnslib.RR.fromZone(text + "\n", "lb.example.")
    return sorted(records._entry(one) for one in parsed)


@given(lines=st.lists(LINES, max_size=8))
def test_plain_lines_and_the_rest_are_what_the_whole_parser_reads(lines: list[str]) -> None:
    text = HEAD + "\n".join(lines)
    plain, rest = plain_lines.split(text, ORIGIN)
    try:
        whole = by_dnslib(text)
    except Exception:
        with pytest.raises(Exception):  # noqa: B017 - whatever it raises
            by_dnslib(rest)
        return
    assert sorted([*plain, *by_dnslib(rest)]) == whole


def test_a_zone_of_addresses_leaves_next_to_nothing_for_the_parser() -> None:
    lines = [f"svc-{n}.default IN A 192.0.2.{n}" for n in range(100)]
    plain, rest = plain_lines.split("$TTL 5\n" + HEAD + "\n".join(lines), ORIGIN)
    assert (len(plain), rest) == (100, "$TTL 5\n" + HEAD.strip())


@pytest.mark.parametrize(
    "line",
    [
        "$INCLUDE other",
        "a IN A 192.0.2.300",
        't TXT "open',
        "x\\. IN A 192.0.2.1",
        f"{'a' * 64} IN A 192.0.2.1",
        f"{'a.' * 123}b IN A 192.0.2.1",
        f"{'a.' * 5000}b IN A 192.0.2.1",
    ],
)
def test_what_is_unclear_leaves_all_of_it(line: str) -> None:
    text = f"a IN A 192.0.2.1\n{line}\nb IN A 192.0.2.2"
    assert plain_lines.split(text, ORIGIN) == ([], text)
