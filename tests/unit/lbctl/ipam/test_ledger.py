"""The ledger's own corners; its behaviour at large is a property test."""

import builders
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.ranges import parse_range

RANGE = parse_range("192.0.2.1-192.0.2.3")
ONE, TWO, THREE = (builders.address(f"192.0.2.{n}") for n in (1, 2, 3))


def test_releasing_what_is_free_changes_nothing() -> None:
    ledger = Ledger()
    ledger.release(ONE)
    assert ledger.lowest_free(RANGE) == ONE


def test_asking_does_not_take() -> None:
    ledger = Ledger()
    assert ledger.lowest_free(RANGE) == ledger.lowest_free(RANGE) == ONE
    assert ledger.holder(ONE) == ""


def test_a_returned_address_is_given_again_before_higher_ones() -> None:
    ledger = Ledger()
    for address in (ONE, TWO):
        ledger.bind(address, "a")
    assert ledger.lowest_free(RANGE) == THREE
    ledger.release(ONE)
    assert ledger.lowest_free(RANGE) == ONE


def test_a_returned_address_that_is_taken_again_by_name_is_not_offered() -> None:
    ledger = Ledger()
    for address in (ONE, TWO):
        ledger.bind(address, "a")
    ledger.lowest_free(RANGE)
    ledger.release(ONE)
    ledger.bind(ONE, "b")
    assert ledger.lowest_free(RANGE) == THREE


def test_an_address_ahead_of_the_frontier_is_skipped_and_found_when_it_is_back() -> None:
    ledger = Ledger()
    ledger.bind(TWO, "a")
    ledger.bind(ONE, "a")
    ledger.release(TWO)
    assert ledger.lowest_free(RANGE) == TWO


def test_an_address_ahead_of_the_frontier_that_comes_back_is_found_in_its_turn() -> None:
    ledger = Ledger()
    ledger.bind(THREE, "a")
    assert ledger.lowest_free(RANGE) == ONE
    ledger.release(THREE)
    assert ledger.lowest_free(RANGE) == ONE
    for address in (ONE, TWO):
        ledger.bind(address, "a")
    assert ledger.lowest_free(RANGE) == THREE


def test_a_range_that_is_used_up_has_no_free_address() -> None:
    ledger = Ledger()
    for address in (ONE, TWO, THREE):
        ledger.bind(address, "a")
    assert ledger.lowest_free(RANGE) is None
    ledger.release(builders.address("192.0.2.9"))
    assert ledger.lowest_free(RANGE) is None


def test_the_last_holder_counts() -> None:
    ledger = Ledger()
    ledger.bind(ONE, "a")
    ledger.bind(ONE, "b")
    assert ledger.holder(ONE) == "b"
