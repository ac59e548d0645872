"""Which serial each zone has: its own count, or the one that all replicas agree on. Pure.

A zone is shared while there is a Zone object for it. Answers show its changes at once; secondaries
get them with the leader's serial, so that they may ask any replica.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lbctl.model.zones import Digests, later_serial
from lbctl_dns import journal, names, zone
from lbctl_dns.agreement import Agreement, Cut
from lbctl_dns.zone import Change


@dataclass(frozen=True, slots=True)
class Word:
    """What a Zone object says: the serial of the content that has a digest."""

    origin: str
    """Without final dot."""
    serial: int
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class Wait:
    """A shared zone's waiting for the leader's word; each has an identity of its own."""

    origin: bytes


@dataclass(slots=True)
class Release:
    """What follows from one event."""

    shown: Change = field(default_factory=Change)
    """What answers show from now on."""
    given: dict[bytes, Change] = field(default_factory=dict)
    """By zone, what leads secondaries to its new serial, SOA included."""
    fresh: set[bytes] = field(default_factory=set)
    """Zones that no step may lead to from an earlier serial."""
    whole: set[bytes] = field(default_factory=set)
    """Zones of which everything that is shown has a serial."""
    waits: list[Wait] = field(default_factory=list)
    """Waits that have begun: who waits long enough calls `Serials.overdue`."""
    faults: list[str] = field(default_factory=list)

    def give(self, origin: bytes, change: Change, soa: zone.RecordSet) -> None:
        """Add what has a serial now."""
        self.given[origin] = Change((*change.upserts, soa), change.deletes)
        self.shown = Change((*self.shown.upserts, soa), self.shown.deletes)


@dataclass(slots=True)
class _Shared:
    """A zone whose serials the leader gives."""

    agreement: Agreement
    floor: int | None
    """Serials up to this one may have been given to secondaries, with another content."""
    word: Word | None = None
    is_settled: bool = False
    """Its serial is one that it got since it is shared, by these settings."""
    is_alone: bool = True
    """Other replicas may have other contents under its serial."""
    wait: Wait | None = None

    @property
    def is_whole(self) -> bool:
        """Tell whether its serial stands for all that is shown."""
        return self.is_settled and not self.agreement.is_open


class Serials:
    """The serials of an Authority's zones, kept in step with the leader's words."""

    def __init__(self, authority: zone.Authority, digests: Digests) -> None:
        self._authority = authority
        self._origins = {names.to_host(one): one for one in authority.serials}
        self._digests = digests
        self._shared: dict[bytes, _Shared] = {}

    def moved(self, authority: zone.Authority, digests: Digests) -> "Serials":
        """Return the same for other zones, or by other settings; words must be told again."""
        other = Serials(authority, digests)
        for text, origin in self._origins.items():
            shared = self._shared.get(origin)
            if shared is None or origin not in authority.serials:
                continue
            now = digests.of(text)
            if now != self._digests.of(text):
                shared = _Shared(Agreement(now), self._floor_after(origin, shared))
            other._shared[origin] = shared
        return other

    def _floor_after(self, origin: bytes, shared: _Shared) -> int | None:
        if not shared.is_settled:
            return shared.floor
        # The leader's own serial means the same content whenever it comes again.
        return (self._authority.serials[origin] - (not shared.is_alone)) % 2**32

    @property
    def own(self) -> frozenset[bytes]:
        """Return the zones that count their own serials."""
        return frozenset(self._authority.serials.keys() - self._shared.keys())

    @property
    def takeable(self) -> frozenset[bytes]:
        """Return the zones whose serials stand for all that is shown."""
        return self.own | {origin for origin, one in self._shared.items() if one.is_whole}

    @property
    def ahead(self) -> frozenset[bytes]:
        """Return the shared zones that show more than the content that their serials stand for."""
        shared = self._shared.items()
        return frozenset(key for key, one in shared if one.is_settled and not one.is_whole)

    def saved_soas(self) -> Iterator[zone.RecordSet]:
        """Yield the SOAs to keep on disk: their serials are those below which none may come."""
        for origin in self._authority.serials:
            shared = self._shared.get(origin)
            if shared is None or shared.is_settled:
                yield self._authority.soa(origin)
            else:
                floor = -1 if shared.floor is None else shared.floor
                yield self._authority.soa(origin, (floor + 1) % 2**32)

    def published(self, change: Change, moved: frozenset[str], now_s: int) -> Release:
        """Take a change that is shown from now on, and the zones whose digest it moved."""
        found = Release(change)
        by_zone = self._by_zone(change)
        for origin in sorted(by_zone.keys() | {self._origins[text] for text in moved}):
            part = by_zone.get(origin, Change())
            shared = self._shared.get(origin)
            if shared is not None:
                cut = shared.agreement.changed(part, self._digest(origin))
                self._follow(found, origin, cut, now_s)
            elif part:
                self._raise(found, origin, part, now_s)
        return found

    def told(self, word: Word, floor: int | None, now_s: int) -> Release:
        """Take the leader's word.

        `floor` is the last serial that secondaries may have seen with another content, where the
        zone was not shared before.
        """
        found = Release()
        origin = self._origins.get(word.origin)
        if origin is None:
            return found
        if origin not in self._shared:
            self._shared[origin] = _Shared(Agreement(self._digest(origin)), floor)
        shared = self._shared[origin]
        if word != shared.word:
            shared.word = word
            cut = shared.agreement.told(word.serial, word.digest)
            self._follow(found, origin, cut, now_s)
        return found

    def left(self, name: str, now_s: int) -> Release:
        """Take the news that there is no Zone object any more."""
        found = Release()
        origin = self._origins.get(name)
        shared = self._shared.pop(origin, None) if origin is not None else None
        if origin is not None and shared is not None and not shared.is_whole:
            rest = shared.agreement.overdue(0).change
            self._raise(found, origin, rest, now_s)
            found.fresh.add(origin)
        return found

    def overdue(self, wait: Wait, now_s: int) -> Release:
        """Give what waits for the leader's word, and has done so all the time, a serial of ours."""
        found = Release()
        origin, shared = wait.origin, self._shared.get(wait.origin)
        if shared is None or shared.wait is not wait:
            return found
        text = names.to_text(origin)
        found.faults.append(f"{text}: the leader gives no serial: counting on without it")
        serial = later_serial(self._authority.serials[origin], now_s)
        self._serve(found, origin, shared.agreement.overdue(serial), alone=True)
        return found

    def _follow(self, found: Release, origin: bytes, cut: Cut | None, now_s: int) -> None:
        """Serve what a cut covers; begin or end waiting."""
        shared = self._shared[origin]
        if cut is not None:
            self._take(found, origin, cut, now_s)
        elif shared.is_whole:
            shared.wait = None
            found.whole.add(origin)
        elif shared.wait is None:
            self._begin_wait(found, origin)

    def _take(self, found: Release, origin: bytes, cut: Cut, now_s: int) -> None:
        shared = self._shared[origin]
        if shared.floor is None or journal.is_later(cut.serial, shared.floor):
            self._serve(found, origin, cut, alone=False)
        elif cut.change or not shared.is_settled:
            text, own = names.to_text(origin), self._authority.serials[origin]
            found.faults.append(f"{text}: serial {cut.serial} of the leader is not after {own}")
            serial = later_serial(own, now_s)
            self._serve(found, origin, Cut(serial, cut.change), alone=True)

    def _serve(self, found: Release, origin: bytes, cut: Cut, *, alone: bool) -> None:
        shared = self._shared[origin]
        if alone or shared.is_alone:
            # Another replica may have given another content under one of the two serials.
            found.fresh.add(origin)
        shared.floor, shared.is_settled, shared.is_alone = cut.serial, True, alone
        self._authority.serials[origin] = cut.serial
        found.give(origin, cut.change, self._authority.soa(origin))
        shared.wait = None
        if shared.is_whole:
            found.whole.add(origin)
        else:
            self._begin_wait(found, origin)

    def _begin_wait(self, found: Release, origin: bytes) -> None:
        self._shared[origin].wait = wait = Wait(origin)
        found.waits.append(wait)

    def _raise(self, found: Release, origin: bytes, change: Change, now_s: int) -> None:
        """Give a change a serial of our own count."""
        serial = later_serial(self._authority.serials[origin], now_s)
        self._authority.serials[origin] = serial
        found.give(origin, change, self._authority.soa(origin))
        found.whole.add(origin)

    def _digest(self, origin: bytes) -> str:
        return self._digests.of(names.to_host(origin))

    def _by_zone(self, change: Change) -> Mapping[bytes, Change]:
        upserts: dict[bytes, list[zone.RecordSet]] = {}
        deletes: dict[bytes, list[zone.SetKey]] = {}
        for one in change.upserts:
            if (origin := self._authority.zone_of(one.name)) is not None:
                upserts.setdefault(origin, []).append(one)
        for key in change.deletes:
            if (origin := self._authority.zone_of(key[0])) is not None:
                deletes.setdefault(origin, []).append(key)
        return {
            origin: Change(tuple(upserts.get(origin, ())), tuple(deletes.get(origin, ())))
            for origin in upserts.keys() | deletes.keys()
        }
