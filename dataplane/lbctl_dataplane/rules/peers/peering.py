"""What a node passes on to its peers, pass by pass; a pass costs what changed. Pure.

Nodes choose among the same peers by the same weights and the same hash, as a router that weighs
would: a flow that the fabric moves to another node goes on to the node that has it.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from lbctl.model.virtual_service import Address
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import frontend, maglev
from lbctl_dataplane.rules.frontend import Claim, Member, Place
from lbctl_dataplane.rules.nft import layout
from lbctl_dataplane.rules.peers import layout as peer_table
from lbctl_dataplane.rules.router.legs import LegAddress, Network, ServingNode, Shares
from lbctl_dataplane.rules.router.sharing import Known, Legs, Shared, Sharing
from lbctl_dataplane.rules.tables.elements import Element, Elements, Ends

TAKING = frozenset({"nft", "ovs"})
"""Backends of nodes that packets may be passed on to."""
LINK_ONLY = frozenset({"ovs"})
"""Those of nodes that no tunnel leads to, and that say when they are ready."""
P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)
P_co = TypeVar("P_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a node stands: what its peers are reached by."""

    name: str
    """The node's own."""
    networks: tuple[Network, ...] = ()
    """Of the service interface: a peer's leg in one of them is on the same link."""
    underlay: int = 0
    """The IP version of the tunnel to other links; 0: there is none."""
    device: int = 0
    """Number of the service interface."""
    tunnel: int = 0
    """Number of the tunnel's device."""

    def on_link(self, leg: LegAddress) -> bool:
        """Tell whether a peer's leg is on the same link."""
        return any(leg.address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Share:
    """One node among those that choose a place's new flows."""

    name: str
    number: int
    leg: LegAddress
    weight: int


@dataclass(frozen=True, slots=True)
class Passed:
    """A place whose packets go on to where their flows live."""

    place: Place
    holders: Mapping[str, int]
    """Numbers of the nodes that flows may live on, by name; never empty."""
    shares: tuple[Share, ...]
    """Who gets new flows, sorted by leg; this node is among them where it has a share."""
    by_client: bool
    """All flows of one client go to one node."""


class Parts(Protocol[P_contra]):
    """What keeps the parts of a table, some of which may be alike."""

    def add(self, part: P_contra) -> None:
        """Want a part."""
        ...

    def remove(self, part: P_contra) -> None:
        """Want a part no more that was added before."""
        ...


class Drawing(Protocol[P_co]):
    """How a backend says it."""

    def frame(self, nodes: Mapping[str, ServingNode], ground: Ground) -> P_co:
        """Return what is there without any VIP: who the peers are and where."""
        ...

    def place(self, passed: Passed, nodes: Mapping[str, ServingNode]) -> P_co:
        """Return what is there for one place."""
        ...

    def forget(self, place: Place) -> None:
        """Note that a place is passed on no more."""
        ...


class Peering(Generic[P]):
    """Which places are passed on, to whom."""

    def __init__(self, parts: Parts[P], drawing: Drawing[P], *, everywhere: bool) -> None:
        """Keep them in `parts`.

        Everywhere, or else at places alone that this node has no members of.
        """
        self._parts = parts
        self._drawing = drawing
        self._everywhere = everywhere
        self._sharing = Sharing()
        self._frame: tuple[P, ...] = ()
        self._places: dict[Place, P] = {}
        self._made_of: tuple[object, ...] = ()
        self._legs = Legs({}, {})

    def update(self, known: Known, nodes: Mapping[str, ServingNode], ground: Ground) -> None:
        """Take what is known now. `nodes` are all that serve, this one among them."""
        made_of = (ground, {name: node.legs for name, node in nodes.items()})
        if made_of != self._made_of:
            self._made_of = made_of
            self._swap(self._drawing.frame(nodes, ground))
        now = Legs(reachable(nodes, ground), numbers(nodes, ground.name))
        turn, self._legs = self._sharing.update(known, now, {}), now
        for lost in turn.lost.values():
            for shared in lost:
                self._drop(shared.claim.place)
        for shared in turn.gained:
            found = passed(shared, now, ground.name, everywhere=self._everywhere)
            if found is not None:
                self._put(found)

    def clear(self) -> None:
        """Want nothing of all that any more."""
        for place in tuple(self._places):
            self._drop(place)
        for part in self._frame:
            self._parts.remove(part)

    def _drop(self, place: Place) -> None:
        part = self._places.pop(place, None)
        if part is not None:
            self._parts.remove(part)
            self._drawing.forget(place)

    def _put(self, found: Passed) -> None:
        part = self._places[found.place] = self._drawing.place(found, self._legs.nodes)
        self._parts.add(part)

    def awaits(self, node: str) -> bool:
        """Tell whether an acknowledgement of a node would change anything."""
        return self._sharing.awaits(node)

    def _swap(self, new: P) -> None:
        for part in self._frame:
            self._parts.remove(part)
        self._parts.add(new)
        self._frame = (new,)


def numbers(names: Iterable[str], own: str) -> dict[str, int]:
    """Return the mark that stands for each node, the same at every start.

    Of two nodes whose names give one number the second in order is left out, everywhere alike.
    """
    found: dict[int, str] = {}
    for name in sorted(names):
        digest = hashlib.blake2s(name.encode(), digest_size=4).digest()
        found.setdefault(int.from_bytes(digest, "big") | 0x8000_0000, name)
    return {name: peer_table.HERE if name == own else number for number, name in found.items()}


def taking(nodes: Mapping[str, ServingNode]) -> dict[str, ServingNode]:
    """Return the nodes that packets may be passed on to."""
    return {name: node for name, node in nodes.items() if node.backend in TAKING}


def reachable(nodes: Mapping[str, ServingNode], ground: Ground) -> dict[str, ServingNode]:
    """Return the nodes with the legs alone that this node can send to."""
    return {
        name: node if name == ground.name else replace(node, legs=tuple(_usable(node, ground)))
        for name, node in nodes.items()
    }


def _usable(node: ServingNode, ground: Ground) -> Iterator[LegAddress]:
    if node.backend in LINK_ONLY and node.forwarding is None:
        return iter(())
    far = ground.underlay and _tunnel_end(node, ground) is not None
    return (leg for leg in node.legs if far or ground.on_link(leg))


def _tunnel_end(node: ServingNode, ground: Ground) -> LegAddress | None:
    return None if node.backend in LINK_ONLY else node.leg(ground.underlay)


def passes_on(claim: Claim, endpoints: Iterable[Endpoint], own: str, *, everywhere: bool) -> bool:
    """Tell whether a node passes on packets to a place that peers have members of."""
    if claim.service.policy.external_traffic_policy == "Local":
        return False
    return everywhere or own not in frontend.holders(claim, endpoints)


def passed(shared: Shared, legs: Legs, own: str, *, everywhere: bool) -> Passed | None:
    """Return where flows of one place go; None where it is not passed on."""
    claim, place = shared.claim, shared.claim.place
    endpoints, version = shared.knowledge.endpoints, place.vip.version
    if not passes_on(claim, endpoints, own, everywhere=everywhere):
        return None
    nodes = frontend.holders(claim, endpoints)
    holders = {
        name: number
        for name, number in legs.numbers.items()
        if name in nodes and (name == own or legs.nodes[name].leg(version) is not None)
    }
    if not holders:
        return None
    shares = tuple(sorted(_shares(shared.given, legs, version), key=lambda one: one.leg.address))
    return Passed(place, holders, shares, claim.service.policy.by_client)


def _shares(given: Shares, legs: Legs, version: int) -> Iterator[Share]:
    for name, weight in given.items():
        leg = legs.nodes[name].leg(version)
        if leg is not None and name in legs.numbers:
            yield Share(name, legs.numbers[name], leg, weight)


class ElementsDrawing:
    """The same as elements of the nftables table."""

    def frame(self, nodes: Mapping[str, ServingNode], ground: Ground) -> Elements:
        """Return who the peers are and where."""
        return frame(nodes, ground)

    def place(self, passed: Passed, nodes: Mapping[str, ServingNode]) -> Elements:
        """Return what the table holds for one place."""
        return elements(passed)

    def forget(self, place: Place) -> None:
        """Note nothing."""


def frame(nodes: Mapping[str, ServingNode], ground: Ground) -> Elements:
    """Return what the table holds without any VIP: who the peers are and where."""
    found: dict[Element, Ends] = {}
    for name, number in numbers(nodes, ground.name).items():
        if number == peer_table.HERE:
            continue
        for leg in nodes[name].legs:
            if leg.mac:
                found[Element("neighbours", leg.mac)] = ()
        for leg in _usable(nodes[name], ground):
            device = ground.device if ground.on_link(leg) else ground.tunnel
            for home, value in (("ways", leg.address), ("devices", device)):
                found[Element(f"{home}{leg.address.version}", mark(number))] = (str(value),)
    return found


def mark(number: int) -> str:
    """Return a packet mark as nft writes it."""
    return f"{number:#010x}"


def elements(passed: Passed) -> Elements:
    """Return what the table holds for one place."""
    place, version = passed.place, passed.place.vip.version
    key = layout.place_key(place)
    found: dict[Element, Ends] = {
        Element(f"holders{version}", f"{key} . {mark(number)}"): ()
        for number in passed.holders.values()
    }
    found[Element(f"vips{version}", str(place.vip))] = ()
    found[Element(f"places{version}", key)] = ()
    if passed.shares:
        found[Element(f"ends{version}", key)] = _slots(passed.shares)
    if passed.by_client:
        found[Element(f"sticky{version}", key)] = ()
    return found


def _slots(shares: Iterable[Share]) -> Ends:
    weights = ((Member(one.leg.address, 0, one.weight), mark(one.number)) for one in shares)
    return _table(tuple(sorted(weights)))


@functools.lru_cache(maxsize=1024)
def _table(weights: tuple[tuple[Member, str], ...]) -> Ends:
    """Return the marks of the slots; places that are shared alike share the table."""
    if len(weights) < 2:
        return tuple(number for _, number in weights)
    marks = dict(weights)
    return tuple(marks[member] for member in maglev.table(tuple(marks)))


@dataclass(frozen=True, slots=True)
class Far:
    """A peer on another link, as the tunnel knows it."""

    mac: str
    underlay: Address
    """Its leg that carries the tunnel."""
    legs: tuple[Address, ...]
    """What packets are sent to, by either IP version."""


def tunnel_mac(name: str) -> str:
    """Return the MAC address of a node's end of the tunnel: everybody knows it by its name."""
    digest = hashlib.blake2s(f"lbctl tunnel {name}".encode(), digest_size=5).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest))


def far(nodes: Mapping[str, ServingNode], ground: Ground) -> tuple[Far, ...]:
    """Return the peers on other links that the tunnel reaches, sorted by name."""
    found = []
    for name, node in sorted(nodes.items()):
        underlay = _tunnel_end(node, ground)
        away = tuple(leg.address for leg in node.legs if not ground.on_link(leg))
        if name != ground.name and away and underlay is not None:
            found.append(Far(tunnel_mac(name), underlay.address, away))
    return tuple(found)
