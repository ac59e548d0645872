"""Which pool has which addresses: ranges by their first address. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from lbctl.model.pool import AddressPool, AddressRange, address_of


class Owners:
    """Which pool has which addresses, given or not: found without a look at every pool."""

    def __init__(self) -> None:
        self._firsts: dict[int, list[int]] = {4: [], 6: []}
        self._rest: dict[int, list[tuple[int, AddressPool]]] = {4: [], 6: []}
        """The last address of each range, and the pool."""

    def add(self, pool: AddressPool) -> None:
        """Take a pool that has no address in common with those before."""
        for part in disjoint((*pool.ranges, *pool.static), ()):
            firsts, first = self._firsts[part.family], int(part.first)
            at = bisect_right(firsts, first)
            firsts.insert(at, first)
            self._rest[part.family].insert(at, (int(part.last), pool))

    def remove(self, pool: AddressPool) -> None:
        """Forget a pool that was added."""
        for part in disjoint((*pool.ranges, *pool.static), ()):
            firsts = self._firsts[part.family]
            at = bisect_left(firsts, int(part.first))
            del firsts[at], self._rest[part.family][at]

    def of(self, family: int, number: int) -> AddressPool | None:
        """Return the pool that has an address."""
        at = bisect_right(self._firsts[family], number) - 1
        if at < 0 or number > self._rest[family][at][0]:
            return None
        return self._rest[family][at][1]

    def meeting(self, pool: AddressPool) -> AddressPool | None:
        """Return a pool that has any address of another one."""
        for part in (*pool.ranges, *pool.static):
            firsts, first = self._firsts[part.family], int(part.first)
            before = self.of(part.family, first)
            if before is not None:
                return before
            after = bisect_right(firsts, first)
            if after < len(firsts) and firsts[after] <= int(part.last):
                return self._rest[part.family][after][1]
        return None


def disjoint(
    ranges: Iterable[AddressRange], without: Iterable[AddressRange]
) -> Iterator[AddressRange]:
    """Yield what is left of ranges, in their order: each address once, and none of `without`."""
    barred = list(without)
    for entry in ranges:
        yield from _minus(entry, barred)
        barred.append(entry)


def _minus(entry: AddressRange, barred: Iterable[AddressRange]) -> Iterator[AddressRange]:
    holes = sorted(
        (int(hole.first), int(hole.last)) for hole in barred if hole.family == entry.family
    )
    at, last = int(entry.first), int(entry.last)
    for first_gone, last_gone in holes:
        if last_gone < at or first_gone > last:
            continue
        if first_gone > at:
            yield span(entry.family, at, first_gone - 1)
        at = last_gone + 1
    if at <= last:
        yield span(entry.family, at, last)


def span(family: int, first: int, last: int) -> AddressRange:
    """Return the range between two addresses by their numbers."""
    return AddressRange(address_of(family, first), address_of(family, last))
