"""Zones as secondaries take them: whole, or the steps from a serial they have. Pure.

Each change is kept as the records that an IXFR carries (RFC 1995), one step per serial and not
condensed: a step is rendered once, and serves every secondary, whichever serial it has.
"""

import enum
import hashlib
import struct
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lbctl_dns import names, zone
from lbctl_dns.zone import Change, RecordSet, SetKey

MAX_RECORDS = 20_000
"""Records in the steps of one zone, about 1.5 MB; older steps go, whoever needs them takes all."""

_FIXED = struct.Struct(">HHIH")
_STEP = struct.Struct(">III")
_MAGIC = b"lbctl-journal-1\n"


class Damaged(Exception):
    """The bytes are not a journal that this program wrote whole."""


class Form(enum.Enum):
    """How much of a zone is sent."""

    FULL = "axfr"
    STEPS = "ixfr"
    SOA = "soa"
    """The secondary has it all, or asked for no more."""


@dataclass(frozen=True, slots=True)
class Step:
    """What turned one serial into another: old SOA, what went, new SOA, what came."""

    before: int
    after: int
    records: tuple[bytes, ...]


Steps = Mapping[bytes, tuple[Step, ...]]
"""By origin, oldest first."""


def records_of(one: RecordSet) -> list[bytes]:
    """Return the records of a set as they stand in a message, names in full."""
    return [
        one.name + _FIXED.pack(one.rtype, 1, one.ttl_s, len(rdata)) + rdata for rdata in one.rdatas
    ]


def serial_of(soa: RecordSet) -> int:
    """Return the serial in an SOA."""
    return int.from_bytes(soa.rdatas[0][-20:-16])


def is_later(one: int, other: int) -> bool:
    """Tell whether a serial comes after another (RFC 1982)."""
    return 0 < (one - other) % 2**32 < 2**31


class History:
    """One zone: what it holds now, and the last steps that led here."""

    def __init__(self, soa: RecordSet) -> None:
        self.soa = soa
        self._sets: dict[SetKey, RecordSet] = {}
        self._steps: deque[Step] = deque()
        self._kept = 0
        self.count = 1
        """Records in the zone, its SOA included."""

    @property
    def serial(self) -> int:
        """Return the zone's serial."""
        return serial_of(self.soa)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the steps that are kept, oldest first."""
        return tuple(self._steps)

    def full(self) -> Iterator[bytes]:
        """Return all records, the SOA first and last; later changes do not touch what it gives."""
        return _whole(self.soa, list(self._sets.values()))

    def alone(self) -> Iterator[bytes]:
        """Return the SOA."""
        return iter(records_of(self.soa))

    def since(self, serial: int) -> tuple[Form, Iterator[bytes]]:
        """Return what a secondary with this serial needs."""
        if not is_later(self.serial, serial):
            return Form.SOA, self.alone()
        wanted: list[Step] = []
        for step in reversed(self._steps):
            wanted.append(step)
            if step.before == serial:
                break
        else:
            return Form.FULL, self.full()
        if sum(len(step.records) for step in wanted) > self.count:
            return Form.FULL, self.full()
        return Form.STEPS, _stepwise(self.soa, wanted[::-1])

    def change(self, change: Change) -> None:
        """Take a change that has the zone's new SOA among its upserts."""
        old = {one.key: self._sets[one.key] for one in change.upserts if one.key in self._sets}
        old |= {key: self._sets[key] for key in change.deletes if key in self._sets}
        new = {one.key: one for one in change.upserts if one.rtype != zone.SOA}
        (soa,) = (one for one in change.upserts if one.rtype == zone.SOA)
        if not is_later(serial_of(soa), self.serial):
            self._forget()
        else:
            self._keep(_step(self.soa, old.values(), soa, new.values()))
        for key in old.keys() - new.keys():
            del self._sets[key]
        self._sets |= new
        self.count += _count(new.values()) - _count(old.values())
        self.soa = soa

    def become(self, soa: RecordSet, sets: Mapping[SetKey, RecordSet]) -> bool:
        """Take the whole content; return whether it is another one than it was."""
        found = zone.difference(self._sets, sets)
        if not found and soa == self.soa:
            return False
        self.change(Change((soa, *found.upserts), found.deletes))
        return True

    def remember(self, steps: Iterable[Step]) -> None:
        """Take the steps of an earlier life; those that do not lead to this serial are dropped."""
        self._forget()
        for step in steps:
            if self._steps and self._steps[-1].after != step.before:
                self._forget()
            self._keep(step)
        if self._steps and self._steps[-1].after != self.serial:
            self._forget()

    def _forget(self) -> None:
        self._steps.clear()
        self._kept = 0

    def _keep(self, step: Step) -> None:
        self._steps.append(step)
        self._kept += len(step.records)
        while self._kept > MAX_RECORDS:
            self._kept -= len(self._steps.popleft().records)


def _count(sets: Iterable[RecordSet]) -> int:
    return sum(len(one.rdatas) for one in sets)


def _step(
    old_soa: RecordSet, old: Iterable[RecordSet], new_soa: RecordSet, new: Iterable[RecordSet]
) -> Step:
    before = dict.fromkeys(record for one in old for record in records_of(one))
    after = dict.fromkeys(record for one in new for record in records_of(one))
    gone = (record for record in before if record not in after)
    come = (record for record in after if record not in before)
    records = (*records_of(old_soa), *gone, *records_of(new_soa), *come)
    return Step(serial_of(old_soa), serial_of(new_soa), records)


def _whole(soa: RecordSet, sets: list[RecordSet]) -> Iterator[bytes]:
    yield from records_of(soa)
    for one in sets:
        yield from records_of(one)
    yield from records_of(soa)


def _stepwise(soa: RecordSet, steps: list[Step]) -> Iterator[bytes]:
    yield from records_of(soa)
    for step in steps:
        yield from step.records
    yield from records_of(soa)


class Library:
    """The histories of all zones; empty until the contents are known."""

    def __init__(self) -> None:
        self.zones: dict[bytes, History] = {}
        """By origin."""

    @property
    def serials(self) -> dict[bytes, int]:
        """Return the serial of each zone by its origin."""
        return {origin: history.serial for origin, history in self.zones.items()}

    def show(self, contents: Iterable[RecordSet], kept: Collection[bytes] = ()) -> frozenset[bytes]:
        """Take the whole of all zones, as `zone.Authority.contents` gives it.

        Those in `kept` stay as they are, others that `contents` has no SOA of go. Return the
        origins of those that are new or different.
        """
        listed = list(contents)
        soas = {one.name: one for one in listed if one.rtype == zone.SOA}
        by_zone: dict[bytes, dict[SetKey, RecordSet]] = {origin: {} for origin in soas}
        for one in listed:
            origin = _origin(one.name, soas)
            if one.rtype != zone.SOA and origin is not None:
                by_zone[origin][one.key] = one
        new = soas.keys() - self.zones.keys()
        stay = {origin: self.zones[origin] for origin in self.zones.keys() & set(kept)}
        shown = {origin: self.zones.get(origin) or History(soas[origin]) for origin in soas}
        self.zones = stay | shown
        changed = {
            origin
            for origin, sets in by_zone.items()
            if self.zones[origin].become(soas[origin], sets)
        }
        return frozenset(new | changed)

    def steps(self, origins: Collection[bytes]) -> Steps:
        """Return the steps of those of these zones that are here."""
        return {origin: self.zones[origin].steps for origin in self.zones.keys() & set(origins)}

    def change(self, change: Change) -> frozenset[bytes]:
        """Take one change, the new SOAs of its zones included; return their origins."""
        upserts: dict[bytes | None, list[RecordSet]] = {}
        deletes: dict[bytes | None, list[SetKey]] = {}
        for one in change.upserts:
            upserts.setdefault(_origin(one.name, self.zones), []).append(one)
        for key in change.deletes:
            deletes.setdefault(_origin(key[0], self.zones), []).append(key)
        soas = (one.name for one in change.upserts if one.rtype == zone.SOA)
        changed = frozenset(name for name in soas if name in self.zones)
        for origin in changed:
            found = Change(tuple(upserts[origin]), tuple(deletes.get(origin, ())))
            self.zones[origin].change(found)
        return changed


def _origin(name: bytes, zones: Mapping[bytes, object]) -> bytes | None:
    return next((one for one in names.lineage(name) if one in zones), None)


def path_beside(snapshot: Path) -> Path:
    """Return where the journal lies that leads to a snapshot."""
    return snapshot.with_suffix(".journal")


def render(steps: Steps) -> bytes:
    """Return the steps of zones as they are kept on disk."""
    body = b"".join(_zone_body(origin, found) for origin, found in sorted(steps.items()))
    return _MAGIC + hashlib.sha256(body).digest() + body


def _zone_body(origin: bytes, found: Iterable[Step]) -> bytes:
    steps = b"".join(_step_body(step) for step in found)
    return bytes((len(origin),)) + origin + struct.pack(">I", len(steps)) + steps


def _step_body(step: Step) -> bytes:
    start = _STEP.pack(step.before, step.after, len(step.records))
    return start + b"".join(struct.pack(">I", len(one)) + one for one in step.records)


def parse(content: bytes) -> dict[bytes, tuple[Step, ...]]:
    """Return the steps by zone that `render` was given. Raises Damaged."""
    start = len(_MAGIC) + 32
    body = content[start:]
    if content[:start] != _MAGIC + hashlib.sha256(body).digest():
        raise Damaged("not a whole journal")
    found: dict[bytes, tuple[Step, ...]] = {}
    at = 0
    while at < len(body):
        name_end = at + 1 + body[at]
        size = int.from_bytes(body[name_end : name_end + 4])
        found[body[at + 1 : name_end]] = tuple(_steps_in(body[name_end + 4 : name_end + 4 + size]))
        at = name_end + 4 + size
    return found


def _steps_in(body: bytes) -> Iterator[Step]:
    at = 0
    while at < len(body):
        before, after, count = _STEP.unpack_from(body, at)
        at += _STEP.size
        records = []
        for _ in range(count):
            end = at + 4 + int.from_bytes(body[at : at + 4])
            records.append(body[at + 4 : end])
            at = end
        yield Step(before, after, tuple(records))
