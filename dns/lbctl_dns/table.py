"""The table that queries are answered from: record sets encoded ahead of time. Pure.

Each change costs its own size, never the table's. Names that exist only because something is
below them (empty non-terminals, RFC 8020) are counted, so order of changes does not matter.
"""

import enum
import functools
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from lbctl_dns import names, zone

OWNER_POINTER = b"\xc0\x0c"
"""Compression pointer to the question's name: one encoded set fits any spelling of it."""
FIXED = struct.Struct(">HHIH")
"""Type, class, TTL, rdata length."""

_DENIABLE = frozenset(
    rtype.to_bytes(2) + zone.CLASS_IN
    for rtype in (*range(1, 41), *range(42, 128), *range(256, 300))
)
"""Type and class of questions whose absence may be a plain denial: no ANY, OPT, transfer."""

Heads = tuple[bytes, bytes, bytes, bytes]
"""Bytes 2 to 12 of a reply, by index `RD + 2 * EDNS`."""
Entry = tuple[Heads, bytes]
SetsByName = dict[bytes, Entry]

_FLAG_QR, _FLAG_AA, _FLAG_TC, _FLAG_RD = 0x80, 0x04, 0x02, 0x01


class Role(enum.IntEnum):
    """How a set takes part in answers (RFC 1034 §4.3.2)."""

    DATA = 0
    """Authoritative."""
    CUT = 1
    """NS below the apex: another server's zone starts here."""
    GLUE = 2
    """At or below a cut: only ever in the additional section of a referral."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One record set as bytes for replies; each record starts with `OWNER_POINTER`."""

    name: bytes
    rtype: int
    count: int
    tail: bytes
    role: Role = Role.DATA


@dataclass(frozen=True, slots=True)
class Denial:
    """What a zone's apex adds to a negative answer: the SOA record behind its owner name."""

    origin: bytes
    rest: bytes
    """Type to rdata, with the TTL of RFC 2308 §3."""


@functools.lru_cache(maxsize=4096)
def heads(rcode: int, counts: tuple[int, int, int], flags: int = _FLAG_AA) -> Heads:
    """Return the reply heads for answer, authority and additional counts; EDNS adds its OPT."""
    answers, authority, additional = counts
    found = [
        struct.pack(
            ">BBHHHH", _FLAG_QR | flags | rd, rcode, 1, answers, authority, additional + edns
        )
        for edns in (0, 1)
        for rd in (0, _FLAG_RD)
    ]
    return found[0], found[1], found[2], found[3]


def truncated_heads() -> Heads:
    """Return the heads of a reply that says: ask again over TCP."""
    return heads(0, (0, 0, 0), _FLAG_AA | _FLAG_TC)


def encode(records: zone.RecordSet, role: Role = Role.DATA) -> Encoded:
    """Return a record set ready to be copied into replies."""
    rtype, ttl_s, pack = records.rtype, records.ttl_s, FIXED.pack
    rendered = [OWNER_POINTER + pack(rtype, 1, ttl_s, len(one)) + one for one in records.rdatas]
    tail = b"".join(rendered)
    return Encoded(records.name, records.rtype, len(records.rdatas), tail, role)


def encode_all(sets: Iterable[zone.RecordSet]) -> list[Encoded]:
    """Encode whole zones: what is at or below a delegation gets its role from that."""
    listed = list(sets)
    origins = {one.name for one in listed if one.rtype == zone.SOA}
    cuts = {one.name for one in listed if one.rtype == zone.NS} - origins
    return [encode(one, _role(one, cuts, origins)) for one in listed]


def _role(one: zone.RecordSet, cuts: set[bytes], origins: set[bytes]) -> Role:
    if not cuts:
        return Role.DATA
    for name in names.lineage(one.name):
        if name in cuts and not (name == one.name and one.rtype in {zone.NS, zone.DS}):
            return Role.GLUE
        if name in origins:
            break
    return Role.CUT if one.name in cuts and one.rtype == zone.NS else Role.DATA


def records_of(tail: bytes) -> list[bytes]:
    """Split an encoded tail into records without their owner pointer."""
    found = []
    start = 0
    while start < len(tail):
        end = start + 12 + int.from_bytes(tail[start + 10 : start + 12])
        found.append(tail[start + 2 : end])
        start = end
    return found


_TARGET_AT = {zone.NS: 0, zone.MX: 2, zone.SRV: 6}
"""Where in the rdata the host name starts whose addresses go along (RFC 1034, 2782)."""


def targets_of(one: Encoded) -> tuple[bytes, ...]:
    """Return the host names whose addresses belong into the additional section."""
    at = _TARGET_AT.get(one.rtype)
    if at is None:
        return ()
    return tuple(record[FIXED.size + at :].lower() for record in records_of(one.tail))


class Table:
    """Everything one worker knows. `put` and `remove` keep it whole after each call.

    Compiled code (`_shortest.c`) reads `sets`, `exists`, `nearest` and `deniable` by these names.
    """

    def __init__(self) -> None:
        self._loaded = False
        self.sets: dict[bytes, SetsByName] = {}
        """By type and class as in the question, then by name: one lookup answers a query."""
        self.linked: dict[bytes, dict[bytes, Encoded]] = {}
        """The same for sets that bring other names' addresses along."""
        self.aliases: dict[bytes, Encoded] = {}
        self.cuts: dict[bytes, Encoded] = {}
        self.glue: dict[zone.SetKey, Encoded] = {}
        self.zones: dict[bytes, Denial] = {}
        self.nearest: dict[bytes, Denial] = {}
        """By existing name, the zone around it: what `wire` found out since a zone changed."""
        self.deniable: frozenset[bytes] = frozenset()
        """Types and classes of which a miss is a plain denial; none before all is loaded."""
        self.exists: dict[bytes, int] = {}
        """Number of sets at a name plus names one label below it; so for each name up to root."""
        self.wildcards = 0
        """Number of sets with a label `*` in their name."""
        self.simple = True
        """Whether a miss is a plain denial: no wildcard, alias or cut anywhere."""

    @property
    def loaded(self) -> bool:
        """Tell whether all is here; until then, what is not may be missing: SERVFAIL."""
        return self._loaded

    @loaded.setter
    def loaded(self, now: bool) -> None:
        self._loaded = now
        self._settle()

    def put(self, one: Encoded) -> None:
        """Add a set, in the place of the one of the same name and type."""
        if one.name in self.exists:
            self.remove(one.name, one.rtype)
        self._count_in(one.name)
        self._file(one)
        self._see_whether_simple()

    def _file(self, one: Encoded) -> None:
        if one.role is Role.CUT:
            self.cuts[one.name] = one
            return
        if one.role is Role.GLUE:
            self.glue[one.name, one.rtype] = one
            return
        question = _question(one.rtype)
        if one.rtype in _TARGET_AT:
            self._link(question, one)
        else:
            entry = heads(0, (one.count, 0, 0)), one.tail
            self.sets.setdefault(question, {})[one.name] = entry
        if one.rtype == zone.CNAME:
            self.aliases[one.name] = one
        if one.rtype == zone.SOA:
            self.zones[one.name] = _denial(one)
            self.nearest.clear()

    def _link(self, question: bytes, one: Encoded) -> None:
        if question not in self.linked:
            self.linked[question] = {}
            self._settle()
        self.linked[question][one.name] = one

    def remove(self, name: bytes, rtype: int) -> None:
        """Take a set away; nothing happens when there is none."""
        question = _question(rtype)
        found = [
            self.sets.get(question, {}).pop(name, None),
            self.linked.get(question, {}).pop(name, None),
            self.glue.pop((name, rtype), None),
            self.cuts.pop(name, None) if rtype == zone.NS else None,
        ]
        if any(one is not None for one in found):
            self._count_out(name)
        if rtype == zone.CNAME:
            self.aliases.pop(name, None)
        if rtype == zone.SOA:
            self.zones.pop(name, None)
            self.nearest.clear()
        self._see_whether_simple()

    def _see_whether_simple(self) -> None:
        simple = not (self.wildcards or self.aliases or self.cuts)
        if simple is not self.simple:
            self.simple = simple
            self._settle()

    def _settle(self) -> None:
        """Find out anew what the hot path then need not ask for each denial."""
        plain = self._loaded and self.simple
        self.deniable = _DENIABLE - self.linked.keys() if plain else frozenset()

    def _count_in(self, name: bytes) -> None:
        if names.WILDCARD in name:  # also a.*.zone: it makes *.zone exist (RFC 4592 §2.2.2)
            self.wildcards += 1
        exists = self.exists
        while True:
            count = exists.get(name, 0)
            exists[name] = count + 1
            if count or name == names.ROOT:
                return
            name = names.parent(name)

    def _count_out(self, name: bytes) -> None:
        if names.WILDCARD in name:
            self.wildcards -= 1
        while True:
            self.exists[name] -= 1
            if self.exists[name]:
                return
            del self.exists[name]
            self.nearest.pop(name, None)
            if name == names.ROOT:
                return
            name = names.parent(name)


@functools.lru_cache(maxsize=256)
def _question(rtype: int) -> bytes:
    return rtype.to_bytes(2) + zone.CLASS_IN


def _denial(soa: Encoded) -> Denial:
    rtype, rclass, ttl_s, length = FIXED.unpack_from(soa.tail, 2)
    rdata = soa.tail[2 + FIXED.size :]
    negative_ttl_s = min(ttl_s, int.from_bytes(rdata[-4:]))
    return Denial(soa.name, FIXED.pack(rtype, rclass, negative_ttl_s, length) + rdata)


def decode(one: Encoded) -> zone.RecordSet:
    """Return the record set that `encode` was given."""
    records = records_of(one.tail)
    ttl_s = int.from_bytes(records[0][4:8])
    rdatas = tuple(record[FIXED.size :] for record in records)
    return zone.RecordSet(one.name, one.rtype, ttl_s, rdatas)
