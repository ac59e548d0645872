"""The zones that the names of pools' addresses lie in."""

import pytest

from lbctl.model import reverse
from lbctl.model.hostnames import is_within
from lbctl.model.pool import parse_range


def origins(*texts: str) -> list[str]:
    return [f"{one}." for one in reverse.zones_of(parse_range(text) for text in texts)]


@pytest.mark.parametrize(
    ("ranges", "zones"),
    [
        (["192.0.2.0/24"], ["2.0.192.in-addr.arpa."]),
        (["192.0.2.64/26"], ["2.0.192.in-addr.arpa."]),
        (["192.0.2.7/32"], ["2.0.192.in-addr.arpa."]),
        (["198.18.0.0/16"], ["18.198.in-addr.arpa."]),
        (["10.0.0.0/8"], ["10.in-addr.arpa."]),
        (["198.18.0.0/15"], ["18.198.in-addr.arpa.", "19.198.in-addr.arpa."]),
        (["192.0.2.0/26", "192.0.2.128/26"], ["2.0.192.in-addr.arpa."]),
        (["192.0.2.250-192.0.3.5"], ["2.0.192.in-addr.arpa.", "3.0.192.in-addr.arpa."]),
        (["198.18.0.0/16", "198.18.7.0/24"], ["18.198.in-addr.arpa."]),
        (["2001:2::/48"], ["0.0.0.0.2.0.0.0.1.0.0.2.ip6.arpa."]),
        (["2001:db8::/32", "192.0.2.0/24"], ["2.0.192.in-addr.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa."]),
        ([], []),
    ],
)
def test_zones_end_where_delegations_do(ranges: list[str], zones: list[str]) -> None:
    assert origins(*ranges) == zones


def test_a_prefix_between_two_digits_makes_as_many_zones_as_there_are_digits() -> None:
    found = origins("2001:db8::/46")
    assert len(found) == 4
    assert all(one.endswith(".0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.") for one in found)
    assert len(origins("10.0.0.0/20")) == 16


def test_a_few_addresses_lie_in_the_zone_of_their_last_digit() -> None:
    (found,) = origins("2001:db8::1-2001:db8::3")
    assert found == "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa."


def test_everything_there_is_makes_zones_of_one_label() -> None:
    assert len(origins("0.0.0.0/0")) == 256


@pytest.mark.parametrize("text", ["192.0.2.0/24", "10.1.2.3-10.4.5.6", "2001:db8::/61"])
def test_every_address_lies_in_one_of_the_zones(text: str) -> None:
    one = parse_range(text)
    zones = reverse.zones_of([one])
    step = (int(one.last) - int(one.first)) // 97 or 1
    for number in range(int(one.first), int(one.last) + 1, step):
        name = type(one.first)(number).reverse_pointer
        assert sum(is_within(name, zone) for zone in zones) == 1
