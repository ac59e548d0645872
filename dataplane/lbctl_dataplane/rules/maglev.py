"""Maglev tables: which member each slot leads to, in shares as their weights. Pure.

Source: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016),
§3.4. Members take turns and each takes the next free slot of its own permutation, so that a member
which comes or goes moves few slots between the others. Lighter members sit out some rounds.
"""

import hashlib
import itertools
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
    unit = math.gcd(*(member.weight for member in members))
    turns = sum(member.weight // unit for member in members)
    return next((size for size in SIZES if size >= SLOTS_PER_MEMBER * turns), SIZES[-1])


def table(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Return the member of each slot; the order of `members` does not matter.

    O(slots) on average. Members must be different ones, at least one, with weights above 0.
    """
    members = tuple(sorted(members))
    size = size_for(members)
    slots: list[Member | None] = [None] * size
    free = [_free(slots, member, size) for member in members]
    for turn in itertools.islice(_turns(members), size):
        slots[next(free[turn])] = members[turn]
    return tuple(slot for slot in slots if slot is not None)


def in_turn(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Return as many members as a table has slots, in the order in which they take turns.

    >>> import ipaddress
    >>> pods = [Member(ipaddress.ip_address(f"10.0.0.{n}"), 80, weight=n) for n in (1, 2)]
    >>> [member.weight for member in in_turn(tuple(pods))][:7]
    [1, 2, 2, 1, 2, 2, 1]
    """
    members = tuple(sorted(members))
    return tuple(members[turn] for turn in itertools.islice(_turns(members), size_for(members)))


def _turns(members: Sequence[Member]) -> Iterator[int]:
    """Yield whose turn it is for ever, as positions: the heaviest members' in each round.

    All have one in the first round, so that nobody goes without in a table that is too small.
    """
    heaviest = max(member.weight for member in members)
    for turn in itertools.count():
        for place, member in enumerate(members):
            if turn * member.weight % heaviest < member.weight:
                yield place


def _free(slots: Sequence[Member | None], member: Member, size: int) -> Iterator[int]:
    """Yield the slots that are still free in the order in which this member wants them."""
    text = f"{member.address} {member.port}".encode()
    digest = int.from_bytes(hashlib.blake2s(text, digest_size=8).digest(), "big")
    offset, skip = digest % size, (digest >> 32) % (size - 1) + 1
    for step in range(size):
        slot = (offset + step * skip) % size
        if slots[slot] is None:
            yield slot
