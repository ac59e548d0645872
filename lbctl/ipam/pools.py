"""All pools that give addresses: which one has an address, which ones serve whom. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lbctl.ipam.ledger import Ledger
from lbctl.model.pool import (
    AddressPool,
    AddressRange,
    DeclaredPool,
    Subject,
    address_of,
    overlap,
)
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Address

FAMILIES = (4, 6)


class AddressPools:
    """Pools in the order in which they are tried: by priority, then name.

    No two have an address in common (`resolve` and the settings see to it).
    """

    def __init__(self, pools: Iterable[AddressPool] = ()) -> None:
        self._pools = tuple(sorted(pools, key=lambda pool: (pool.priority, pool.name)))
        self._named = {pool.name: pool for pool in self._pools}
        self.reuse_delays = {
            pool.name: pool.reuse_delay_s for pool in self._pools if pool.reuse_delay_s
        }
        """How long what is given back stays its holder's, by pool; the others keep nothing."""
        self._parts: dict[tuple[str, int], tuple[AddressRange, ...]] = {}
        """What of `ranges` is given automatically, by pool and family; disjoint."""
        self._requestable: dict[tuple[str, int], tuple[AddressRange, ...]] = {}
        """What else is given on request."""
        self._owners = _Owners()
        for pool in self._pools:
            given = [*_disjoint(pool.ranges, [*pool.static, *pool.reserved])]
            static = [*_disjoint(pool.static, pool.reserved)]
            for family in FAMILIES:
                key = (pool.name, family)
                self._parts[key] = tuple(part for part in given if part.family == family)
                self._requestable[key] = tuple(part for part in static if part.family == family)
            self._owners.add(pool)

    def __iter__(self) -> Iterator[AddressPool]:
        return iter(self._pools)

    def __len__(self) -> int:
        return len(self._pools)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AddressPools) and self._pools == other._pools

    __hash__ = None  # type: ignore[assignment]

    def named(self, name: str) -> AddressPool | None:
        """Return the pool of a name; None when none gives addresses under it."""
        return self._named.get(name)

    def holding(self, address: Address) -> AddressPool | None:
        """Return the pool that an address is in, given or not; None when it is in none."""
        return self._owners.of(address.version, int(address))

    def serving(self, subject: Subject) -> tuple[AddressPool, ...]:
        """Return the pools that may give a Service addresses, in order; fences hold both ways."""
        selecting = tuple(pool for pool in self._pools if pool.fence.selects(subject))
        if any(pool.fence.exclusive for pool in selecting):
            return selecting
        return tuple(pool for pool in self._pools if pool.fence.is_open or pool in selecting)

    def parts(self, pool: str, family: int) -> tuple[AddressRange, ...]:
        """Return what a pool gives automatically of one family, in the order it is given."""
        return self._parts[pool, family]

    def size(self, pool: str, family: int) -> int:
        """Return how many addresses of one family a pool can give in all, on request or not."""
        return sum(_count(part, self._named[pool]) for part in self._all(pool, family))

    def available(self, pool: str, family: int, ledger: Ledger) -> int:
        """Return how many of those are neither given nor reserved."""
        taken = 0
        for part in self._all(pool, family):
            for first, last in ledger.taken(part):
                taken += _count(_range(family, first, last), self._named[pool])
        return self.size(pool, family) - taken

    def _all(self, pool: str, family: int) -> tuple[AddressRange, ...]:
        return (*self._parts[pool, family], *self._requestable[pool, family])


@dataclass(frozen=True, slots=True)
class Resolved:
    """Which pools give addresses, and why others do not."""

    pools: AddressPools = field(default_factory=AddressPools)
    refused: Mapping[str, Refused] = field(default_factory=dict)
    """By the name of the AddressPool object."""


def resolve(configured: Sequence[AddressPool], declared: Iterable[DeclaredPool]) -> Resolved:
    """Return the pools of the settings, and of the objects those that may stand beside them.

    The settings count before objects, older objects before newer ones.
    """
    kept = {pool.name: pool for pool in configured}
    owners = _Owners()
    for pool in configured:
        owners.add(pool)
    refused: dict[str, Refused] = {}
    for entry in sorted(declared, key=lambda entry: (entry.created, entry.name)):
        verdict = _verdict(entry, kept, owners)
        if isinstance(verdict, Refused):
            refused[entry.name] = verdict
        else:
            kept[entry.name] = verdict
            owners.add(verdict)
    return Resolved(AddressPools(kept.values()), refused)


def _verdict(
    entry: DeclaredPool, kept: Mapping[str, AddressPool], owners: "_Owners"
) -> AddressPool | Refused:
    if isinstance(entry.pool, Refused):
        return entry.pool
    if entry.name in kept:
        return Refused(Reason.NAME_TAKEN, f"the settings have a pool called {entry.name}")
    other = owners.meeting(entry.pool)
    return Refused(Reason.OVERLAPS, overlap(entry.pool, other)) if other else entry.pool


class _Owners:
    """Which pool has which addresses, given or not: found without a look at every pool."""

    def __init__(self) -> None:
        self._firsts: dict[int, list[int]] = {4: [], 6: []}
        self._rest: dict[int, list[tuple[int, AddressPool]]] = {4: [], 6: []}
        """The last address of each range, and the pool."""

    def add(self, pool: AddressPool) -> None:
        """Take a pool that has no address in common with those before."""
        for part in _disjoint((*pool.ranges, *pool.static), ()):
            firsts, first = self._firsts[part.family], int(part.first)
            at = bisect_right(firsts, first)
            firsts.insert(at, first)
            self._rest[part.family].insert(at, (int(part.last), pool))

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


def _disjoint(
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
            yield _range(entry.family, at, first_gone - 1)
        at = last_gone + 1
    if at <= last:
        yield _range(entry.family, at, last)


def _range(family: int, first: int, last: int) -> AddressRange:
    return AddressRange(address_of(family, first), address_of(family, last))


def _count(part: AddressRange, pool: AddressPool) -> int:
    first, last = int(part.first), int(part.last)
    whole = last - first + 1
    if part.family == 6 or not pool.avoid_buggy:
        return whole
    # Multiples of 256 up to a number n: n // 256 + 1; those that end in .255: (n + 1) // 256.
    zeros = last // 256 - (first - 1) // 256
    lasts = (last + 1) // 256 - first // 256
    return whole - zeros - lasts
