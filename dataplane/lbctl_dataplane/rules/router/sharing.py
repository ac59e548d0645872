"""Which nodes share the new connections of what, by passes that follow each other. Pure.

A pass costs what changed since the one before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lbctl.model.virtual_service import VirtualService
from lbctl_dataplane.rules.claimants import Claimants
from lbctl_dataplane.rules.frontend import Claim, Place, preferences
from lbctl_dataplane.rules.router import legs
from lbctl_dataplane.rules.router.legs import Knowledge, ServingNode, Shares


@dataclass(frozen=True, slots=True)
class Legs:
    """Nodes that can be reached, and their numbers."""

    nodes: Mapping[str, ServingNode]
    numbers: Mapping[str, int]

    def ways(self) -> dict[str, tuple[int, tuple[legs.LegAddress, ...], bool]]:
        """Return what of this every share may depend on, whoever acknowledged what."""
        return {
            name: (number, self.nodes[name].legs, self.nodes[name].excluded)
            for name, number in self.numbers.items()
        }


@dataclass(frozen=True, slots=True)
class Known:
    """What one view says of the virtual services; all by key."""

    services: Sequence[VirtualService]
    behind: Mapping[str, object]
    """What changes whenever the endpoints do: compared by identity."""
    spec_versions: Mapping[str, int]
    knowledge: Callable[[str], Knowledge]


NOTHING = Known((), {}, {}, lambda _: Knowledge())


@dataclass(frozen=True, slots=True)
class Shared:
    """Who gets the new connections of one claim."""

    claim: Claim
    given: Shares
    knowledge: Knowledge


@dataclass(slots=True)
class Turn:
    """What one pass changed, all of a virtual service at a time."""

    lost: dict[str, tuple[Shared, ...]] = field(default_factory=dict)
    """What no longer counts, by the key of its virtual service."""
    gained: list[Shared] = field(default_factory=list)


class Sharing:
    """The shares of every place."""

    def __init__(self) -> None:
        self._claimants = Claimants()
        self._shared: dict[str, tuple[Shared, ...]] = {}
        self._left_out: dict[str, frozenset[str]] = {}
        """Nodes that have members of a virtual service and no share yet, by its key."""
        self._waiting: dict[str, set[str]] = {}
        """The same the other way round: keys that a node's acknowledgement would move."""
        self._known = NOTHING
        self._legs = Legs({}, {})

    def update(self, known: Known, now: Legs, before: Mapping[Place, Shares]) -> Turn:
        """Take what is known now; who had a share keeps it while it has members.

        `before` says who had a share before this process began.
        """
        dirty = self._dirty(known, now)
        self._known, self._legs = known, now
        turn, had = Turn(), {**before}
        for key in dirty:
            turn.lost[key] = self._drop(key)
            had.update((one.claim.place, one.given) for one in turn.lost[key])
        for key in dirty:
            turn.gained += self._put(key, had)
        return turn

    def awaits(self, node: str) -> bool:
        """Tell whether an acknowledgement of a node would move new connections."""
        return bool(self._waiting.get(node))

    def _dirty(self, known: Known, now: Legs) -> set[str]:
        dirty = self._claimants.update(known.services)
        dirty |= _others(self._known.behind, known.behind)
        dirty |= _moved(self._known.spec_versions, known.spec_versions)
        if now.ways() != self._legs.ways():
            dirty |= known.behind.keys()
        for name, node in now.nodes.items():
            if name in self._waiting and node != self._legs.nodes.get(name):
                dirty |= self._waiting[name]
        return dirty

    def _drop(self, key: str) -> tuple[Shared, ...]:
        for name in self._left_out.pop(key, ()):
            self._waiting[name].discard(key)
        return self._shared.pop(key, ())

    def _put(self, key: str, had: Mapping[Place, Shares]) -> tuple[Shared, ...]:
        claims = self._claimants.of(key)
        if not claims:
            return ()
        knowledge, nodes = self._known.knowledge(key), self._legs.nodes
        shared = tuple(
            Shared(
                claim,
                legs.shares(claim, knowledge, nodes, frozenset(had.get(claim.place, ()))),
                knowledge,
            )
            for claim in claims
        )
        self._shared[key] = shared
        left_out = frozenset(name for one in shared for name in _left_out(one, nodes))
        self._left_out[key] = left_out
        for name in left_out:
            self._waiting.setdefault(name, set()).add(key)
        return shared


def _left_out(shared: Shared, nodes: Mapping[str, ServingNode]) -> set[str]:
    """Return the nodes that would get a share if they acknowledged what they have members of."""
    left_out: set[str] = set()
    endpoints = shared.knowledge.endpoints
    for group in preferences(shared.claim, endpoints, legs.excluded(nodes)):
        members = {end.node for end in group}
        left_out |= members - shared.given.keys()
        if members & shared.given.keys():
            break
    return left_out


def _others(before: Mapping[str, object], now: Mapping[str, object]) -> set[str]:
    return {key for key, value in now.items() if before.get(key) is not value}


def _moved(before: Mapping[str, int], now: Mapping[str, int]) -> set[str]:
    return set() if before == now else {key for key in now if before.get(key) != now[key]}
