"""What the kernel holds of one of our nftables tables, taken in piece by piece. Pure."""

import re

from lbctl_dataplane.rules.tables.elements import Element, Ends, Table

_SLOT_MAP = re.compile(r"slots([46])x(\d+)")


class Found:
    """Takes a table's chains, rules, sets and elements, each once, in any order."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._marks: dict[str, list[str]] = {}
        self._homes: set[str] = set()
        self._elements: dict[Element, Ends] = {}
        self._slots: dict[str, dict[str, list[str]]] = {}
        """Where the slots of a place lead to, by map and place."""
        self._strange = False

    def chain(self, name: str) -> None:
        """Take note of a chain."""
        self._marks.setdefault(name, [])

    def rule(self, chain: str, mark: str) -> None:
        """Take the next rule of a chain, by its comment."""
        self._marks.setdefault(chain, []).append(mark)

    def home(self, name: str) -> None:
        """Take note of a set or map."""
        self._homes.add(name)

    def element(self, home: str, key: str, end: str = "") -> None:
        """Take an element of a set or of a map without slots, in the words of nft.

        `end` is where it leads to, or the limit that it carries.
        """
        if home.startswith("single"):
            self._put(Element(f"ends{home[-1]}", key), (end,))
        else:
            self._put(Element(home, key), (end,) if end else ())

    def slot(self, home: str, place: str, slot: int, end: str) -> None:
        """Take one slot of a place; `home` is a map of slots."""
        ends = self._slots.setdefault(home, {}).get(place)
        if ends is None:
            ends = self._slots[home][place] = [""] * slots_of(home)
        if slot < len(ends):
            ends[slot] = end
        else:
            self._strange = True

    def listed(self) -> dict[Element, Ends]:
        """Return the elements of sets and of maps without slots, whatever the table is like."""
        return self._elements

    def marks(self) -> dict[str, tuple[str, ...]]:
        """Return the comments of the rules of each chain, in their order."""
        return {name: tuple(found) for name, found in self._marks.items()}

    def elements(self) -> dict[Element, Ends] | None:
        """Return the elements that there are.

        None where the table is not as we make it, so that it has to be replaced: sets, maps, chains
        or rules are others, or a place leads to two sets of members.
        """
        self._take_meters()
        if self.marks() != self.table.marks or self._homes != self.table.homes.keys():
            return None
        for home, places in self._slots.items():
            while places:
                place, ends = places.popitem()
                self._put(Element(f"ends{home[5]}", place), tuple(ends))
        return None if self._strange else self._elements

    def _take_meters(self) -> None:
        for name in tuple(self._marks):
            element = self.table.meter(name)
            if element is not None:
                self._put(element, ())
                marks = tuple(self._marks.pop(name))
                self._strange = self._strange or marks != self.table.meter_marks(element)

    def _put(self, element: Element, ends: Ends) -> None:
        self._strange = self._strange or element in self._elements
        self._elements[element] = ends


def slots_of(home: str) -> int:
    """Return how many slots a place has in a map; 0 where it is no map of slots."""
    found = _SLOT_MAP.fullmatch(home)
    return int(found[2]) if found else 0
