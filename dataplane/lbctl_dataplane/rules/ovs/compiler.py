"""Flows and groups of a node, by passes that follow each other; a pass costs what changed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lbctl.delta import Delta
from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules.behind import Behind
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.ovs import limits, pipeline, refusals
from lbctl_dataplane.rules.ovs.openflow import Changes, FlowKey, Tables
from lbctl_dataplane.rules.ovs.peers import Part
from lbctl_dataplane.rules.ovs.pipeline import Ground
from lbctl_dataplane.rules.tables.elements import Element, Elements, Ends


@dataclass(frozen=True, slots=True)
class _Part:
    """What one frontend has added."""

    flows: tuple[FlowKey, ...]
    groups: tuple[int, ...]
    meters: tuple[int, ...]
    refused: tuple[Element, ...]


class Compiler:
    """What the switch should hold, and what it is known to hold."""

    def __init__(self) -> None:
        self._flows: Kept[FlowKey, str] = Kept()
        self._groups: Kept[int, str] = Kept()
        self._meters: Kept[int, str] = Kept()
        self._refusals: Kept[Element, Ends] = Kept()
        self._ground = Ground(0, "", "")
        self._frame: Mapping[FlowKey, str] = {}
        self._behind = Behind()
        self._parts: dict[int, _Part] = {}
        self._numbers = pipeline.group_numbers()
        self._meter_numbers = limits.numbers()

    @property
    def desired(self) -> Tables:
        """Return all that should be there."""
        return Tables(self._flows.desired, self._groups.desired, self._meters.desired)

    @property
    def missing(self) -> dict[str, tuple[Address, ...]]:
        """Return the members that get connections and have no port here, by virtual service."""
        return self._behind.missing

    def update(self, frontends: Sequence[Frontend], ground: Ground) -> None:
        """Take what is to be served, and on which switch."""
        turn, before = self._behind.turn(frontends), self._behind.frontends
        again = self._standing_on_other_ground(ground) - turn.gone
        for known in turn.gone | again:
            self._drop(known)
        left = {before[known].place for known in turn.gone}
        for place in left - {turn.now[fresh].place for fresh in turn.new}:
            self._numbers.release(place)
            self._meter_numbers.release(place)
        self._behind.frontends = turn.now
        self._stand_on(ground)
        for fresh in turn.new | again:
            self._put(fresh)

    def add(self, part: Part) -> None:
        """Want a part beside the frontends."""
        self._flows.add(part.flows)
        self._groups.add(part.groups)
        self._refusals.add(part.spared)

    def remove(self, part: Part) -> None:
        """Want a part no more that was added before."""
        self._flows.remove(part.flows)
        self._groups.remove(part.groups)
        self._refusals.remove(part.spared)

    def read_back(self, observed: Tables) -> None:
        """Take what the switch holds."""
        self._flows.read_back(observed.flows)
        self._groups.read_back(observed.groups)
        self._meters.read_back(observed.meters)

    def read_back_refusals(self, observed: Elements) -> None:
        """Take what the table beside the switch holds."""
        self._refusals.read_back(observed)

    def refusals(self) -> Delta[Element, Ends]:
        """Return what the table beside the switch lacks."""
        return self._refusals.changes()

    def refused(self, change: Delta[Element, Ends]) -> None:
        """Note that the table beside the switch took a change."""
        self._refusals.took(change)

    def changes(self) -> Changes:
        """Return what the switch lacks."""
        groups, meters = self._groups.changes(), self._meters.changes()
        known = frozenset(groups.upserts.keys() & self._groups.verified.keys())
        metered = frozenset(meters.upserts.keys() & self._meters.verified.keys())
        return Changes(self._flows.changes(), groups, known, meters, metered)

    def took(self, change: Changes) -> None:
        """Note that the switch took a change."""
        self._flows.took(change.flows)
        self._groups.took(change.groups)
        self._meters.took(change.meters)

    def _standing_on_other_ground(self, ground: Ground) -> set[int]:
        before = self._ground
        if ground is before:
            return set()
        if pipeline.without_pods(ground) != pipeline.without_pods(before):
            return set(self._behind.frontends)
        moved = (
            address
            for address in before.pods.keys() | ground.pods.keys()
            if before.pods.get(address) != ground.pods.get(address)
        )
        return self._behind.at(moved)

    def _stand_on(self, ground: Ground) -> None:
        if ground is self._ground:
            return
        self._ground = ground
        frame = dict(pipeline.frame(ground))
        self._flows.add(frame)
        self._flows.remove(self._frame)
        self._frame = frame

    def _drop(self, known: int) -> None:
        part = self._parts.pop(known)
        self._flows.remove(part.flows)
        self._groups.remove(part.groups)
        self._meters.remove(part.meters)
        self._refusals.remove(part.refused)
        self._behind.drop(known)

    def _put(self, fresh: int) -> None:
        frontend = self._behind.frontends[fresh]
        number, place = self._numbers.of(frontend.place), frontend.place
        metered = pipeline.is_metered(frontend, self._ground)
        meter = self._meter_numbers.of(place) if metered else None
        part = pipeline.tables(frontend, self._ground, number, meter)
        refused = refusals.elements(frontend)
        self._parts[fresh] = _Part(
            tuple(part.flows), tuple(part.groups), tuple(part.meters), tuple(refused)
        )
        self._flows.add(part.flows)
        self._groups.add(part.groups)
        self._meters.add(part.meters)
        self._refusals.add(refused)
        self._behind.lack(fresh, pipeline.missing_pods(frontend, self._ground))
        self._behind.put(fresh)
