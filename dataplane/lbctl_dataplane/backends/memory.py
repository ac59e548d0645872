"""A node backend without a kernel: a small switch in memory that keeps the same contract."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends.port import Leg, Outcome
from lbctl_dataplane.rules import maglev
from lbctl_dataplane.rules.frontend import Frontend, Member, Place


@dataclass(frozen=True, slots=True)
class Connection:
    """One client's connection to a place."""

    client: Address
    client_port: int
    place: Place


class MemoryBackend:
    """Holds frontends and the connections that came through them."""

    def __init__(self, legs: tuple[Leg, ...] = (), pods: frozenset[Address] | None = None) -> None:
        self.pods = pods
        """Addresses that have a port on this node; None: any."""
        self._legs = legs
        self._frontends: dict[Place, Frontend] = {}
        self._connections: dict[Connection, Member] = {}
        self._turn = 0

    async def follow(self, changed: Callable[[], None]) -> None:
        """Say once that all is known; nothing ever changes by itself."""
        changed()

    def legs(self) -> tuple[Leg, ...]:
        """Return the legs given at birth."""
        return self._legs

    async def program(self, frontends: Sequence[Frontend]) -> Outcome:
        """Take the frontends; see `NodeBackend.program`."""
        wanted = {frontend.place: frontend for frontend in frontends}
        places = wanted.keys() | self._frontends.keys()
        changed = sum(wanted.get(place) != self._frontends.get(place) for place in places)
        self._frontends = wanted
        ends = {place: {m.end for m in wanted[place].all_members} for place in wanted}
        self._connections = {
            connection: member
            for connection, member in self._connections.items()
            if member.end in ends.get(connection.place, ())
        }
        return Outcome(changed, self._missing())

    def send(self, connection: Connection) -> Member | None:
        """Pass one packet; return who got it, None when it was dropped."""
        frontend = self._frontends.get(connection.place)
        if frontend is None:
            return None
        known = self._connections.get(connection)
        if known is not None:
            return known
        reachable = tuple(member for member in frontend.members if self._has_port(member))
        if not reachable:
            return None
        chosen = self._choice(frontend, reachable, connection)
        self._connections[connection] = chosen
        return chosen

    def _choice(
        self, frontend: Frontend, members: tuple[Member, ...], connection: Connection
    ) -> Member:
        if frontend.algorithm == "least-connections" and not frontend.affinity:
            return min(members, key=lambda member: self._load(connection.place, member))
        if frontend.algorithm == "round-robin" and not frontend.affinity:
            slots, self._turn = maglev.in_turn(members), self._turn + 1
            return slots[self._turn % len(slots)]
        port = 0 if frontend.affinity else connection.client_port
        text = f"{connection.client} {port}".encode()
        slots = maglev.table(members)
        return slots[zlib.crc32(text) % len(slots)]

    def _load(self, place: Place, member: Member) -> float:
        """Return how many connections a member has for its weight."""
        has = sum(
            at.place == place and whose.end == member.end for at, whose in self._connections.items()
        )
        return has / member.weight

    def answers_pings(self, vip: Address) -> bool:
        """Tell whether a VIP answers echo requests."""
        return any(
            known.vip == vip and any(map(self._has_port, frontend.members))
            for known, frontend in self._frontends.items()
        )

    def refuses(self, place: Place) -> bool:
        """Tell whether a new client is told at once that nobody is there."""
        frontend = self._frontends.get(place)
        taking = frontend is not None and any(map(self._has_port, frontend.members))
        return not taking and any(known.vip == place.vip for known in self._frontends)

    def _has_port(self, member: Member) -> bool:
        return self.pods is None or member.address in self.pods

    def _missing(self) -> dict[str, tuple[Address, ...]]:
        missing: dict[str, tuple[Address, ...]] = {}
        for frontend in self._frontends.values():
            for member in frontend.members:
                if not self._has_port(member):
                    missing[frontend.key] = (*missing.get(frontend.key, ()), member.address)
        return missing
