"""Members whose connections end when their drain time is over, and since when they drain. Pure.

A terminating member that gets no new connections drains for as long as its virtual service says.
After that a node serves it no more, as if it had vanished: its clients are reset.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules.frontend import Frontend

Who = tuple[str, Address]
"""Key of the virtual service and address of the endpoint: its ports drain together."""


@dataclass(frozen=True, slots=True)
class Drain:
    """One endpoint of one virtual service that drains."""

    key: str
    """Of the virtual service, `<namespace>.<service>`."""
    address: Address
    since_s: float
    """By a clock that begins with the machine's boot, also while it sleeps."""


def render_drain(drain: Drain) -> dict[str, Any]:
    """Return a drain as JSON; `parse_drains` is the inverse."""
    return {"key": drain.key, "address": str(drain.address), "sinceSeconds": drain.since_s}


def parse_drains(entries: Iterable[Mapping[str, Any]]) -> tuple[Drain, ...]:
    """Return drains from JSON; what does not parse is left out."""
    found = map(_parse, entries)
    return tuple(drain for drain in found if drain is not None)


def _parse(entry: Mapping[str, Any]) -> Drain | None:
    try:
        address = ipaddress.ip_address(entry["address"])
        return Drain(entry["key"], address, float(entry["sinceSeconds"]))
    except (KeyError, TypeError, ValueError):
        return None  # that one begins anew


class Draining:
    """Frontends by views that follow each other. What did not change stays the same object."""

    def __init__(self) -> None:
        self._since: dict[Who, float] = {}
        self._given: tuple[Frontend, ...] = ()
        """The last frontends of which none drained."""
        self._made: dict[int, tuple[Frontend, Frontend]] = {}
        """What was given, which keeps its identity from others, and what was made of it."""
        self.next_s: float | None = None
        """When the next drain is over, by the clock of `of`; None: nothing drains."""

    def restore(self, drains: Iterable[Drain]) -> None:
        """Take since when endpoints drain that did so before this process began."""
        self._since = {(drain.key, drain.address): drain.since_s for drain in drains}

    @property
    def drains(self) -> tuple[Drain, ...]:
        """Return what drains, or did and is still there; sorted."""
        found = (Drain(key, address, since) for (key, address), since in self._since.items())
        return tuple(sorted(found, key=_order))

    def of(self, frontends: Sequence[Frontend], now_s: float) -> tuple[Frontend, ...]:
        """Return the frontends without the members whose drain time is over."""
        if frontends is self._given and not self._since:
            return self._given
        draining = [entry for entry in frontends if entry.draining]
        who = dict.fromkeys(who for entry in draining for who in _who(entry))
        self._since = {one: self._since.get(one, now_s) for one in who}
        ends = [self._end(entry.key, at, entry) for entry in draining for at in _addresses(entry)]
        self.next_s = min((end for end in ends if end > now_s), default=None)
        self._made = {id(entry): (entry, self._one(entry, now_s)) for entry in draining}
        if not draining:
            self._given = tuple(frontends)
            return self._given
        return tuple(self._made.get(id(entry), (entry, entry))[1] for entry in frontends)

    def _end(self, key: str, address: Address, entry: Frontend) -> float:
        return self._since[(key, address)] + (entry.drain_timeout_s or 0)

    def _one(self, entry: Frontend, now_s: float) -> Frontend:
        over = {at for at in _addresses(entry) if self._end(entry.key, at, entry) <= now_s}
        if not over:
            return entry
        # It may be left without members: who goes on sending meets what he would at any such place.
        made = replace(
            entry,
            lingering=tuple(member for member in entry.lingering if member.address not in over),
            draining=tuple(member for member in entry.draining if member.address not in over),
        )
        _, before = self._made.get(id(entry), (entry, entry))
        return before if before == made else made


def _addresses(entry: Frontend) -> Set[Address]:
    return {member.address for member in entry.draining}


def _who(entry: Frontend) -> Iterable[Who]:
    return ((entry.key, address) for address in _addresses(entry))


def _order(drain: Drain) -> tuple[str, int, int]:
    return (drain.key, drain.address.version, int(drain.address))
