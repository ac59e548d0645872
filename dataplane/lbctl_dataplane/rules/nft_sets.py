"""Nftables tables whose rules stay and whose sets change, as values and text. Pure.

A rule carries a digest of its own text as comment, and what the kernel holds is told by these
digests: versions of `nft` print one and the same rule in different words.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.delta import Delta
from lbctl_dataplane.rules.frontend import Place
from lbctl_dataplane.rules.nft_table import PROTOCOLS

_ELEMENTS_A_LINE = 500


@dataclass(frozen=True, slots=True, order=True)
class Element:
    """One element of a set."""

    home: str
    """Name of the set."""
    key: str


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain; `hook` is empty where only others lead to it."""

    name: str
    hook: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What the kernel's table holds."""

    rules: tuple[str, ...]
    """Their digests, chain by chain."""
    elements: frozenset[Element]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it should be, but for its elements."""

    name: str
    """Family and name."""
    sets: Mapping[str, str]
    """How each is made, by name."""
    chains: tuple[Chain, ...]
    """None leads to one that comes later."""

    @property
    def rules(self) -> tuple[str, ...]:
        """Return what `parse` finds for the rules where they are as they should be."""
        return tuple(_digest(rule) for chain in self.chains for rule in chain.rules)

    def render_new(self) -> str:
        """Return the commands that replace whatever table of that name there is by an empty one."""
        # Adding first makes the deletion work whether or not there is a table.
        lines = [f"add table {self.name}", f"delete table {self.name}", f"add table {self.name}"]
        lines += [f"add set {self.name} {name} {{ {form} }}" for name, form in self.sets.items()]
        for chain in self.chains:
            hook = f" {{ {chain.hook} }}" if chain.hook else ""
            lines.append(f"add chain {self.name} {chain.name}{hook}")
            for rule in chain.rules:
                lines.append(f'add rule {self.name} {chain.name} {rule} comment "{_digest(rule)}"')
        return "\n".join(lines) + "\n"

    def render(self, change: Delta[Element, str]) -> str:
        """Return the commands of a transaction that makes a change; empty when there is none."""
        lines = [*self._commands("delete", change.deletes), *self._commands("add", change.upserts)]
        return "".join(f"{line}\n" for line in lines)

    def _commands(self, verb: str, wanted: Iterable[Element]) -> Iterator[str]:
        by_home: dict[str, list[str]] = {}
        for element in sorted(wanted):
            by_home.setdefault(element.home, []).append(element.key)
        for home, keys in by_home.items():
            for start in range(0, len(keys), _ELEMENTS_A_LINE):
                listed = ", ".join(keys[start : start + _ELEMENTS_A_LINE])
                yield f"{verb} element {self.name} {home} {{ {listed} }}"


def place_key(place: Place) -> str:
    """Return a place as an element of a set of places."""
    return f"{place.vip} . {PROTOCOLS[place.protocol]} . {place.port}"


def _digest(rule: str) -> str:
    return hashlib.blake2s(rule.encode(), digest_size=8).hexdigest()


def parse(listing: str) -> Contents:
    """Return the table in the JSON of `nft -j --numeric-protocol list table`."""
    objects = json.loads(listing).get("nftables", []) if listing.strip() else []
    made = tuple(entry["rule"].get("comment", "") for entry in objects if "rule" in entry)
    found = (
        Element(entry["set"]["name"], " . ".join(map(_text, _parts(element))))
        for entry in objects
        if "set" in entry
        for element in entry["set"].get("elem", ())
    )
    return Contents(made, frozenset(found))


def _parts(element: Any) -> list[Any]:
    return element["concat"] if isinstance(element, Mapping) else [element]


def _text(part: Any) -> str:
    if isinstance(part, Mapping):
        prefix = part["prefix"]
        return f"{prefix['addr']}/{prefix['len']}"
    return str(part)
