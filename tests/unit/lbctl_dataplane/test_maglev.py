"""Maglev tables: sizes and shares."""

from collections import Counter

import pytest

import dataplane_builders as build
from lbctl_dataplane.rules import maglev
from lbctl_dataplane.rules.frontend import Member


def pods(count: int, weight: int = 1) -> tuple[Member, ...]:
    return tuple(Member(build.ip("10.0.0.1") + turn, 8080, weight) for turn in range(count))


@pytest.mark.parametrize(("count", "size"), [(1, 23), (2, 23), (3, 41), (4, 41), (5, 83), (9, 167)])
def test_a_table_has_at_least_ten_slots_a_member(count: int, size: int) -> None:
    assert maglev.size_for(pods(count)) == size == len(maglev.table(pods(count)))


def test_sizes_are_primes() -> None:
    for size in maglev.SIZES:
        assert all(size % divisor for divisor in range(2, size))


def test_equal_weights_of_any_amount_ask_for_no_larger_table() -> None:
    assert maglev.size_for(pods(4, weight=50)) == maglev.size_for(pods(4))


def test_shares_follow_weights() -> None:
    light, heavy = Member(build.ip("10.0.0.1"), 80, 1), Member(build.ip("10.0.0.2"), 80, 3)
    shares = Counter(maglev.table((light, heavy)))
    assert sum(shares.values()) == 41
    assert abs(shares[heavy] - 3 * shares[light]) <= 3


def test_more_members_than_the_largest_table_was_made_for_all_have_slots() -> None:
    many = pods(1500)
    assert len(maglev.table(many)) == maglev.SIZES[-1]
    assert set(maglev.table(many)) == set(many)


def test_no_weight_leaves_another_member_without_slots() -> None:
    heavy = tuple(Member(build.ip("10.0.0.1") + turn, 8080, 100) for turn in range(60))
    light = Member(build.ip("10.0.1.1"), 8080, 99)
    shares = Counter(maglev.table((*heavy, light)))
    assert shares.keys() == {*heavy, light}
    assert max(shares.values()) - min(shares.values()) <= 2


def test_turns_are_shares_and_come_evenly() -> None:
    one, three = (Member(build.ip(f"10.0.0.{n}"), 80, n) for n in (1, 3))
    turns = maglev.in_turn((three, one))
    assert len(turns) == maglev.size_for((one, three))
    assert turns[:8] == (one, three, three, three, one, three, three, three)
    assert maglev.in_turn(pods(2))[:4] == (*pods(2), *pods(2))


def test_on_average_a_tenth_of_the_other_slots_moves_when_a_member_goes() -> None:
    moved = []
    for count in (4, 7, 8, 16, 30):
        before, after = maglev.table(pods(count)), maglev.table(pods(count)[1:])
        stay = [pair for pair in zip(before, after, strict=True) if pair[0] != pods(count)[0]]
        moved.append(sum(one != other for one, other in stay) / len(stay))
    assert sum(moved) / len(moved) < 0.1
