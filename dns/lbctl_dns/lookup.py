"""Find the answer to one question the long way: wildcards, aliases, delegations, denials. Pure.

The algorithm of RFC 1034 §4.3.2 with the wildcards of RFC 4592. `wire` answers what is an exact
hit or a plain denial without coming here.
"""

from dataclasses import dataclass, field

from lbctl_dns import names, zone
from lbctl_dns.table import OWNER_POINTER, Encoded, Table, records_of, targets_of

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
BADVERS = 16
_RCODE_NAMES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")

MAX_CHASE = 8
"""Aliases followed in one answer; a resolver asks on where we stop."""

_REFUSED_TYPES = frozenset({249, 250, 251, 252, 253, 254})
"""TKEY, TSIG, transfers and mailbox queries: no data of a name."""


def rcode_name(rcode: int) -> str:
    """Return an rcode's name, `RCODE9` of those that we never give.

    >>> rcode_name(3), rcode_name(9)
    ('NXDOMAIN', 'RCODE9')
    """
    return _RCODE_NAMES[rcode] if rcode < len(_RCODE_NAMES) else f"RCODE{rcode}"


@dataclass(slots=True)
class Sections:
    """A reply in the making: rendered records by section."""

    rcode: int = NOERROR
    authoritative: bool = True
    answer: list[bytes] = field(default_factory=list)
    authority: list[bytes] = field(default_factory=list)
    additional: list[bytes] = field(default_factory=list)
    targets: list[bytes] = field(default_factory=list)
    """Hosts whose addresses go into the additional section."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The name that is looked at now: the question's, or one that an alias led to."""

    name: bytes
    origin: bytes
    """The innermost zone around it."""
    owner: bytes
    """How records of this name start: a pointer for the question's name, else the name."""

    def owner_of(self, above: bytes) -> bytes:
        """Return how records of a name at or above this one start."""
        if self.owner is not OWNER_POINTER:
            return above
        return (0xC000 | (12 + len(self.name) - len(above))).to_bytes(2)


def resolve(table: Table, qname: bytes, qtype: int) -> Sections:
    """Return what answers a question of class IN; `qname` is lower-case wire form."""
    reply = Sections()
    origin = zone_of(table, qname)
    if origin is None or qtype in _REFUSED_TYPES:
        return Sections(REFUSED, authoritative=False)
    place = _Place(qname, origin, OWNER_POINTER)
    seen = {qname}
    for _ in range(MAX_CHASE):
        alias = _answer_at(table, reply, place, qtype)
        if alias is None:
            break
        records = records_of(alias.tail)
        reply.answer.extend(place.owner + record for record in records)
        target = records[0][10:].lower()
        origin = zone_of(table, target)
        if origin is None or target in seen:
            break
        seen.add(target)
        place = _Place(target, origin, target)
    _add_addresses(table, reply)
    return reply


def zone_of(table: Table, name: bytes) -> bytes | None:
    """Return the origin of the innermost zone around a name, None when none is ours."""
    zones = table.zones
    while name not in zones:
        if name == names.ROOT:
            return None
        name = name[1 + name[0] :]
    return name


def _answer_at(table: Table, reply: Sections, place: _Place, qtype: int) -> Encoded | None:
    """Add what one name answers; return the alias to follow, None when this was the end."""
    cut = _cut_around(table, place, qtype) if table.cuts else None
    if cut is not None:
        reply.authoritative = bool(reply.answer)
        reply.authority.extend(place.owner_of(cut.name) + one for one in records_of(cut.tail))
        reply.targets.extend(targets_of(cut))
        return None
    source = _source(table, place.name)
    if source is None:
        _deny(table, reply, NXDOMAIN, place)
        return None
    found = _set_at(table, source, qtype)
    if found is not None:
        reply.answer.extend(place.owner + one for one in records_of(found.tail))
        reply.targets.extend(targets_of(found))
        return None
    alias = table.aliases.get(source)
    if alias is None:
        _deny(table, reply, NOERROR, place)
    return alias


def _cut_around(table: Table, place: _Place, qtype: int) -> Encoded | None:
    """Return the topmost delegation at or above a name inside its zone (DS: above only)."""
    found = None
    name, cuts = place.name, table.cuts
    while name != place.origin:
        if name in cuts and not (name is place.name and qtype == zone.DS):
            found = cuts[name]
        name = name[1 + name[0] :]
    return found


def _source(table: Table, name: bytes) -> bytes | None:
    """Return the name that owns the answer: itself, or the wildcard at its closest encloser."""
    if name in table.exists:
        return name
    encloser = name
    while encloser not in table.exists:
        encloser = encloser[1 + encloser[0] :]
    wildcard = names.WILDCARD + encloser
    return wildcard if wildcard in table.exists else None


def _set_at(table: Table, name: bytes, qtype: int) -> Encoded | None:
    if qtype == zone.ANY:
        return _first_set(table, name)
    question = qtype.to_bytes(2) + zone.CLASS_IN
    linked = table.linked.get(question, {}).get(name)
    if linked is not None:
        return linked
    entry = table.sets.get(question, {}).get(name)
    return Encoded(name, qtype, 0, entry[1]) if entry else None


def _first_set(table: Table, name: bytes) -> Encoded | None:
    """Return one set of a name: what ANY gets (RFC 8482 §4.1)."""
    for kinds in (table.sets, table.linked):
        for question in sorted(kinds):
            if name in kinds[question]:
                return _set_at(table, name, int.from_bytes(question[:2]))
    return None


def _deny(table: Table, reply: Sections, rcode: int, place: _Place) -> None:
    if table.loaded:
        reply.rcode = rcode
        reply.authority.append(place.owner_of(place.origin) + table.zones[place.origin].rest)
    else:
        reply.rcode, reply.authoritative = SERVFAIL, False
        reply.answer.clear()


def _add_addresses(table: Table, reply: Sections) -> None:
    for target in dict.fromkeys(reply.targets):
        for rtype in (zone.A, zone.AAAA):
            found = table.glue.get((target, rtype)) or _set_at(table, target, rtype)
            if found is not None:
                reply.additional.extend(target + one for one in records_of(found.tail))
