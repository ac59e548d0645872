"""Who gets new connections of what, by passes that follow each other. Pure.

A pass costs what changed since the one before.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lbctl.model.virtual_service import Address, VirtualService
from lbctl_dataplane.rules import flows, legs, routes
from lbctl_dataplane.rules.claimants import Claimants
from lbctl_dataplane.rules.frontend import Claim, Place, preferences
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.legs import Knowledge, ServingNode, Shares
from lbctl_dataplane.rules.spread import Spread


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


class Spreading:
    """The shares of every place, and what they make of the router's table."""

    def __init__(self, entries: Kept[routes.Key, str]) -> None:
        """Keep the refusals of VIPs that nobody serves in `entries`."""
        self.places: Kept[Place, Spread] = Kept()
        self.vips: Kept[Address, None] = Kept()
        self.reached: Kept[Address, None] = Kept()
        """VIPs that somebody gets new connections of."""
        self.flows: Kept[flows.Flows, None] = Kept()
        """UDP flows that have members."""
        self.unserved: dict[str, str] = {}
        """Why a virtual service with usable endpoints gets no traffic, by key."""
        self._entries = entries
        self._uses: Counter[Spread] = Counter()
        self._claimants = Claimants()
        self._won: dict[str, tuple[Claim, ...]] = {}
        self._shares: dict[Place, Shares] = {}
        self._flows: dict[Place, dict[flows.Flows, None]] = {}
        self._left_out: dict[str, frozenset[str]] = {}
        """Nodes that have members of a virtual service and no share yet, by its key."""
        self._waiting: dict[str, set[str]] = {}
        """The same the other way round: keys that a node's acknowledgement would move."""
        self._known = NOTHING
        self._legs = Legs({}, {})

    def update(self, known: Known, now: Legs, before: Mapping[Place, Shares]) -> None:
        """Take what is known now; who had a share keeps it while it has members.

        `before` says who had a share before this process began.
        """
        dirty = self._claimants.update(known.services)
        dirty |= _others(self._known.behind, known.behind)
        dirty |= _moved(self._known.spec_versions, known.spec_versions)
        if now.ways() != self._legs.ways():
            dirty |= known.behind.keys()
        for name, node in now.nodes.items():
            if name in self._waiting and node != self._legs.nodes.get(name):
                dirty |= self._waiting[name]
        self._known, self._legs = known, now
        had = {**before}
        for key in dirty:
            had.update(self._drop(key))
        for key in dirty:
            self._put(key, had)

    def elsewhere(self, touched: Mapping[Place, Spread]) -> frozenset[Spread]:
        """Return the spreads that places other than those `touched` have as well."""
        moving = Counter(touched.values())
        return frozenset(how for how, count in self._uses.items() if count > moving[how])

    def _drop(self, key: str) -> dict[Place, Shares]:
        """Forget a virtual service; return the shares that it had."""
        had: dict[Place, Shares] = {}
        for claim in self._won.pop(key, ()):
            had[claim.place] = self._shares.pop(claim.place)
            self.vips.remove({claim.vip.address: None})
            self._entries.remove({routes.reject(claim.vip.address): ""})
            self.flows.remove(self._flows.pop(claim.place))
            if had[claim.place]:
                how = self.places.desired[claim.place]
                self.places.remove({claim.place: how})
                self.reached.remove({claim.vip.address: None})
                self._uses[how] -= 1
        self.unserved.pop(key, None)
        for name in self._left_out.pop(key, ()):
            self._waiting[name].discard(key)
        return had

    def _put(self, key: str, had: Mapping[Place, Shares]) -> None:
        claims = self._claimants.of(key)
        if not claims:
            return
        self._won[key] = claims
        knowledge = self._known.knowledge(key)
        left_out: set[str] = set()
        for claim in claims:
            before = frozenset(had.get(claim.place, ()))
            given = legs.shares(claim, knowledge, self._legs.nodes, before)
            self._shares[claim.place] = given
            self.vips.add({claim.vip.address: None})
            self._entries.add({routes.reject(claim.vip.address): ""})
            kept = flows.kept(claim, knowledge.endpoints, self._legs.numbers)
            self._flows[claim.place] = kept
            self.flows.add(kept)
            if given:
                how = self._spread(claim, given)
                self.places.add({claim.place: how})
                self.reached.add({claim.vip.address: None})
                self._uses[how] += 1
            left_out |= _left_out(given, claim, knowledge, self._legs.nodes)
            why = legs.without_leg(claim, knowledge, {claim.place: given})
            if why:
                self.unserved.setdefault(key, why)
        self._left_out[key] = frozenset(left_out)
        for name in left_out:
            self._waiting.setdefault(name, set()).add(key)

    def _spread(self, claim: Claim, given: Shares) -> Spread:
        numbers = self._legs.numbers
        weights = tuple(sorted((numbers[name], weight) for name, weight in given.items()))
        return Spread(claim.vip.address.version, claim.service.policy.by_client, weights)


def shares_of(places: Mapping[Place, Spread], numbers: Mapping[str, int]) -> dict[Place, Shares]:
    """Return who has a share by what stands in a router's table."""
    names = {number: name for name, number in numbers.items()}
    return {
        place: {names[leg]: width for leg, width in how.legs if leg in names}
        for place, how in places.items()
    }


def _left_out(
    given: Shares, claim: Claim, knowledge: Knowledge, nodes: Mapping[str, legs.ServingNode]
) -> set[str]:
    """Return the nodes that would get a share if they acknowledged what they have members of."""
    left_out: set[str] = set()
    for group in preferences(claim, knowledge.endpoints, legs.excluded(nodes)):
        members = {end.node for end in group}
        left_out |= members - given.keys()
        if members & given.keys():
            break
    return left_out


def _others(before: Mapping[str, object], now: Mapping[str, object]) -> set[str]:
    return {key for key, value in now.items() if before.get(key) is not value}


def _moved(before: Mapping[str, int], now: Mapping[str, int]) -> set[str]:
    return set() if before == now else {key for key in now if before.get(key) != now[key]}
