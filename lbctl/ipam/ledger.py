"""Which address is whose, and the lowest free one of a range, without a scan. Pure, mutable.

Granting n addresses of one range costs O(n log n) in all: each range keeps how far it was given
out and a heap of what came back.
"""

import heapq
from dataclasses import dataclass, field

from lbctl.ipam.ranges import AddressRange
from lbctl.model.virtual_service import Address


@dataclass(slots=True)
class _Frontier:
    next: int
    returned: list[int] = field(default_factory=list)


class Ledger:
    """Addresses and who holds them; one holder each."""

    def __init__(self) -> None:
        self._holders: dict[Address, str] = {}
        self._frontiers: dict[AddressRange, _Frontier] = {}

    def holder(self, address: Address) -> str:
        """Return who holds an address; empty when it is free."""
        return self._holders.get(address, "")

    def bind(self, address: Address, holder: str) -> None:
        """Note that `holder` has the address."""
        self._holders[address] = holder

    def release(self, address: Address) -> None:
        """Note that the address is free; nothing happens when it was."""
        if self._holders.pop(address, None) is None:
            return
        for pool_range, frontier in self._frontiers.items():
            if address in pool_range and int(address) < frontier.next:
                heapq.heappush(frontier.returned, int(address))

    def lowest_free(self, pool_range: AddressRange) -> Address | None:
        """Return the lowest free address of a range, None when it is used up."""
        make = type(pool_range.first)
        frontier = self._frontiers.setdefault(pool_range, _Frontier(int(pool_range.first)))
        while frontier.returned:
            if make(frontier.returned[0]) not in self._holders:
                return make(frontier.returned[0])
            heapq.heappop(frontier.returned)
        while frontier.next <= int(pool_range.last):
            if make(frontier.next) not in self._holders:
                return make(frontier.next)
            frontier.next += 1
        return None
