"""Who gets new connections from the router: nodes by ready members, once they can. Pure.

A node takes part when it has acknowledged the decision and the slices that its members stand in:
the router must not send what the node would drop. Who took part stays in for as long as it has
members, whatever else changes, so that a change elsewhere moves no traffic.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbctl.model.virtual_service import Address
from lbctl.translate.endpoints import Endpoint
from lbctl.translate.failing import FailingMember
from lbctl_dataplane.rules.frontend import Claim, Place, preferences, usable_at, weight


@dataclass(frozen=True, slots=True)
class LegAddress:
    """An address on a node's service interface."""

    address: Address
    mac: str


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Forwarding:
    """How a node passes packets on to its peers."""

    everywhere: bool
    """To all by weight, itself among them; else only what it has no members of."""
    networks: tuple[Network, ...] = ()
    """Of its service interface: a peer's leg in one of them is on the same link."""


@dataclass(frozen=True, slots=True)
class ServingNode:
    """What a node says about itself."""

    name: str
    legs: tuple[LegAddress, ...]
    decisions: int
    slices: int
    exempt: frozenset[str] = frozenset()
    """Virtual services that it could not program."""
    excluded: bool = False
    """It is to get no new connections while others can take them."""
    failing: tuple[FailingMember, ...] = ()
    """Its members that fail their health monitor."""
    backend: str = ""
    """What moves its packets; empty: it has not said."""
    forwarding: Forwarding | None = None
    """None: it passes nothing on."""
    relay: bool = False
    """It serves members on nodes without an agent as well."""

    def leg(self, version: int) -> LegAddress | None:
        """Return its leg of one IP version."""
        return next((leg for leg in self.legs if leg.address.version == version), None)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the router knows of one virtual service."""

    endpoints: tuple[Endpoint, ...] = ()
    slice_versions: Mapping[str, int] = field(default_factory=dict)
    """By node: the newest resourceVersion of a slice with endpoints on it."""
    spec_version: int = 0


Shares = Mapping[str, int]
"""Weight by node name."""


def shares(
    claim: Claim,
    known: Knowledge,
    nodes: Mapping[str, ServingNode],
    before: frozenset[str],
) -> dict[str, int]:
    """Return who gets new connections of a claim, by its members' weights; `before` had a share.

    Where no node can take those for the best members yet, the next best get them meanwhile: a
    node that is drained or excluded goes on until another one is ready.
    """
    for group in preferences(claim, known.endpoints, excluded(nodes)):
        given = _shares(claim, group, known, nodes, before)
        if given:
            return given
    return {}


def excluded(nodes: Mapping[str, ServingNode]) -> frozenset[str]:
    """Return the names of the nodes that are to get no new connections."""
    return frozenset(name for name, node in nodes.items() if node.excluded)


def _shares(
    claim: Claim,
    group: Iterable[Endpoint],
    known: Knowledge,
    nodes: Mapping[str, ServingNode],
    before: frozenset[str],
) -> dict[str, int]:
    members: Counter[str] = Counter()
    for endpoint in group:
        members[endpoint.node] += weight(claim, endpoint)
    version = claim.vip.address.version
    return {
        name: count
        for name, count in sorted(members.items())
        if name in nodes
        and nodes[name].leg(version) is not None
        and (name in before or not obstacle(nodes[name], claim, known))
    }


def obstacle(node: ServingNode | None, claim: Claim, known: Knowledge) -> str:
    """Return why a node cannot be sent new connections of a claim; empty when it can."""
    if node is None:
        return "no agent reports from it"
    if node.leg(claim.vip.address.version) is None:
        return f"it has no IPv{claim.vip.address.version} leg"
    if claim.service.key in node.exempt:
        return "it could not program its members"
    if node.decisions < known.spec_version:
        return "it has not programmed the decision yet"
    if node.slices < known.slice_versions.get(node.name, 0):
        return "it has not programmed its newest endpoints yet"
    return ""


def number_legs(
    nodes: Mapping[str, ServingNode], observed: Mapping[int, frozenset[Address]]
) -> dict[str, int]:
    """Return a number for each node with legs: the one that its addresses have, else a free one.

    Numbers are in connection marks, so they stay with a node over restarts of the router agent.
    """
    numbers: dict[str, int] = {}
    for name, node in sorted(nodes.items()):
        own = {leg.address for leg in node.legs}
        number = next((n for n, via in sorted(observed.items()) if via & own), None)
        if own and number is not None and number not in numbers.values():
            numbers[name] = number
    taken = set(numbers.values()) | set(observed)
    for name, node in sorted(nodes.items()):
        if node.legs and name not in numbers:
            numbers[name] = next(n for n in range(1, len(taken) + 2) if n not in taken)
            taken.add(numbers[name])
    return numbers


def without_leg(claim: Claim, known: Knowledge, given: Mapping[Place, Shares]) -> str:
    """Return why a claim with usable endpoints gets no traffic; empty when it does or has none."""
    usable = usable_at(claim, known.endpoints)
    if not usable or given.get(claim.place):
        return ""
    nodes = sorted({endpoint.node for endpoint in usable})
    return f"no leg yet for {claim.place.vip} to {', '.join(nodes[:5]) or 'any node'}"
