"""Which address a Service gets, or why none."""

import pytest

import builders
from lbctl.ipam.allocator import AddressRequest, Grant, allocate
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.ranges import parse_pool
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Address

FIRST = parse_pool("first", ["192.0.2.1-192.0.2.2"])
SECOND = parse_pool("second", ["198.51.100.1-198.51.100.2", "2001:db8::1-2001:db8::1"])
POOLS = (FIRST, SECOND)


def ledger(**held: str) -> Ledger:
    """Return a ledger in which each holder has the address that is its value."""
    made = Ledger()
    for holder, text in held.items():
        made.bind(builders.address(text), holder)
    return made


def at(text: str) -> Address:
    return builders.address(text)


def test_the_first_pools_lowest_address_is_given_first() -> None:
    assert allocate(AddressRequest("me", 4), POOLS, Ledger()) == Grant(at("192.0.2.1"), "first")


def test_a_pool_that_is_full_is_passed_over() -> None:
    full = ledger(a="192.0.2.1", b="192.0.2.2")
    assert allocate(AddressRequest("me", 4), POOLS, full) == Grant(at("198.51.100.1"), "second")


def test_a_pool_without_the_family_is_passed_over() -> None:
    assert allocate(AddressRequest("me", 6), POOLS, Ledger()) == Grant(at("2001:db8::1"), "second")


def test_when_all_is_held_the_refusal_names_the_pools_that_were_tried() -> None:
    full = ledger(a="192.0.2.1", b="192.0.2.2")
    assert allocate(AddressRequest("me", 4), [FIRST], full) == Refused(
        Reason.POOL_EXHAUSTED, "no free IPv4 address in first"
    )


@pytest.mark.parametrize("pools", [(), (FIRST,)])
def test_without_a_pool_of_the_family_there_is_no_pool(pools: tuple[()]) -> None:
    assert allocate(AddressRequest("me", 6), pools, Ledger()) == Refused(
        Reason.NO_POOL, "no pool has IPv6 addresses"
    )


@pytest.mark.parametrize("holder", ["", "me"])
def test_a_requested_address_is_given_when_it_is_free_or_held_already(holder: str) -> None:
    known = ledger(**({holder: "192.0.2.2"} if holder else {}))
    request = AddressRequest("me", 4, wanted=at("192.0.2.2"))
    assert allocate(request, POOLS, known) == Grant(at("192.0.2.2"), "first")


def test_a_requested_address_that_is_held_is_refused_and_no_other_given() -> None:
    request = AddressRequest("me", 4, wanted=at("192.0.2.2"))
    assert allocate(request, POOLS, ledger(other="192.0.2.2")) == Refused(
        Reason.ADDRESS_TAKEN, "192.0.2.2 is held by another Service"
    )


@pytest.mark.parametrize(("pools", "names"), [(POOLS, "first, second"), ((), "none exists")])
def test_a_requested_address_outside_every_pool_is_refused_naming_them(
    pools: tuple[()], names: str
) -> None:
    request = AddressRequest("me", 4, wanted=at("203.0.113.1"))
    assert allocate(request, pools, Ledger()) == Refused(
        Reason.ADDRESS_NOT_IN_POOL, f"203.0.113.1 is in no pool ({names})"
    )


def test_a_shown_address_is_adopted() -> None:
    request = AddressRequest("me", 4, shown=at("198.51.100.2"))
    assert allocate(request, POOLS, Ledger()) == Grant(at("198.51.100.2"), "second")


@pytest.mark.parametrize("shown", ["203.0.113.1", "192.0.2.1"])
def test_a_shown_address_that_cannot_be_had_gives_way_to_the_lowest_free(shown: str) -> None:
    request = AddressRequest("me", 4, shown=at(shown))
    found = allocate(request, POOLS, ledger(other="192.0.2.1"))
    assert found == Grant(at("192.0.2.2"), "first")


def test_a_request_beats_what_is_shown() -> None:
    request = AddressRequest("me", 4, wanted=at("192.0.2.2"), shown=at("192.0.2.1"))
    assert allocate(request, POOLS, Ledger()) == Grant(at("192.0.2.2"), "first")
