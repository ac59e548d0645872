"""A node's IPVS and filter, by passes that follow each other; a pass costs what changed. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lbctl.delta import Delta
from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules.behind import Reached
from lbctl_dataplane.rules.frontend import Frontend, Place
from lbctl_dataplane.rules.ipvs import balancer, gate
from lbctl_dataplane.rules.ipvs.balancer import RealServer, VirtualServer
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.pod_routes import PodRoutes
from lbctl_dataplane.rules.tables.elements import Element, Elements, Ends


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything that a kernel holds of ours, or what one frontend needs of it."""

    servers: Mapping[Place, VirtualServer] = field(default_factory=dict)
    members: Mapping[RealServer, int] = field(default_factory=dict)
    vips: Mapping[Address, str] = field(default_factory=dict)
    """Addresses that packets are taken for."""
    elements: Elements = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """What turns one into the other."""

    servers: balancer.Changes
    vips: Delta[Address, str]
    elements: Delta[Element, Ends]

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
        self._elements: Kept[Element, Ends] = Kept()
        self._taken: frozenset[Place] = frozenset()
        self._without: frozenset[str] = frozenset()
        self._behind = Reached()
        self._parts: dict[int, Tables] = {}

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
        return self._behind.missing

    def update(
        self, frontends: Sequence[Frontend], routes: PodRoutes, taken: frozenset[Place]
    ) -> None:
        """Take what is to be served, which members are reached, and what others serve."""
        turn = self._behind.turn(frontends)
        again = (self._behind.follow(routes) | self._handed_over(taken)) - turn.gone
        for known in turn.gone | again:
            self._drop(known)
        self._behind.frontends, self._taken = turn.now, taken
        for known in turn.new | again:
            self._put(known)

    def go_without(self, schedulers: frozenset[str]) -> None:
        """Let places that ask for one of these schedulers choose by Maglev, from now on."""
        moved = schedulers ^ self._without
        entries = self._behind.frontends.items()
        again = [known for known, entry in entries if balancer.scheduler_of(entry) in moved]
        for known in again:
            self._drop(known)
        self._without = schedulers
        for known in again:
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
            balancer.Changes(servers, members, known),
            self._vips.changes(),
            self._elements.changes(),
        )

    def took(self, change: Changes) -> None:
        """Note that the kernel took a change."""
        self._servers.took(change.servers.servers)
        self._members.took(change.servers.members)
        self._vips.took(change.vips)
        self._elements.took(change.elements)

    def _handed_over(self, taken: frozenset[Place]) -> set[int]:
        moved = taken ^ self._taken
        if not moved:
            return set()
        entries = self._behind.frontends.items()
        return {known for known, entry in entries if entry.place in moved}

    def _drop(self, known: int) -> None:
        part = self._parts.pop(known)
        self._servers.remove(part.servers)
        self._members.remove(part.members)
        self._vips.remove(part.vips)
        self._elements.remove(part.elements)
        self._behind.drop(known)

    def _put(self, known: int) -> None:
        self._behind.put(known)
        frontend = self._behind.frontends[known]
        part = self._part(frontend)
        self._parts[known] = part
        self._servers.add(part.servers)
        self._members.add(part.members)
        self._vips.add(part.vips)
        self._elements.add(part.elements)
        served = {real.address for real in part.members}
        missing = tuple(m.address for m in frontend.members if m.address not in served)
        self._behind.lack(known, missing)

    def _part(self, frontend: Frontend) -> Tables:
        """Return what one frontend needs; nothing where somebody else serves."""
        if frontend.place in self._taken:
            return Tables()
        if not frontend.all_members:
            return Tables(elements=gate.elements(frontend))
        return Tables(
            {frontend.place: balancer.virtual_server(frontend, self._without)},
            balancer.real_servers(frontend, self._behind.here),
            {frontend.place.vip: ""},
            gate.elements(frontend),
        )
