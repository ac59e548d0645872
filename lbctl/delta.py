"""Diff desired against observed state. Pure: no I/O, no clock, no logger."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Delta(Generic[K, V]):
    """Smallest change set for one driver; says nothing about order, `plan/order.py` does."""

    upserts: Mapping[K, V]
    deletes: frozenset[K]

    def __bool__(self) -> bool:
        """Tell whether there is anything to change."""
        return bool(self.upserts or self.deletes)


def diff(desired: Mapping[K, V], observed: Mapping[K, V]) -> Delta[K, V]:
    """Return what turns `observed` into `desired`; empty when they agree.

    >>> diff({"a": 1, "b": 2}, {"b": 3, "c": 4})
    Delta(upserts={'a': 1, 'b': 2}, deletes=frozenset({'c'}))
    """
    changed = {
        key: want for key, want in desired.items() if key not in observed or observed[key] != want
    }
    return Delta(changed, frozenset(observed.keys() - desired.keys()))
