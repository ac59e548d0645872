"""An nftables table whose rules never change, as values and text. Pure.

Chains and rules are the same for ever: what is served stands in elements of sets and maps. A change
is a few elements, whose cost does not grow with what else there is; a change of rules makes the
kernel look at all chains that can be reached (measured, ADR 0009).

A rule carries a digest of its own text as comment, and what the kernel holds is told by these
digests: versions of `nft` print one and the same rule in different words.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lbctl_dataplane.rules.kept import Kept

Ends = tuple[str, ...]
"""Where an element of a map leads to: one text, or as many as a Maglev table has slots.
Empty for what is in a set and leads nowhere; what a set limits has the words of its limit."""

_ELEMENTS_A_LINE = 500
ROOM = 5_000
"""Elements of one transaction, about: nft takes some 2 kB of memory for each (measured)."""


@dataclass(frozen=True, slots=True, order=True)
class Element:
    """One thing that a table knows: a member of a set, or a place and where it leads to."""

    home: str
    """Name of the set; `ends4` and `ends6` stand for the maps that have room for the ends."""
    key: str


Elements = Mapping[Element, Ends]


@dataclass(frozen=True, slots=True)
class Moves:
    """What goes from the kernel's sets and maps, and then comes, in one transaction."""

    leaving: tuple[Element, ...]
    coming: tuple[tuple[Element, str], ...]
    """With where each leads to; empty for what is in a set."""


@dataclass(frozen=True, slots=True)
class Table:
    """What is always there: sets and maps by how each is made, chains by their hooks and rules."""

    name: str
    """With its family: `inet lbctl-node`."""
    homes: Mapping[str, str]
    chains: Mapping[str, tuple[str, tuple[str, ...]]]
    """None leads to one that comes later."""
    records: frozenset[str] = frozenset()
    """Maps that packets write into: what they hold is nobody's wish."""
    limited: frozenset[str] = frozenset()
    """Sets whose elements carry a limit each."""
    meters: Mapping[str, str] = field(default_factory=dict)
    """Rules with room for a number, by the home of the elements whose keys are the numbers: each of
    these asks for a chain of that one rule."""
    counter: str = ""
    """Name of the one counter; empty: there is none."""
    marks: Mapping[str, tuple[str, ...]] = field(init=False)
    """Digests of the rules of each chain, in their order."""

    def __post_init__(self) -> None:
        marks = {name: tuple(map(_digest, rules)) for name, (_, rules) in self.chains.items()}
        object.__setattr__(self, "marks", marks)

    def new(self) -> str:
        """Return the lines that replace whatever table of this name there is by an empty one.

        Connections live in conntrack: none notices.
        """
        # Adding first makes the deletion work whether or not there is a table.
        lines = [f"{verb} table {self.name}" for verb in ("add", "delete", "add")]
        if self.counter:
            lines.append(f"add counter {self.name} {self.counter}")
        lines += ["add " + form.format(f"{self.name} {home}") for home, form in self.homes.items()]
        for name, (hook, rules) in self.chains.items():
            lines.append(f"add chain {self.name} {name}{f' {{ {hook}; }}' if hook else ''}")
            lines += [
                f'add rule {self.name} {name} {rule} comment "{_digest(rule)}"' for rule in rules
            ]
        return "\n".join(lines) + "\n"

    def transactions(self, desired: Elements, observed: Elements) -> Iterator[str]:
        """Yield what turns some elements into others; both are what differs, by key.

        One transaction, but for loads of more than `ROOM` elements; then the members of a place
        and the way to them change in one, and a VIP comes after its places and goes before them.
        """
        now: tuple[dict[Element, Ends], dict[Element, Ends]] = ({}, {})
        size = 0
        last = ""
        for element in sorted(
            desired.keys() | observed.keys(), key=lambda e: self._order(e, desired)
        ):
            if size > ROOM and element.key != last:
                yield self._render(*now)
                now, size = ({}, {}), 0
            last = element.key
            for part, ends in zip(now, (desired.get(element), observed.get(element)), strict=True):
                if ends is not None:
                    part[element] = ends
                    size += max(len(ends), 1)
        if size:
            yield self._render(*now)

    def _render(self, desired: Elements, observed: Elements) -> str:
        leaving, coming = _Batch("delete", self.name), _Batch("add", self.name)
        made = [line for new in self._meters(desired, observed) for line in self._make(new)]
        gone = [
            f"delete chain {self.name} {meter_name(old)}" for old in self._meters(observed, desired)
        ]
        moved = _moves(self._plain(desired), self._plain(observed))
        for entry in moved.leaving:
            leaving.take(entry.home, entry.key)
        for entry, value in moved.coming:
            coming.take(entry.home, self._text(entry, value))
        return "".join(f"{line}\n" for line in (*made, *leaving.lines(), *coming.lines(), *gone))

    def _plain(self, elements: Elements) -> Elements:
        """Return these without the meters."""
        return {key: ends for key, ends in elements.items() if key.home not in self.meters}

    def _meters(self, these: Elements, others: Elements) -> list[Element]:
        """Return the meters that are among these and not among others."""
        return sorted(e for e in these.keys() - others.keys() if e.home in self.meters)

    def _make(self, element: Element) -> Iterator[str]:
        at, rule = f"{self.name} {meter_name(element)}", self._meter_rule(element)
        yield f"add chain {at}"
        yield f'add rule {at} {rule} comment "{_digest(rule)}"'

    def _meter_rule(self, element: Element) -> str:
        return self.meters[element.home].format(element.key)

    def meter(self, name: str) -> Element | None:
        """Return the element that asks for a chain of this name; None: it is no meter."""
        kind, _, number = name.rpartition("x")
        return Element(kind, number) if kind in self.meters and number.isdecimal() else None

    def meter_marks(self, element: Element) -> tuple[str, ...]:
        """Return the digests of the rules of a meter's chain."""
        return (_digest(self._meter_rule(element)),)

    def _order(self, element: Element, desired: Elements) -> tuple[int, str, str]:
        """Return when an element changes: what others lead to comes before and goes after them."""
        coming = element in desired
        if element.home in self.meters:
            turn = 0 if coming else 7
        elif element.home.startswith("vips"):
            turn = 6 if coming else 1
        elif element.home.startswith(("ends", "ways")):
            turn = 4 if coming else 2
        else:
            turn = 3 if coming else 5
        return turn, element.key, element.home

    def _text(self, entry: Element, value: str) -> str:
        between = "" if not value else " " if entry.home in self.limited else " : "
        return f"{entry.key}{between}{value}"


class KeptTable:
    """What a table should hold beside what it is known to hold."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.elements: Kept[Element, Ends] = Kept()
        self._whole = False
        """Whether there is a table whose elements can be changed, instead of replacing all."""

    def read_back(self, observed: Elements | None) -> None:
        """Take what the kernel holds; None where there is no table, or not one as we make it."""
        self._whole = observed is not None
        self.elements.read_back(observed or {})

    def transactions(self) -> tuple[tuple[str, ...], int]:
        """Return what makes the kernel hold what it should, and how many things that changes."""
        desired, observed = self.elements.parts()
        changed = len(desired.keys() | observed.keys())
        texts = tuple(self.table.transactions(desired, observed))
        if self._whole:
            return texts, changed
        first, *rest = texts or ("",)
        return (self.table.new() + first, *rest), changed + len(self.table.chains)

    def moves(self) -> Moves | None:
        """Return the same as single elements; None where more than elements has to be made."""
        desired, observed = self.elements.parts()
        meters = any(key.home in self.table.meters for key in (*desired, *observed))
        return _moves(desired, observed) if self._whole and not meters else None

    def took(self) -> None:
        """Note that the kernel took them."""
        self.elements.took(self.elements.changes())
        self._whole = True


def _digest(text: str) -> str:
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def meter_name(element: Element) -> str:
    """Return the name of the chain that an element asks for."""
    return f"{element.home}x{element.key}"


def _moves(desired: Elements, observed: Elements) -> Moves:
    leaving: list[Element] = []
    coming: list[tuple[Element, str]] = []
    for element in sorted(desired.keys() | observed.keys()):
        was = _contents(element, observed.get(element))
        now = _contents(element, desired.get(element))
        leaving += (entry for entry, value in was.items() if now.get(entry) != value)
        coming += ((entry, value) for entry, value in now.items() if was.get(entry) != value)
    return Moves(tuple(leaving), tuple(coming))


def _contents(element: Element, ends: Ends | None) -> dict[Element, str]:
    """Return the elements of the kernel's sets and maps that say the same; empty for None."""
    if ends is None:
        return {}
    if not element.home.startswith("ends"):
        return {element: "".join(ends)}
    version = element.home[-1]
    if len(ends) == 1:
        return {Element(f"single{version}", element.key): ends[0]}
    home = f"slots{version}x{len(ends)}"
    # A slot without an end is one that somebody took away.
    return {Element(home, f"{element.key} . {slot}"): end for slot, end in enumerate(ends) if end}


class _Batch:
    """Elements of one table that one verb is for, by their set or map."""

    def __init__(self, verb: str, table: str) -> None:
        self._verb, self._table = verb, table
        self._texts: dict[str, list[str]] = {}

    def take(self, home: str, text: str) -> None:
        self._texts.setdefault(home, []).append(text)

    def lines(self) -> Iterator[str]:
        for home, texts in self._texts.items():
            for start in range(0, len(texts), _ELEMENTS_A_LINE):
                listed = ", ".join(texts[start : start + _ELEMENTS_A_LINE])
                yield f"{self._verb} element {self._table} {home} {{ {listed} }}"
