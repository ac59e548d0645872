"""What a router should hold and what it is known to hold. Computes, reads nothing."""

import dataclasses
from collections.abc import Mapping

from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends.router.kernel import Kernel, Wanted
from lbctl_dataplane.rules.frontend import Place
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.router import flows, legs, routes, sharing, spreading
from lbctl_dataplane.rules.router.legs import ServingNode
from lbctl_dataplane.rules.router.routes import Key
from lbctl_dataplane.rules.router.sharing import Known, Legs
from lbctl_dataplane.rules.router.spread import Ruleset, Spread


class RouterTable:
    """One router, by passes that follow each other; a pass costs what changed in it."""

    def __init__(self, *, answer_pings: bool = True) -> None:
        """Have the router answer pings of VIPs that somebody takes, or let nobody answer."""
        self.devices: frozenset[str] = frozenset()
        """The legs' devices."""
        self._found = Kernel(None, {}, ())
        self._fresh = False
        """What was found is new to us: it is compared as a whole."""
        self._clients: frozenset[str] | None = None
        """Interfaces in the table that is wanted; None: no table."""
        self._held: frozenset[str] | None = None
        """The same of the table that is there."""
        self._entries: Kept[Key, str] = Kept()
        self._spreading = spreading.Spreading(self._entries)
        self._answering: Kept[Address, None] = self._spreading.reached if answer_pings else Kept()
        self._ways: dict[Key, str] = {}
        self._made_of: tuple[object, ...] = ()
        """What ways and numbers were made of."""
        self._numbers: dict[str, int] = {}
        self._first = True
        self._flows_known = False
        """Every UDP flow on the router may be kept but those that lost their members since."""

    @property
    def unserved(self) -> Mapping[str, str]:
        """Return why virtual services with usable endpoints get no traffic, by key."""
        return self._spreading.unserved

    def read_back(self, found: Kernel) -> None:
        """Take what is there; the same object as before says that nothing else changed it."""
        self._fresh = found is not self._found
        if not self._fresh:
            return
        ruleset = found.ruleset
        self._found = found
        self._held = ruleset.clients if ruleset is not None else None
        self._entries.read_back(found.entries)
        self._spreading.places.read_back(ruleset.places if ruleset is not None else {})
        self._spreading.vips.read_back(dict.fromkeys(ruleset.vips) if ruleset is not None else {})
        answering = ruleset.answering if ruleset is not None else frozenset()
        self._answering.read_back(dict.fromkeys(answering))

    def want(self, known: Known, nodes: Mapping[str, ServingNode], clients: frozenset[str]) -> None:
        """Want every virtual service's traffic to go to the nodes that can take it."""
        self._clients = clients
        legs_of = {name: node.legs for name, node in nodes.items()}
        made_of = (legs_of, self._found.links)
        if made_of != self._made_of or self._fresh:
            observed = routes.leg_addresses(self._entries.verified)
            self._numbers = legs.number_legs(nodes, observed)
            reach = {number: legs_of[name] for name, number in self._numbers.items()}
            self._swap(routes.ways(reach, self._found.links))
            self._made_of = made_of
        before = {}
        if self._first and self._found.ruleset is not None:
            before = spreading.shares_of(self._found.ruleset.places, self._numbers)
        self._first = False
        self._spreading.update(known, Legs(self._reachable(nodes), self._numbers), before)

    def want_nothing(self) -> None:
        """Want nothing of ours on this router."""
        self._clients, self._made_of, self._first = None, (), False
        self._swap({})
        self._spreading.update(sharing.NOTHING, Legs({}, {}), {})

    def parts(self) -> tuple[Wanted, Kernel]:
        """Return what to make so of what: the whole when it was read, else what differs."""
        # Until `took` says otherwise, nobody knows what became of it.
        forgotten, self._flows_known = self._forgotten(), False
        if self._fresh:
            whole = self._ruleset(
                self._spreading.vips.desired,
                self._spreading.places.desired,
                self._answering.desired,
            )
            return Wanted(whole, self._entries.desired, forgotten=forgotten), self._found
        places, places_there = self._spreading.places.parts()
        vips, vips_there = self._spreading.vips.parts()
        answering, answering_there = self._answering.parts()
        entries, entries_there = self._with_siblings(*self._entries.parts())
        there = None
        if self._held is not None:
            there = Ruleset(
                self._held, frozenset(vips_there), places_there, frozenset(answering_there)
            )
        return (
            Wanted(
                self._ruleset(vips, places, answering),
                entries,
                self._spreading.elsewhere(places),
                forgotten,
            ),
            Kernel(there, entries_there, self._found.links),
        )

    def took(self) -> None:
        """Note that the router holds what is wanted."""
        self._held = self._clients
        self._flows_known = True
        self._spreading.flows.took(self._spreading.flows.changes())
        self._entries.took(self._entries.changes())
        self._spreading.places.took(self._spreading.places.changes())
        self._spreading.vips.took(self._spreading.vips.changes())
        self._answering.took(self._answering.changes())

    def _forgotten(self) -> flows.Forgotten:
        if self._flows_known:
            # With a VIP that goes, all its connections do.
            ended = self._spreading.flows.changes().deletes
            vips = self._spreading.vips.desired
            return flows.Ended(frozenset(gone for gone in ended if gone.place.vip in vips))
        return flows.AllBut(frozenset(self._spreading.flows.desired))

    def _ruleset(
        self,
        vips: Mapping[Address, None],
        places: Mapping[Place, Spread],
        answering: Mapping[Address, None],
    ) -> Ruleset | None:
        if self._clients is None:
            return None
        return Ruleset(self._clients, frozenset(vips), places, frozenset(answering))

    def _swap(self, ways: dict[Key, str]) -> None:
        self._entries.add(ways)
        self._entries.remove(self._ways)
        self._ways = ways
        self.devices = frozenset(
            value.split()[-1] for key, value in ways.items() if key.kind == "route"
        )

    def _reachable(self, nodes: Mapping[str, ServingNode]) -> dict[str, ServingNode]:
        """Return the nodes with a number, and of their legs those that a way leads to."""
        found: dict[str, ServingNode] = {}
        for name, number in self._numbers.items():
            own = (
                leg for leg in nodes[name].legs if _way(leg.address.version, number) in self._ways
            )
            found[name] = dataclasses.replace(nodes[name], legs=tuple(own))
        return found

    def _with_siblings(
        self, wanted: dict[Key, str], there: dict[Key, str]
    ) -> tuple[dict[Key, str], dict[Key, str]]:
        """Add the other version's way to a leg whose way differs: together they make the leg."""
        for key in [key for key in (*wanted, *there) if key.kind == "route"]:
            other = _way(10 - key.version, int(key.name))
            if other in self._entries.desired:
                wanted[other] = self._entries.desired[other]
            if other in self._entries.verified:
                there[other] = self._entries.verified[other]
        return wanted, there


def _way(version: int, number: int) -> Key:
    return Key(version, "route", str(number))
