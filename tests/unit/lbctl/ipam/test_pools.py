"""Which pools give addresses, how many they have, and which one an address is in."""

import pytest

import builders
import ipam_builders as ipam
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.pools import AddressPools, resolve
from lbctl.model.pool import AddressPool, DeclaredPool
from lbctl.model.reasons import Reason, Refused

CONFIGURED = ipam.pool("default", "192.0.2.0/24")


def declared(name: str, *texts: str, created: str = "2026-11-21T12:00:00Z") -> DeclaredPool:
    return DeclaredPool(name, created, ipam.pool(name, *texts))


def test_objects_stand_beside_the_settings() -> None:
    found = resolve([CONFIGURED], [declared("more", "198.51.100.0/24")])
    assert [pool.name for pool in found.pools] == ["default", "more"]
    assert found.refused == {}


def test_a_name_of_the_settings_is_taken() -> None:
    found = resolve([CONFIGURED], [declared("default", "198.51.100.0/24")])
    assert found.refused["default"].reason is Reason.NAME_TAKEN
    assert len(found.pools) == 1


def test_what_overlaps_an_older_pool_gives_nothing_and_is_told_with_what() -> None:
    newer = declared("a", "198.51.100.9-198.51.100.99", created="2026-11-21T12:00:01Z")
    older = declared("b", "198.51.100.0/28")
    found = resolve([], [newer, older])
    assert [pool.name for pool in found.pools] == ["b"]
    assert found.refused["a"] == Refused(
        Reason.OVERLAPS, "198.51.100.9-198.51.100.14 is in pool b too"
    )


def test_of_two_pools_of_one_age_the_first_name_counts() -> None:
    found = resolve([], [declared("b", "192.0.2.1"), declared("a", "192.0.2.1")])
    assert list(found.refused) == ["b"]


def test_static_addresses_overlap_too_and_families_never_do() -> None:
    static = DeclaredPool("s", "", ipam.pool("s", static=("192.0.2.7",)))
    assert list(resolve([CONFIGURED], [static]).refused) == ["s"]
    six = declared("six", "::c000:201-::c000:2ff")
    assert resolve([CONFIGURED], [six]).refused == {}


def test_what_does_not_parse_gives_nothing() -> None:
    broken = DeclaredPool("x", "", Refused(Reason.POOL_MALFORMED, "spec.addresses: y"))
    assert resolve([], [broken]).refused == {"x": broken.pool}


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
