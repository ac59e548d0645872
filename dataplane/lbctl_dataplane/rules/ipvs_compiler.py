"""A node's IPVS and filter, by passes that follow each other; a pass costs what changed. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lbctl.delta import Delta
from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import ipvs, ipvs_filter
from lbctl_dataplane.rules.frontend import Frontend, Place
from lbctl_dataplane.rules.ipvs import RealServer, VirtualServer
from lbctl_dataplane.rules.ipvs_filter import Element
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.pod_routes import PodRoutes


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything that a kernel holds of ours, or what one frontend needs of it."""

    servers: Mapping[Place, VirtualServer] = field(default_factory=dict)
    members: Mapping[RealServer, int] = field(default_factory=dict)
    vips: Mapping[Address, str] = field(default_factory=dict)
    """Addresses that packets are taken for."""
    elements: Mapping[Element, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """What turns one into the other."""

    servers: ipvs.Changes
    vips: Delta[Address, str]
    elements: Delta[Element, str]

    def __len__(self) -> int:
        """Return the number of single objects."""
        deltas = (self.servers.servers, self.servers.members, self.vips, self.elements)
        return sum(len(delta.upserts) + len(delta.deletes) for delta in deltas)


class IpvsCompiler:
    """What the kernel should hold, and what it is known to hold."""

    def __init__(self) -> None:
        self._servers: Kept[Place, VirtualServer] = Kept()
        self._members: Kept[RealServer, int] = Kept()
        self._vips: Kept[Address, str] = Kept()
        self._elements: Kept[Element, str] = Kept()
        self._routes = PodRoutes()
        self._taken: frozenset[Place] = frozenset()
        self._frontends: dict[int, Frontend] = {}
        """By identity: a frontend that is the same object has not changed."""
        self._parts: dict[int, Tables] = {}
        self._missing: dict[int, tuple[Address, ...]] = {}
        self._at: dict[Address, set[int]] = {}
        """Which frontends have a member at an address."""
        self._here: set[Address] = set()
        """Those of them that can be reached."""

    @property
    def desired(self) -> Tables:
        """Return all that should be there."""
        return Tables(
            self._servers.desired, self._members.desired, self._vips.desired, self._elements.desired
        )

    @property
    def known(self) -> Collection[Place]:
        """Return where there was a virtual server of ours when it was looked last."""
        return self._servers.verified.keys()

    @property
    def missing(self) -> dict[str, tuple[Address, ...]]:
        """Return the members that get connections and can't be served, by virtual service."""
        found: dict[str, set[Address]] = {}
        for known, addresses in self._missing.items():
            found.setdefault(self._frontends[known].key, set()).update(addresses)
        return {key: tuple(sorted(found[key], key=_order)) for key in found}

    def update(
        self, frontends: Sequence[Frontend], routes: PodRoutes, taken: frozenset[Place]
    ) -> None:
        """Take what is to be served, which members are reached, and what others serve."""
        now = {id(entry): entry for entry in frontends}
        gone = self._frontends.keys() - now.keys()
        new = now.keys() - self._frontends.keys()
        again = (self._reached_otherwise(routes) | self._handed_over(taken)) - gone
        for known in gone | again:
            self._drop(known)
        self._frontends, self._routes, self._taken = now, routes, taken
        for known in new | again:
            self._put(known)

    def read_back(self, observed: Tables) -> None:
        """Take what the kernel holds of ours."""
        self._servers.read_back(observed.servers)
        self._members.read_back(observed.members)
        self._vips.read_back(observed.vips)
        self._elements.read_back(observed.elements)

    def changes(self) -> Changes:
        """Return what the kernel lacks."""
        servers, members = self._servers.changes(), self._members.changes()
        known: frozenset[Place | RealServer] = frozenset(
            (
                *(servers.upserts.keys() & self._servers.verified.keys()),
                *(members.upserts.keys() & self._members.verified.keys()),
            )
        )
        return Changes(
            ipvs.Changes(servers, members, known), self._vips.changes(), self._elements.changes()
        )

    def took(self, change: Changes) -> None:
        """Note that the kernel took a change."""
        self._servers.took(change.servers.servers)
        self._members.took(change.servers.members)
        self._vips.took(change.vips)
        self._elements.took(change.elements)

    def _reached_otherwise(self, routes: PodRoutes) -> set[int]:
        if routes is self._routes:
            return set()
        here = set(filter(routes.lead_to, self._at))
        moved = here ^ self._here
        self._here = here
        return {known for address in moved for known in self._at[address]}

    def _handed_over(self, taken: frozenset[Place]) -> set[int]:
        moved = taken ^ self._taken
        if not moved:
            return set()
        return {known for known, entry in self._frontends.items() if entry.place in moved}

    def _drop(self, known: int) -> None:
        part = self._parts.pop(known)
        self._servers.remove(part.servers)
        self._members.remove(part.members)
        self._vips.remove(part.vips)
        self._elements.remove(part.elements)
        self._missing.pop(known, None)
        for address in addresses(self._frontends[known]):
            self._at[address].discard(known)
            if not self._at[address]:
                del self._at[address]
                self._here.discard(address)

    def _put(self, known: int) -> None:
        frontend = self._frontends[known]
        self._reach(known)
        part = self._part(frontend)
        self._parts[known] = part
        self._servers.add(part.servers)
        self._members.add(part.members)
        self._vips.add(part.vips)
        self._elements.add(part.elements)
        served = {real.address for real in part.members}
        missing = tuple(m.address for m in frontend.members if m.address not in served)
        if missing:
            self._missing[known] = missing

    def _reach(self, known: int) -> None:
        for address in addresses(self._frontends[known]):
            if address not in self._at and self._routes.lead_to(address):
                self._here.add(address)
            self._at.setdefault(address, set()).add(known)

    def _part(self, frontend: Frontend) -> Tables:
        """Return what one frontend needs; nothing where somebody else serves."""
        if frontend.place in self._taken:
            return Tables()
        return Tables(
            {frontend.place: ipvs.virtual_server(frontend)},
            ipvs.real_servers(frontend, self._here),
            {frontend.place.vip: ""},
            ipvs_filter.elements(frontend),
        )


def addresses(frontend: Frontend) -> set[Address]:
    """Return where a frontend's members are."""
    return {member.address for member in frontend.all_members}


def _order(address: Address) -> tuple[int, int]:
    return (address.version, int(address))
