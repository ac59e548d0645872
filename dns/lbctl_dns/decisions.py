"""From L4VirtualService objects to the names they publish. Pure.

The leader decides what is published; here is only read which addresses a name has right now,
and what to do when an object vanishes without having been withdrawn.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl_dns import names, zone

Json = Mapping[str, Any]

_LIVE_PHASES = frozenset({"Serving", "Draining"})


@dataclass(frozen=True, slots=True)
class Host:
    """One published host name."""

    name: bytes
    """Wire form."""
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What DNS needs to know of one L4VirtualService."""

    rank: tuple[str, str]
    """Creation time and UID: the older one has a disputed name."""
    live: bool
    """False once it is Withdrawn: it publishes nothing and may go."""
    vips: frozenset[tuple[str, str]]
    """All its addresses, canonical, each with the UID of the IPAllocation that grants it."""
    answers: tuple[zone.Address, ...]
    """The addresses that names have now."""
    hosts: tuple[Host, ...]
    faults: tuple[str, ...]
    """What was passed over, field and reason."""


def slim(obj: dict[str, Any]) -> dict[str, Any]:
    """Return only what `parse` reads, so that a cache of 10,000 objects stays small."""
    kept = ("name", "uid", "resourceVersion", "creationTimestamp")
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {key: spec[key] for key in ("phase", "vips", "names") if key in spec},
    }


def parse(obj: Json) -> Decision:
    """Return the decision that an object states; parts that make no sense are faults in it."""
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    faults: list[str] = []
    vips = list(_vips(spec.get("vips") or (), faults))
    hosts = tuple(_hosts(spec.get("names") or (), faults))
    return Decision(
        rank=(str(metadata.get("creationTimestamp", "")), str(metadata.get("uid", ""))),
        live=spec.get("phase", "Serving") in _LIVE_PHASES,
        vips=frozenset((str(vip.address), vip.grant) for vip in vips),
        answers=tuple(_answers(vips)),
        hosts=hosts,
        faults=tuple(faults),
    )


@dataclass(frozen=True, slots=True)
class _Vip:
    address: zone.Address
    role: str
    grant: str
    """UID of its IPAllocation; empty where the decision does not say."""


def _vips(listed: Any, faults: list[str]) -> Iterator[_Vip]:
    for index, vip in enumerate(listed):
        try:
            grant = str((vip.get("allocation") or {}).get("uid", ""))
            address = ipaddress.ip_address(vip["address"])
            yield _Vip(address, str(vip.get("role", "Current")), grant)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            faults.append(f"spec.vips[{index}].address: {error}")


def _answers(vips: list[_Vip]) -> Iterator[zone.Address]:
    """Yield the current addresses: an incoming one may not work yet, an outgoing one soon stops."""
    current = [vip.address for vip in vips if vip.role == "Current"]
    yield from sorted(current, key=lambda address: address.version)


def _hosts(listed: Any, faults: list[str]) -> Iterator[Host]:
    for index, entry in enumerate(listed):
        try:
            if entry.get("published"):
                ttl_s = int(entry.get("ttlSeconds", 5))
                yield Host(names.to_wire(entry["host"]), max(0, min(ttl_s, 2**31 - 1)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            faults.append(f"spec.names[{index}]: {error}")


class Publications:
    """Turns decisions, as they come and go, into changes of an Authority.

    An object deleted while it was live is doubt (design decision 3): its names stay until it
    comes back, or another object takes one of its addresses or names.
    """

    def __init__(self, authority: zone.Authority) -> None:
        self.authority = authority
        self._known: dict[str, Decision] = {}
        self._held: dict[str, Decision] = {}

    def moved(self, authority: zone.Authority) -> "Publications":
        """Return the same decisions, doubtful ones included, published in other zones."""
        other = Publications(authority)
        other._known, other._held = dict(self._known), dict(self._held)
        for owner, decision in (*self._known.items(), *self._held.items()):
            authority.publish(owner, other._claim(decision))
        return other

    def outside(self) -> tuple[str, ...]:
        """Return the live published hosts that no zone of ours holds, for people; sorted."""
        live = (one for one in (*self._known.values(), *self._held.values()) if one.live)
        return tuple(sorted({host for one in live for host in outside(self.authority, one)}))

    @property
    def held(self) -> tuple[str, ...]:
        """Return the owners whose objects are gone and whose names stay."""
        return tuple(sorted(self._held))

    def decided(self, owner: str, decision: Decision) -> zone.Change:
        """Take the present decision about one owner; return what that changes in answers."""
        before = self._known.get(owner)
        self._known[owner] = decision
        self._held.pop(owner, None)
        changes = [self._drop(other) for other in self._must_yield(before, decision)]
        changes.append(self.authority.publish(owner, self._claim(decision)))
        return zone.merged(changes)

    def deleted(self, owner: str) -> zone.Change:
        """Take the news that an object is gone."""
        last = self._known.pop(owner, None)
        if last is None:
            return zone.Change()
        if last.live and self._claim(last) is not None:
            self._held[owner] = last
            return zone.Change()
        return self.authority.publish(owner, None)

    def let_go(self, owner: str) -> zone.Change:
        """Drop the names of an object that is still gone; nothing happens when it came back."""
        return self._drop(owner) if owner in self._held else zone.Change()

    def _must_yield(self, before: Decision | None, now: Decision) -> list[str]:
        if not now.live:
            return []
        new_vips = now.vips - (before.vips if before and before.live else frozenset())
        hosts = {host.name for host in now.hosts}
        return [
            owner
            for owner, held in self._held.items()
            if _contend(held.vips, new_vips) or hosts & {host.name for host in held.hosts}
        ]

    def _drop(self, owner: str) -> zone.Change:
        del self._held[owner]
        return self.authority.publish(owner, None)

    def _claim(self, decision: Decision) -> zone.Claim | None:
        sets = [
            one
            for host in decision.hosts
            if self.authority.zone_of(host.name) is not None
            for one in zone.addresses(host.name, host.ttl_s, decision.answers)
        ]
        return zone.Claim(decision.rank, tuple(sets)) if sets and decision.live else None


def _contend(held: frozenset[tuple[str, str]], new: frozenset[tuple[str, str]]) -> bool:
    """Tell whether an address was given anew; two under one IPAllocation share it on purpose."""
    return any(
        address == other and (not grant or grant != its)
        for address, grant in held
        for other, its in new
    )


def outside(authority: zone.Authority, decision: Decision) -> tuple[str, ...]:
    """Return the published hosts that no zone of ours holds, for people."""
    return tuple(
        names.to_text(host.name) for host in decision.hosts if authority.zone_of(host.name) is None
    )
