"""Every address that is given or reserved, found by what is asked of it. Pure, mutable.

Holds what the API server says, and what is being claimed there at this moment.
"""

from collections import Counter
from collections.abc import Iterable

from lbctl.ipam.runs import Runs
from lbctl.model.allocation import Allocation, AllocationState
from lbctl.model.pool import AddressRange, address_of, is_buggy
from lbctl.model.virtual_service import Address

Index = dict[tuple[str, int], dict[Address, Allocation]]


class Ledger:
    """Allocations by address, sharing key, reservation and pool."""

    def __init__(self, allocations: Iterable[Allocation] = ()) -> None:
        self._at: dict[Address, Allocation] = {}
        self._taken = {4: Runs(), 6: Runs()}
        self._shared: Index = {}
        self._reserved: Index = {}
        self._bound: Counter[tuple[str, int]] = Counter()
        for allocation in allocations:
            self.put(allocation)

    def put(self, allocation: Allocation) -> None:
        """Note what is known of an address now, in place of what was."""
        self.remove(allocation.address)
        self._at[allocation.address] = allocation
        family = allocation.address.version
        self._taken[family].add(int(allocation.address))
        for index, key in self._places(allocation):
            index.setdefault(key, {})[allocation.address] = allocation
        if allocation.state is AllocationState.BOUND:
            self._bound[allocation.pool, family] += 1

    def remove(self, address: Address) -> None:
        """Note that an address is free; nothing happens when it was."""
        allocation = self._at.pop(address, None)
        if allocation is None:
            return
        self._taken[address.version].discard(int(address))
        for index, key in self._places(allocation):
            bucket = index[key]
            del bucket[address]
            if not bucket:
                del index[key]
        if allocation.state is AllocationState.BOUND:
            self._bound[allocation.pool, address.version] -= 1

    def at(self, address: Address) -> Allocation | None:
        """Return what is known of an address; None when it is free."""
        return self._at.get(address)

    def shared(self, key: str, family: int) -> tuple[Allocation, ...]:
        """Return the addresses of one family that are shared under a key, lowest first."""
        return _sorted(self._shared.get((key, family), {}))

    def reserved(self, service: str, family: int) -> tuple[Allocation, ...]:
        """Return the addresses of one family that are kept for `<namespace>/<name>`, in order."""
        return _sorted(self._reserved.get((service, family), {}))

    def bound(self, pool: str, family: int) -> int:
        """Return how many addresses of one family are held that were given from a pool."""
        return self._bound[pool, family]

    def lowest_free(self, of: AddressRange, *, avoid_buggy: bool = False) -> Address | None:
        """Return the lowest free address of a range, None when it is used up."""
        taken, last = self._taken[of.family], int(of.last)
        number = taken.free_from(int(of.first))
        while number <= last:
            address = address_of(of.family, number)
            if not (avoid_buggy and is_buggy(address)):
                return address
            number = taken.free_from(number + 1)
        return None

    def taken(self, of: AddressRange) -> Iterable[tuple[int, int]]:
        """Yield the runs of a range's addresses that are given or reserved: first and last."""
        return self._taken[of.family].within(int(of.first), int(of.last))

    def _places(self, allocation: Allocation) -> Iterable[tuple[Index, tuple[str, int]]]:
        family = allocation.address.version
        if allocation.sharing_key and allocation.state is AllocationState.BOUND:
            yield self._shared, (allocation.sharing_key, family)
        if allocation.reserved_for and allocation.state is AllocationState.RESERVED:
            yield self._reserved, (allocation.reserved_for, family)


def _sorted(found: dict[Address, Allocation]) -> tuple[Allocation, ...]:
    return tuple(sorted(found.values(), key=lambda entry: int(entry.address)))
