"""How many addresses pools have, and which one an address is in."""

import pytest

import builders
import ipam_builders as ipam
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.pools import AddressPools
from lbctl.model.pool import AddressPool

CONFIGURED = ipam.pool("default", "192.0.2.0/24")


@pytest.mark.parametrize(
    ("pool", "size"),
    [
        (ipam.pool("p", "192.0.2.0/24"), 254),
        (ipam.pool("p", "192.0.2.0-192.0.2.255"), 256),
        (ipam.pool("p", "192.0.2.0-192.0.2.255", avoid_buggy=True), 254),
        (ipam.pool("p", "10.0.0.0-10.0.3.255", avoid_buggy=True), 1016),
        (ipam.pool("p", "10.0.0.255-10.0.1.0", avoid_buggy=True), 0),
        (ipam.pool("p", "0.0.0.0-0.0.0.1", avoid_buggy=True), 1),
        (ipam.pool("p", "192.0.2.0/24", "192.0.2.128/25", "192.0.2.9"), 254),
        (ipam.pool("p", "192.0.2.0/24", reserved=("192.0.2.0/28",)), 239),
        (ipam.pool("p", "192.0.2.0/24", static=("192.0.2.1-192.0.2.9", "198.51.100.1")), 255),
        (ipam.pool("p", "192.0.2.0/30", static=("192.0.2.1",), reserved=("192.0.2.1/32",)), 1),
        (ipam.pool("p", "2001:db8::/64"), 0),
    ],
)
def test_a_pool_counts_each_address_it_can_give_once(pool: AddressPool, size: int) -> None:
    pools = AddressPools([pool])
    assert pools.size("p", 4) == pools.available("p", 4, Ledger()) == size


def test_of_ipv6_all_are_counted() -> None:
    assert AddressPools([ipam.pool("p", "2001:db8::/64")]).size("p", 6) == 2**64 - 1


def test_what_is_held_or_reserved_or_held_though_barred_is_not_available() -> None:
    pool = ipam.pool("p", "192.0.2.0-192.0.2.255", avoid_buggy=True, reserved=("192.0.2.9/32",))
    ledger = Ledger(
        [
            ipam.bound("192.0.2.0", "a"),  # given before such were avoided
            ipam.bound("192.0.2.1", "b"),
            ipam.bound("192.0.2.9", "c"),  # given before it was reserved
            ipam.reserved("192.0.2.5", "default/d"),
            ipam.bound("203.0.113.1", "e"),
        ]
    )
    pools = AddressPools([pool])
    assert pools.size("p", 4) == 253
    assert pools.available("p", 4, ledger) == 251


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("192.0.2.1", "a"),
        ("192.0.2.9", "a"),
        ("192.0.2.10", "b"),
        ("192.0.2.20", None),
        ("2001:db8::1", "b"),
        ("198.51.100.1", "a"),
        ("0.0.0.1", None),
    ],
)
def test_an_address_is_in_one_pool_or_none(text: str, name: str | None) -> None:
    pools = AddressPools(
        [
            ipam.pool("b", "192.0.2.10-192.0.2.19", "2001:db8::1"),
            ipam.pool(
                "a", "192.0.2.1-192.0.2.9", static=("198.51.100.1",), reserved=("192.0.2.9/32",)
            ),
        ]
    )
    found = pools.holding(builders.address(text))
    assert (found.name if found else None) == name


def test_pools_are_equal_when_they_give_the_same() -> None:
    assert AddressPools([CONFIGURED]) == AddressPools([CONFIGURED])
    assert AddressPools([CONFIGURED]) != AddressPools([])
    assert AddressPools([]) != ()
