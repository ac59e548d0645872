"""Changes of elements as one transaction over netlink: a change costs no start of `nft`. Pure.

What is more than a key and where it leads to (networks, limits, times), `nft` has to say.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from lbctl_dataplane.rules.tables import netlink, wire
from lbctl_dataplane.rules.tables.elements import Element, Moves, Table
from lbctl_dataplane.rules.tables.wire import Field, Home

_A_MESSAGE = 500
"""Elements of one message: an attribute has room for 64 kB, and one element takes 70 bytes."""
_TABLE, _HOME, _ELEMENTS = 1, 2, 3
_ELEMENT, _KEY, _END = 1, 1, 2
_Change = tuple[str, bytes]
"""A set or map, and one of its elements."""


def encode(table: Table, moves: Moves) -> bytes | None:
    """Return one transaction; None where it needs words that only nft knows."""
    names = {entry.home for entry in moves.leaving} | {entry.home for entry, _ in moves.coming}
    try:
        homes = {name: _plain(table, name) for name in names}
        leaving = [(entry.home, _element(homes, entry, "")) for entry in moves.leaving]
        coming = [(entry.home, _element(homes, entry, end)) for entry, end in moves.coming]
    except ValueError:
        return None
    changes = [
        *_messages(table, netlink.DELETE_ELEMENTS, leaving),
        *_messages(table, netlink.NEW_ELEMENTS, coming),
    ]
    return netlink.batch(changes, wire.family_of(table))


def _messages(table: Table, kind: int, found: Sequence[_Change]) -> Iterator[tuple[int, bytes]]:
    for name, group in itertools.groupby(sorted(found), key=lambda change: change[0]):
        elements = [element for _, element in group]
        about = wire.attribute_of(table) + netlink.text_attribute(_HOME, name)
        for start in range(0, len(elements), _A_MESSAGE):
            some = b"".join(elements[start : start + _A_MESSAGE])
            yield kind, about + netlink.attribute(_ELEMENTS | netlink.NESTED, some)


def _plain(table: Table, name: str) -> Home:
    form = table.homes[name]
    if name in table.limited or "interval" in form or "timeout" in form:
        raise ValueError(f"elements of {name} are more than a key and where it leads to")
    return wire.home(table, name)


def _element(homes: Mapping[str, Home], entry: Element, end: str) -> bytes:
    home = homes[entry.home]
    parts = _nested(_KEY, home.key, entry.key)
    if end:
        parts += _nested(_END, home.end, end)
    return netlink.attribute(_ELEMENT | netlink.NESTED, parts)


def _nested(kind: int, fields: Sequence[Field], words: str) -> bytes:
    data = netlink.attribute(fields[0].kind, _bytes(fields, words))
    return netlink.attribute(kind | netlink.NESTED, data)


def _bytes(fields: Sequence[Field], words: str) -> bytes:
    """Return a key; parts of one that has several begin at multiples of four bytes."""
    parts = [_raw(field, word) for field, word in zip(fields, words.split(" . "), strict=True)]
    if len(parts) == 1:
        return parts[0]
    return b"".join(part + bytes(-len(part) % 4) for part in parts)


def _raw(field: Field, word: str) -> bytes:
    if field.raw is None:
        raise ValueError(f"only nft knows what {word} is")
    return field.raw(word, field.size)
