"""Numbers that are taken, as runs without gaps: the next free one without a scan. Pure, mutable.

Finding costs O(log n) in the number of runs n, adding and removing a move of a list's tail besides
(n = 100,000: tens of µs). What is free follows from what is taken and from nothing else, so a
restart or another order of events gives the same answers.
"""

from bisect import bisect_right
from collections.abc import Iterator


class Runs:
    """Disjoint runs of whole numbers, none next to another."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def add(self, number: int) -> None:
        """Take a number; nothing happens when it is taken."""
        at = bisect_right(self._firsts, number)
        if at and number <= self._lasts[at - 1]:
            return
        joins_left = at > 0 and self._lasts[at - 1] == number - 1
        joins_right = at < len(self._firsts) and self._firsts[at] == number + 1
        if joins_left and joins_right:
            self._lasts[at - 1] = self._lasts.pop(at)
            self._firsts.pop(at)
        elif joins_left:
            self._lasts[at - 1] = number
        elif joins_right:
            self._firsts[at] = number
        else:
            self._firsts.insert(at, number)
            self._lasts.insert(at, number)

    def discard(self, number: int) -> None:
        """Free a number; nothing happens when it is free."""
        at = bisect_right(self._firsts, number) - 1
        if at < 0 or number > self._lasts[at]:
            return
        first, last = self._firsts[at], self._lasts[at]
        if first == last:
            self._firsts.pop(at)
            self._lasts.pop(at)
        elif number == first:
            self._firsts[at] = number + 1
        elif number == last:
            self._lasts[at] = number - 1
        else:
            self._lasts[at] = number - 1
            self._firsts.insert(at + 1, number + 1)
            self._lasts.insert(at + 1, last)

    def free_from(self, number: int) -> int:
        """Return the lowest free number that is not below `number`.

        >>> runs = Runs()
        >>> for number in (3, 4, 6): runs.add(number)
        >>> runs.free_from(3), runs.free_from(6), runs.free_from(1)
        (5, 7, 1)
        """
        at = bisect_right(self._firsts, number) - 1
        if at < 0 or number > self._lasts[at]:
            return number
        return self._lasts[at] + 1

    def within(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of runs that lie in `first` to `last`, both included, in order."""
        at = max(bisect_right(self._firsts, first) - 1, 0)
        while at < len(self._firsts) and self._firsts[at] <= last:
            if self._lasts[at] >= first:
                yield max(self._firsts[at], first), min(self._lasts[at], last)
            at += 1
