"""Which addresses a text of the settings stands for."""

import pytest

import builders
from lbctl.model.pool import parse_block, parse_range


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("192.0.2.0/24", "192.0.2.1", "192.0.2.254"),
        ("192.0.2.0/30", "192.0.2.1", "192.0.2.2"),
        ("192.0.2.0/31", "192.0.2.0", "192.0.2.1"),
        (" 192.0.2.7/32 ", "192.0.2.7", "192.0.2.7"),
        ("2001:db8::/112", "2001:db8::1", "2001:db8::ffff"),
        ("2001:db8::/126", "2001:db8::1", "2001:db8::3"),
        ("2001:db8::/127", "2001:db8::", "2001:db8::1"),
        ("192.0.2.0 - 192.0.2.255", "192.0.2.0", "192.0.2.255"),
        ("2001:db8::5-2001:db8::5", "2001:db8::5", "2001:db8::5"),
    ],
)
def test_a_cidr_means_its_hosts_and_a_range_all_of_it(text: str, first: str, last: str) -> None:
    found = parse_range(text)
    assert (str(found.first), str(found.last)) == (first, last)
    assert found.family == builders.address(first).version


@pytest.mark.parametrize(
    "text",
    ["192.0.2.9-192.0.2.1", "192.0.2.1-2001:db8::1", "192.0.2.1/24", "192.0.2", "x-y", ""],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_range(text)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.1", True),
        ("192.0.2.14", True),
        ("192.0.2.0", False),
        ("192.0.2.15", False),
        ("2001:db8::1", False),
    ],
)
def test_a_range_knows_its_addresses(address: str, inside: bool) -> None:
    assert (builders.address(address) in parse_range("192.0.2.0/28")) is inside


def test_a_range_never_holds_the_number_of_another_family() -> None:
    assert builders.address("::c000:201") not in parse_range("192.0.2.0/28")


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("192.0.2.0/30", "192.0.2.0", "192.0.2.3"),
        ("2001:db8::/126", "2001:db8::", "2001:db8::3"),
        ("192.0.2.1-192.0.2.9", "192.0.2.1", "192.0.2.9"),
    ],
)
def test_a_block_is_all_of_a_cidr(text: str, first: str, last: str) -> None:
    found = parse_block(text)
    assert (str(found.first), str(found.last)) == (first, last)
