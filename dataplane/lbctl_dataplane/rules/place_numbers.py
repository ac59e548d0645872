"""Numbers of places in a range of their own, the same after a restart. Pure."""

import hashlib

from lbctl_dataplane.rules.frontend import Place


class Numbers:
    """A hash of the place, the next free one on a collision.

    A place keeps its number for as long as it is known. After a restart a colliding one may get
    another number.
    """

    def __init__(self, first: int, count: int) -> None:
        self._first, self._count = first, count
        self._by_place: dict[Place, int] = {}
        self._taken: set[int] = set()

    def of(self, place: Place) -> int:
        """Return the number of a place."""
        known = self._by_place.get(place)
        if known is not None:
            return known
        number = digest(f"{place.vip}/{place.protocol}/{place.port}") % self._count
        while number in self._taken:
            number = (number + 1) % self._count
        self._taken.add(number)
        self._by_place[place] = self._first + number
        return self._by_place[place]

    def release(self, place: Place) -> None:
        """Let others have the number of a place, if it has one."""
        number = self._by_place.pop(place, None)
        if number is not None:
            self._taken.discard(number - self._first)


def digest(text: str) -> int:
    """Return a number that nearly no other text has, the same on every machine."""
    return int.from_bytes(hashlib.blake2s(text.encode(), digest_size=8).digest(), "big")
