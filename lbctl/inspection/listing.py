"""What `lbctl get` found, and how it reads as a table, names, JSON, YAML and a tree. Pure."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

GAP = "   "
NAMESPACE = "NAMESPACE"
Item = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    wide: bool = False
    """Shown with `-o wide` only."""
    hidden: bool = False
    """Not shown at all."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One node of a tree."""

    label: str
    children: tuple["Branch", ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was found."""

    cells: tuple[str, ...]
    """One for each column."""
    names: frozenset[str]
    """What people may call it."""
    reference: str
    """What `-o name` says: `<plural>.<group>/<name>` where it is an object of the API."""
    item: Item
    """The same for scripts: numbers are numbers, lists are lists."""
    branch: Callable[[], Branch]
    """Returns it with what hangs on it; made only when it is asked for."""
    namespaces: frozenset[str] = frozenset()
    """Where it belongs to; empty: it is the cluster's."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All rows of one kind."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def within(self, namespace: str) -> "Listing":
        """Return what belongs to a namespace, without the column that says so.

        What is the cluster's stays.
        """
        kept = (row for row in self.rows if not row.namespaces or namespace in row.namespaces)
        columns = tuple(
            dataclasses.replace(column, hidden=column.hidden or column.title == NAMESPACE)
            for column in self.columns
        )
        return Listing(columns, tuple(kept))

    def named(self, names: Sequence[str]) -> tuple["Listing", tuple[str, ...]]:
        """Return the rows with one of those names, and the names that nothing has."""
        known = {name for row in self.rows for name in row.names}
        kept = tuple(row for row in self.rows if not row.names.isdisjoint(names))
        return Listing(self.columns, kept), tuple(name for name in names if name not in known)


def render_table(listing: Listing, *, wide: bool) -> str:
    """Return columns as kubectl aligns them."""
    shown = [
        index
        for index, column in enumerate(listing.columns)
        if not column.hidden and (wide or not column.wide)
    ]
    lines = [[listing.columns[index].title for index in shown]]
    lines += [[row.cells[index] for index in shown] for row in listing.rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(shown))]
    return "\n".join(_aligned(line, widths) for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def render_names(listing: Listing) -> str:
    """Return one reference a line."""
    return "\n".join(row.reference for row in listing.rows)


def render_json(listing: Listing) -> str:
    """Return an object with the list `items`."""
    return json.dumps({"items": [row.item for row in listing.rows]}, indent=2)


def render_yaml(listing: Listing) -> str:
    """Return the same as YAML."""
    # By way of JSON: YAML would mark tuples and shared lists with tags of its own.
    return yaml.safe_dump(json.loads(render_json(listing)), sort_keys=False).rstrip()


def render_tree(listing: Listing) -> str:
    """Return each row with what hangs on it."""
    return "\n".join(line for row in listing.rows for line in _drawn(row.branch()))


def _drawn(branch: Branch) -> Iterator[str]:
    yield branch.label
    for index, child in enumerate(branch.children):
        last = index == len(branch.children) - 1
        first, *rest = _drawn(child)
        yield ("└─ " if last else "├─ ") + first
        for line in rest:
            yield ("   " if last else "│  ") + line
