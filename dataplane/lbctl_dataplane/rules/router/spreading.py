"""Who gets new connections of what, as a router's table says it, pass by pass. Pure.

A pass costs what changed since the one before.
"""

from collections import Counter
from collections.abc import Mapping

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules.frontend import Claim, Place
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.router import flows, legs, routes
from lbctl_dataplane.rules.router.legs import Shares
from lbctl_dataplane.rules.router.sharing import Known, Legs, Shared, Sharing
from lbctl_dataplane.rules.router.spread import Spread


class Spreading:
    """What the shares of every place make of the router's table."""

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
        self._sharing = Sharing()
        self._numbers: Mapping[str, int] = {}
        self._flows: dict[Place, dict[flows.Flows, None]] = {}

    def update(self, known: Known, now: Legs, before: Mapping[Place, Shares]) -> None:
        """Take what is known now; who had a share keeps it while it has members.

        `before` says who had a share before this process began.
        """
        turn, self._numbers = self._sharing.update(known, now, before), now.numbers
        for key, lost in turn.lost.items():
            self.unserved.pop(key, None)
            for shared in lost:
                self._drop(shared)
        for shared in turn.gained:
            self._put(shared)

    def elsewhere(self, touched: Mapping[Place, Spread]) -> frozenset[Spread]:
        """Return the spreads that places other than those `touched` have as well."""
        moving = Counter(touched.values())
        return frozenset(how for how, count in self._uses.items() if count > moving[how])

    def _drop(self, shared: Shared) -> None:
        place = shared.claim.place
        self.vips.remove({place.vip: None})
        self._entries.remove({routes.reject(place.vip): ""})
        self.flows.remove(self._flows.pop(place))
        if shared.given:
            how = self.places.desired[place]
            self.places.remove({place: how})
            self.reached.remove({place.vip: None})
            self._uses[how] -= 1

    def _put(self, shared: Shared) -> None:
        claim, knowledge = shared.claim, shared.knowledge
        place = claim.place
        self.vips.add({place.vip: None})
        self._entries.add({routes.reject(place.vip): ""})
        kept = flows.kept(claim, knowledge.endpoints, self._numbers)
        self._flows[place] = kept
        self.flows.add(kept)
        if shared.given:
            how = self._spread(claim, shared.given)
            self.places.add({place: how})
            self.reached.add({place.vip: None})
            self._uses[how] += 1
        why = legs.without_leg(claim, knowledge, {place: shared.given})
        if why:
            self.unserved.setdefault(claim.service.key, why)

    def _spread(self, claim: Claim, given: Shares) -> Spread:
        numbers = self._numbers
        weights = tuple(sorted((numbers[name], weight) for name, weight in given.items()))
        return Spread(claim.vip.address.version, claim.service.policy.by_client, weights)


def shares_of(places: Mapping[Place, Spread], numbers: Mapping[str, int]) -> dict[Place, Shares]:
    """Return who has a share by what stands in a router's table."""
    names = {number: name for name, number in numbers.items()}
    return {
        place: {names[leg]: width for leg, width in how.legs if leg in names}
        for place, how in places.items()
    }
