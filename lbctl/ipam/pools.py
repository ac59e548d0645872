"""All pools that give addresses: which one has an address, which ones serve whom. Pure."""

from collections.abc import Iterable, Iterator

from lbctl.ipam.ledger import Ledger
from lbctl.ipam.owners import Owners, disjoint, span
from lbctl.model.pool import AddressPool, AddressRange, Subject
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
        self._owners = Owners()
        for pool in self._pools:
            given = [*disjoint(pool.ranges, [*pool.static, *pool.reserved])]
            static = [*disjoint(pool.static, pool.reserved)]
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
                taken += _count(span(family, first, last), self._named[pool])
        return self.size(pool, family) - taken

    def _all(self, pool: str, family: int) -> tuple[AddressRange, ...]:
        return (*self._parts[pool, family], *self._requestable[pool, family])


def _count(part: AddressRange, pool: AddressPool) -> int:
    first, last = int(part.first), int(part.last)
    whole = last - first + 1
    if part.family == 6 or not pool.avoid_buggy:
        return whole
    # Multiples of 256 up to a number n: n // 256 + 1; those that end in .255: (n + 1) // 256.
    zeros = last // 256 - (first - 1) // 256
    lasts = (last + 1) // 256 - first // 256
    return whole - zeros - lasts
