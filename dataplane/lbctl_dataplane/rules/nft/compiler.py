"""The nftables table of a node, pass by pass; a pass costs what changed. Pure."""

from collections.abc import Mapping, Sequence

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.behind import Reached
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.nft import affinity, contents, layout, tracked
from lbctl_dataplane.rules.nft.tracked import Tracked
from lbctl_dataplane.rules.place_numbers import Numbers
from lbctl_dataplane.rules.pod_routes import PodRoutes
from lbctl_dataplane.rules.tables.elements import Elements, KeptTable

PLACES = constants.PLACE_NUMBER_LAST - constants.PLACE_NUMBER + 1


class NftCompiler:
    """What the table should hold, what it is known to hold, and who may have connections."""

    def __init__(self, devices: Sequence[str], pinged: Sequence[str]) -> None:
        """Take the devices that VIP traffic enters by, and those by which VIPs answer pings."""
        self.table = KeptTable(layout.TABLE)
        self._elements = self.table.elements
        self._elements.add(contents.frame(devices, pinged))
        self._behind = Reached()
        self._parts: dict[int, Elements] = {}
        self._returning: Elements = {}
        self._numbers = Numbers(constants.PLACE_NUMBER, PLACES)

    @property
    def desired(self) -> Elements:
        """Return all that should be there."""
        return self._elements.desired

    @property
    def missing(self) -> dict[str, tuple[Address, ...]]:
        """Return the members that get connections and have no route, by virtual service."""
        return self._behind.missing

    def ended(self, found: frozenset[Tracked]) -> frozenset[Tracked]:
        """Return which of the connections found there may not be."""
        return tracked.ended(found, self._behind.frontends.values())

    def update(self, frontends: Sequence[Frontend], routes: PodRoutes) -> frozenset[Tracked]:
        """Take what is to be served, and on which routes; return the connections that end."""
        turn, before = self._behind.turn(frontends), self._behind.frontends
        ended = tracked.of(before[known] for known in turn.gone)
        again = self._behind.follow(routes) - turn.gone
        for known in turn.gone | again:
            self._drop(known)
        left = {before[known].place for known in turn.gone}
        for place in left - {turn.now[fresh].place for fresh in turn.new}:
            self._numbers.release(place)
        self._behind.frontends = turn.now
        for fresh in turn.new | again:
            self._put(fresh)
        return tracked.ended(ended, (turn.now[fresh] for fresh in turn.new))

    def answer_by(self, gateways: Sequence[Address]) -> None:
        """Let answers go to gateways; those of a family without one go by the node's routes."""
        wanted = contents.returning(gateways)
        if wanted != self._returning:
            self._elements.remove(self._returning)
            self._elements.add(wanted)
            self._returning = wanted

    def loses_members(self) -> bool:
        """Tell whether what changes takes members from places that remember clients."""
        gone = self._elements.changes().deletes
        return any(element.home.startswith(affinity.IDLE) for element in gone)

    def forgets(self, version: int, remembered: Mapping[str, str]) -> str:
        """Return the transaction that forgets clients of members that get no connections.

        `remembered` says at which address the member of a client of a place is.
        """
        home = f"{affinity.IDLE}{version}"
        members = {element.key for element in self.desired if element.home == home}
        return affinity.forget(self.table.table.name, version, remembered, members)

    def _drop(self, known: int) -> None:
        self._elements.remove(self._parts.pop(known))
        self._behind.drop(known)

    def _put(self, fresh: int) -> None:
        self._behind.put(fresh)
        frontend, here = self._behind.frontends[fresh], self._behind.here
        part = contents.elements(frontend, here, self._numbers)
        self._parts[fresh] = part
        self._elements.add(part)
        self._behind.lack(fresh, contents.missing(frontend, here))
