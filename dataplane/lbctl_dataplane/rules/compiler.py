"""Flows and groups of a node, by passes that follow each other; a pass costs what changed. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import ovs
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.openflow import Changes, FlowKey, Tables
from lbctl_dataplane.rules.ovs import Ground


class Compiler:
    """What the switch should hold, and what it is known to hold."""

    def __init__(self) -> None:
        self._flows: Kept[FlowKey, str] = Kept()
        self._groups: Kept[int, str] = Kept()
        self._ground = Ground(0, "", "")
        self._frame: Mapping[FlowKey, str] = {}
        self._frontends: dict[int, Frontend] = {}
        """By identity: a frontend that is the same object has not changed."""
        self._parts: dict[int, Tables] = {}
        self._missing: dict[int, tuple[Address, ...]] = {}
        self._at_pod: dict[Address, set[int]] = {}
        """Which frontends have a member at an address."""
        self._numbers = ovs.Numbers()

    @property
    def desired(self) -> Tables:
        """Return all that should be there."""
        return Tables(self._flows.desired, self._groups.desired)

    @property
    def missing(self) -> dict[str, tuple[Address, ...]]:
        """Return the members that get connections and have no port here, by virtual service."""
        found: dict[str, set[Address]] = {}
        for known, addresses in self._missing.items():
            found.setdefault(self._frontends[known].key, set()).update(addresses)
        return {key: tuple(sorted(found[key], key=_order)) for key in found}

    def update(self, frontends: Sequence[Frontend], ground: Ground) -> None:
        """Take what is to be served, and on which switch."""
        now = {id(entry): entry for entry in frontends}
        gone = self._frontends.keys() - now.keys()
        new = now.keys() - self._frontends.keys()
        again = self._standing_on_other_ground(ground) - gone
        for known in gone | again:
            self._drop(known)
        left = {self._frontends[known].place for known in gone}
        for place in left - {now[fresh].place for fresh in new}:
            self._numbers.release(place)
        self._frontends = now
        self._stand_on(ground)
        for fresh in new | again:
            self._put(fresh)

    def read_back(self, observed: Tables) -> None:
        """Take what the switch holds."""
        self._flows.read_back(observed.flows)
        self._groups.read_back(observed.groups)

    def changes(self) -> Changes:
        """Return what the switch lacks."""
        groups = self._groups.changes()
        known = frozenset(groups.upserts.keys() & self._groups.verified.keys())
        return Changes(self._flows.changes(), groups, known)

    def took(self, change: Changes) -> None:
        """Note that the switch took a change."""
        self._flows.took(change.flows)
        self._groups.took(change.groups)

    def _standing_on_other_ground(self, ground: Ground) -> set[int]:
        before = self._ground
        if ground is before:
            return set()
        if ovs.without_pods(ground) != ovs.without_pods(before):
            return set(self._frontends)
        moved = (
            address
            for address in before.pods.keys() | ground.pods.keys()
            if before.pods.get(address) != ground.pods.get(address)
        )
        return _union(self._at_pod.get(address, ()) for address in moved)

    def _stand_on(self, ground: Ground) -> None:
        if ground is self._ground:
            return
        self._ground = ground
        frame = dict(ovs.frame(ground))
        self._flows.add(frame)
        self._flows.remove(self._frame)
        self._frame = frame

    def _drop(self, known: int) -> None:
        part = self._parts.pop(known)
        self._flows.remove(part.flows)
        self._groups.remove(part.groups)
        self._missing.pop(known, None)
        for address in {member.address for member in self._frontends[known].all_members}:
            self._at_pod[address].discard(known)
            if not self._at_pod[address]:
                del self._at_pod[address]

    def _put(self, fresh: int) -> None:
        frontend = self._frontends[fresh]
        part = ovs.tables(frontend, self._ground, self._numbers.of(frontend.place))
        self._parts[fresh] = part
        self._flows.add(part.flows)
        self._groups.add(part.groups)
        missing = ovs.missing_pods(frontend, self._ground)
        if missing:
            self._missing[fresh] = missing
        for member in frontend.all_members:
            self._at_pod.setdefault(member.address, set()).add(fresh)


def _union(sets: Iterable[Iterable[int]]) -> set[int]:
    return {entry for found in sets for entry in found}


def _order(address: Address) -> tuple[int, int]:
    return (address.version, int(address))
