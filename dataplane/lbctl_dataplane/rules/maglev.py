"""Maglev tables: which member each slot leads to, in shares as their weights. Pure.

Source: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016),
§3.4. Members take turns and each takes the next free slot of its own permutation, so that a member
which comes or goes moves few slots between the others.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence

from lbctl_dataplane.rules.frontend import Member

SLOTS_PER_MEMBER = 10
SIZES = (23, 41, 83, 167, 331, 661, 1327, 2039)
"""Primes that about double: few changes of members change the size, which moves everything."""


def size_for(members: Sequence[Member]) -> int:
    """Return how many slots a table has: 10 to 20 a member (more where weights ask for it).

    The last size is for all that need more: spreads get coarser then.
    """
    turns = sum(_turns(members))
    return next((size for size in SIZES if size >= SLOTS_PER_MEMBER * turns), SIZES[-1])


def table(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Return the member of each slot; the order of `members` does not matter.

    O(slots) on average. Members must be different ones, at least one, with weights above 0.
    """
    members = tuple(sorted(members))
    size = size_for(members)
    slots: list[Member | None] = [None] * size
    free = [_free(slots, member, size) for member in members]
    turns = _turns(members)
    filled = 0
    while True:
        for place, member in enumerate(members):
            for _ in range(turns[place]):
                slots[next(free[place])] = member
                filled += 1
                if filled == size:
                    return tuple(slot for slot in slots if slot is not None)


def _turns(members: Sequence[Member]) -> tuple[int, ...]:
    """Return how many slots each member takes in one round."""
    smallest = math.gcd(*(member.weight for member in members))
    return tuple(member.weight // smallest for member in members)


def _free(slots: Sequence[Member | None], member: Member, size: int) -> Iterator[int]:
    """Yield the slots that are still free in the order in which this member wants them."""
    text = f"{member.address} {member.port}".encode()
    digest = int.from_bytes(hashlib.blake2s(text, digest_size=8).digest(), "big")
    offset, skip = digest % size, (digest >> 32) % (size - 1) + 1
    for step in range(size):
        slot = (offset + step * skip) % size
        if slots[slot] is None:
            yield slot
