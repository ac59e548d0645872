"""Answers kept for as long as what they were made of stays the same. Pure.

A pass computes everything from a whole view; at thousands of virtual services most of it is what
the pass before computed.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """One answer per key. Call `turn` at the start of each pass: what it does not ask for goes."""

    def __init__(self) -> None:
        self._now: dict[K, tuple[tuple[object, ...], V]] = {}
        self._before: dict[K, tuple[tuple[object, ...], V]] = {}

    def turn(self) -> None:
        """Start a pass."""
        self._before, self._now = self._now, {}

    def get(self, key: K, inputs: tuple[object, ...], make: Callable[[], V]) -> V:
        """Return the answer for these inputs; `make` is called when they are new.

        Equal inputs cost nothing when they are the same objects.
        """
        known = self._before.get(key)
        if known is None or known[0] != inputs:
            known = (inputs, make())
        self._now[key] = known
        return known[1]
