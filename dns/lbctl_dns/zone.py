"""What a zone holds: record sets, who claims which name, serials. Pure; `now` is an input."""

import ipaddress
import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from lbctl.model import zones as serials
from lbctl_dns import names

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DS = 1, 2, 5, 6, 12, 15, 16, 28, 33, 43
ANY = 255
TYPE_NAMES = {A: "A", NS: "NS", CNAME: "CNAME", PTR: "PTR", TXT: "TXT", AAAA: "AAAA", SRV: "SRV"}
"""For people; of those that are published."""
CLASS_IN = b"\0\x01"

APEX_TTL_S = 300
"""TTL of NS and its addresses: they change with the settings, not with Services."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
SetKey = tuple[bytes, int]
"""Wire name and record type."""


@dataclass(frozen=True, slots=True)
class RecordSet:
    """All records of one name and type; the records' order is kept in answers."""

    name: bytes
    rtype: int
    ttl_s: int
    rdatas: tuple[bytes, ...]

    @property
    def key(self) -> SetKey:
        """Return what there is only one of in a zone."""
        return self.name, self.rtype


@dataclass(frozen=True, slots=True)
class Soa:
    """The SOA record but for its serial; times in seconds."""

    mname: bytes
    rname: bytes
    refresh_s: int
    retry_s: int
    expire_s: int
    negative_ttl_s: int

    def record_set(self, origin: bytes, serial: int) -> RecordSet:
        """Return the record; its own TTL is the negative one, so RFC 2308's minimum is both."""
        times = (serial, self.refresh_s, self.retry_s, self.expire_s, self.negative_ttl_s)
        rdata = self.mname + self.rname + struct.pack(">5I", *times)
        return RecordSet(origin, SOA, self.negative_ttl_s, (rdata,))


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone that we are authoritative for, and what it holds besides claimed names."""

    origin: bytes
    soa: Soa
    fixed: tuple[RecordSet, ...]
    """NS, their addresses, or the whole of a zone file; never the SOA."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The record sets that one owner wants to see published."""

    rank: tuple[str, str]
    """Who comes first where two claim one name: creation time, then UID (lower wins)."""
    sets: tuple[RecordSet, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes visible together: sets that are new or different, and keys that go."""

    upserts: tuple[RecordSet, ...] = ()
    deletes: tuple[SetKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.upserts or self.deletes)


def addresses(name: bytes, ttl_s: int, found: Iterable[Address]) -> tuple[RecordSet, ...]:
    """Return the A set and the AAAA set of a name, each where there is an address for it."""
    by_type: dict[int, list[bytes]] = {A: [], AAAA: []}
    for address in found:
        rdatas = by_type[A if address.version == 4 else AAAA]
        if address.packed not in rdatas:
            rdatas.append(address.packed)
    return tuple(
        RecordSet(name, rtype, ttl_s, tuple(rdatas)) for rtype, rdatas in by_type.items() if rdatas
    )


def name_servers(origin: bytes, mname: bytes, own: Iterable[Address]) -> tuple[RecordSet, ...]:
    """Return the NS set of the apex and the addresses behind it.

    The n-th IPv4 and the n-th IPv6 address are `ns<n>.<zone>`; without any, `mname` is the NS.
    """
    by_family: dict[int, list[Address]] = {4: [], 6: []}
    for address in own:
        by_family[address.version].append(address)
    targets = []
    sets: list[RecordSet] = []
    for index in range(max(len(found) for found in by_family.values())):
        target = names.from_labels([b"ns%d" % (index + 1)])[:-1] + origin
        mine = [found[index] for found in by_family.values() if index < len(found)]
        sets.extend(addresses(target, APEX_TTL_S, mine))
        targets.append(target)
    return (RecordSet(origin, NS, APEX_TTL_S, tuple(targets) or (mname,)), *sets)


class Authority:
    """The contents of all zones: fixed sets, and for each name the first of its claimants."""

    def __init__(self, zones: Iterable[Zone], serials: Mapping[bytes, int] = {}) -> None:
        self._zones = {zone.origin: zone for zone in zones}
        self.serials = {origin: serials.get(origin, 0) for origin in self._zones}
        """Serial by origin; 0 before the first change."""
        self._fixed: dict[bytes, tuple[RecordSet, ...]] = {}
        for zone in self._zones.values():
            for one in zone.fixed:
                self._fixed[one.name] = (*self._fixed.get(one.name, ()), one)
        self._owned: dict[str, Claim] = {}
        self._claims: dict[bytes, dict[str, Claim]] = {}

    @property
    def zones(self) -> tuple[Zone, ...]:
        """Return the zones, each once."""
        return tuple(self._zones.values())

    @property
    def name_count(self) -> int:
        """Return how many names have records."""
        return len(self._fixed.keys() | self._claims.keys() | self._zones.keys())

    def zone_of(self, name: bytes) -> bytes | None:
        """Return the origin of the innermost zone that `name` is in, None outside of all."""
        return next((one for one in names.lineage(name) if one in self._zones), None)

    def publish(self, owner: str, claim: Claim | None) -> Change:
        """Put `claim` in the place of what `owner` claimed before; None withdraws it all.

        Return what that changes in answers; serials are left alone (`raise_serials`).
        """
        before = self._owned.get(owner)
        if claim == before:
            return Change()
        touched = {one.name for side in (before, claim) if side for one in side.sets}
        old = {one.key: one for name in touched for one in self._shown(name)}
        self._replace(owner, before, claim)
        new = {one.key: one for name in touched for one in self._shown(name)}
        return difference(old, new)

    def raise_serials(self, change: Change, now_s: int) -> Change:
        """Raise the serial of each zone that `change` touches; return it with their SOAs."""
        touched = {one.name for one in change.upserts} | {name for name, _ in change.deletes}
        origins = {self.zone_of(name) for name in touched} - {None}
        soas = []
        for origin in sorted(one for one in origins if one is not None):
            self.serials[origin] = serials.later_serial(self.serials[origin], now_s)
            soas.append(self._zones[origin].soa.record_set(origin, self.serials[origin]))
        return Change((*change.upserts, *soas), change.deletes)

    def raise_unlike(self, before: "Authority", origins: Collection[bytes], now_s: int) -> None:
        """Raise the serial of each of these zones that is, with the same serial, another one."""
        old, new = before._by_zone(), self._by_zone()
        for origin in origins:
            if old.get(origin) != new[origin]:
                self.serials[origin] = serials.later_serial(self.serials[origin], now_s)

    def _by_zone(self) -> dict[bytes, set[RecordSet]]:
        found: dict[bytes, set[RecordSet]] = {origin: set() for origin in self._zones}
        for one in self.contents():
            origin = self.zone_of(one.name)
            if origin is not None:
                found[origin].add(one)
        return found

    def soa(self, origin: bytes, serial: int | None = None) -> RecordSet:
        """Return the SOA record of a zone, with its present serial unless another one is given."""
        own = self.serials[origin] if serial is None else serial
        return self._zones[origin].soa.record_set(origin, own)

    def contents(self) -> tuple[RecordSet, ...]:
        """Return everything that is published, SOAs first, the rest in no order."""
        return (*map(self.soa, self._zones), *self.records())

    def contents_of(self, origins: Collection[bytes]) -> tuple[RecordSet, ...]:
        """Return what is published in these zones, SOAs first, the rest in no order."""
        held = (one for one in self.records() if self.zone_of(one.name) in origins)
        return (*map(self.soa, origins), *held)

    def records(self) -> tuple[RecordSet, ...]:
        """Return everything that is published but SOAs, in no order."""
        return tuple(one for name in {*self._fixed, *self._claims} for one in self._shown(name))

    def _shown(self, name: bytes) -> tuple[RecordSet, ...]:
        if name in self._fixed:
            return self._fixed[name]
        claimants = self._claims.get(name)
        if not claimants:
            return ()
        owner = next(iter(claimants))
        if len(claimants) > 1:
            owner = min(claimants, key=lambda one: (claimants[one].rank, one))
        return tuple([one for one in claimants[owner].sets if one.name == name])

    def _replace(self, owner: str, before: Claim | None, claim: Claim | None) -> None:
        for name in {one.name for one in before.sets} if before else ():
            del self._claims[name][owner]
            if not self._claims[name]:
                del self._claims[name]
        self._owned.pop(owner, None)
        if claim is not None:
            self._owned[owner] = claim
            for one in claim.sets:
                self._claims.setdefault(one.name, {})[owner] = claim


def difference(old: Mapping[SetKey, RecordSet], new: Mapping[SetKey, RecordSet]) -> Change:
    """Return what turns `old` into `new`; empty when they agree."""
    upserts = tuple(one for key, one in sorted(new.items()) if old.get(key) != one)
    return Change(upserts, tuple(sorted(old.keys() - new.keys())))


def merged(changes: Iterable[Change]) -> Change:
    """Return one change that does what `changes` do one after the other."""
    upserts: dict[SetKey, RecordSet] = {}
    deletes: set[SetKey] = set()
    for change in changes:
        for key in change.deletes:
            upserts.pop(key, None)
            deletes.add(key)
        for one in change.upserts:
            deletes.discard(one.key)
            upserts[one.key] = one
    return Change(tuple(upserts.values()), tuple(sorted(deletes)))
