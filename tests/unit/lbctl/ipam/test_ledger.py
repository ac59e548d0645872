"""The ledger's own corners; its behaviour at large is a property test."""

import time

import builders
import ipam_builders as ipam
from lbctl.ipam.allocator import Grant, allocate
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.pools import AddressPools
from lbctl.model.pool import parse_range

RANGE = parse_range("192.0.2.1-192.0.2.3")
ONE, TWO, THREE = (builders.address(f"192.0.2.{n}") for n in (1, 2, 3))


def test_removing_what_is_free_changes_nothing() -> None:
    ledger = Ledger()
    ledger.remove(ONE)
    assert ledger.lowest_free(RANGE) == ONE
    assert ledger.at(ONE) is None


def test_asking_does_not_take() -> None:
    ledger = Ledger()
    assert ledger.lowest_free(RANGE) == ledger.lowest_free(RANGE) == ONE


def test_a_returned_address_is_given_again_before_higher_ones() -> None:
    ledger = ipam.ledger(a=str(ONE), b=str(TWO))
    assert ledger.lowest_free(RANGE) == THREE
    ledger.remove(ONE)
    assert ledger.lowest_free(RANGE) == ONE


def test_a_range_that_is_used_up_has_no_free_address() -> None:
    ledger = ipam.ledger(a=str(ONE), b=str(TWO), c=str(THREE))
    assert ledger.lowest_free(RANGE) is None
    ledger.remove(builders.address("192.0.2.9"))
    assert ledger.lowest_free(RANGE) is None


def test_addresses_that_confuse_firmware_are_stepped_over() -> None:
    ledger = ipam.ledger(a="192.0.2.254", b="192.0.3.1")
    found = ledger.lowest_free(parse_range("192.0.2.254-192.0.3.9"), avoid_buggy=True)
    assert found == builders.address("192.0.3.2")
    only = parse_range("192.0.2.255-192.0.3.0")
    assert ledger.lowest_free(only, avoid_buggy=True) is None


def test_what_is_put_last_counts() -> None:
    ledger = ipam.ledger(a=str(ONE))
    ledger.put(ipam.bound(str(ONE), "b", sharing_key="web"))
    found = ledger.at(ONE)
    assert found is not None
    assert found.is_held_by("uid-b")
    assert ledger.bound("first", 4) == 1


def test_addresses_are_found_by_sharing_key_and_family() -> None:
    ledger = Ledger(
        [
            ipam.bound("192.0.2.3", "a", sharing_key="web"),
            ipam.bound("192.0.2.1", "b", sharing_key="web"),
            ipam.bound("2001:db8::1", "b", sharing_key="web"),
            ipam.bound("192.0.2.2", "c", sharing_key="other"),
        ]
    )
    assert [entry.address for entry in ledger.shared("web", 4)] == [ONE, THREE]
    ledger.remove(ONE)
    ledger.remove(THREE)
    assert ledger.shared("web", 4) == ()


def test_reservations_are_found_by_whom_they_are_for_and_are_not_held() -> None:
    ledger = Ledger([ipam.reserved("192.0.2.1", "default/me")])
    assert [entry.address for entry in ledger.reserved("default/me", 4)] == [ONE]
    assert ledger.reserved("default/me", 6) == ledger.reserved("default/you", 4) == ()
    assert ledger.bound("first", 4) == 0
    assert ledger.lowest_free(RANGE) == TWO


def test_granting_ten_thousand_addresses_costs_less_than_a_second_of_cpu() -> None:
    pools = AddressPools([ipam.pool("big", "10.0.0.0/16", reserved=("10.0.1.0/24",))])
    ledger = Ledger()
    started = time.process_time()
    for number in range(10_000):
        found = allocate(ipam.request(f"s{number}"), pools, ledger)
        assert isinstance(found, Grant)
        ledger.put(found.allocation)
    for number in range(1, 10_000, 2):  # every other one comes back and is given again
        ledger.remove(builders.address("10.0.0.0") + number)
    assert ledger.lowest_free(pools.parts("big", 4)[0]) == builders.address("10.0.0.1")
    # Measured 0.2 s; the bound is far above what a busy machine adds and far below a scan's cost.
    assert time.process_time() - started < 2
