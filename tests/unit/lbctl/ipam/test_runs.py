"""Runs of numbers against a plain set."""

from hypothesis import given
from hypothesis import strategies as st

from lbctl.ipam.runs import Runs

NUMBERS = st.integers(0, 24)


@given(st.lists(st.tuples(st.booleans(), NUMBERS)), NUMBERS, NUMBERS)
def test_runs_say_what_a_set_says(changes: list[tuple[bool, int]], start: int, other: int) -> None:
    runs, plain = Runs(), set[int]()
    for added, number in changes:
        (runs.add if added else runs.discard)(number)
        (plain.add if added else plain.discard)(number)
    assert runs.free_from(start) == next(n for n in range(start, 99) if n not in plain)
    first, last = sorted((start, other))
    covered = [n for low, high in runs.within(first, last) for n in range(low, high + 1)]
    assert covered == sorted(n for n in plain if first <= n <= last)
    assert all(low <= high for low, high in runs.within(0, 24))


def test_what_lies_side_by_side_is_one_run() -> None:
    runs = Runs()
    for number in (1, 3, 2):
        runs.add(number)
    assert list(runs.within(0, 9)) == [(1, 3)]
