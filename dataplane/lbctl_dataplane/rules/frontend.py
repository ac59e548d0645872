"""What one node answers for: virtual addresses and the local members behind them. Pure."""

import functools
import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from lbctl.model.policy import ALGORITHMS, USUAL_WEIGHT, Limits, weight_of
from lbctl.model.virtual_service import Address, Listener, Phase, Vip, VipRole, VirtualService
from lbctl.translate import endpoints as endpoints_of
from lbctl.translate.endpoints import Endpoint

NO_LIMITS = Limits()
Endpoints = Mapping[str, tuple[Endpoint, ...]]
"""Endpoints by the key of their virtual service; a missing key has none."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where clients connect to: unique among all virtual services at any time."""

    vip: Address
    protocol: str
    """TCP, UDP or SCTP."""
    port: int


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """One pod address and port on this node, or where members on nodes without agents are."""

    address: Address
    port: int
    weight: int = USUAL_WEIGHT
    """Of new connections, beside other members of its place."""
    remote: bool = False
    """Not on this node: reached by whatever route, and it sees this node's address."""

    @property
    def end(self) -> tuple[Address, int]:
        """Return where it is: one and the same member whatever its weight."""
        return (self.address, self.port)


@dataclass(frozen=True, slots=True)
class Frontend:
    """One place and who answers there on this node."""

    key: str
    """Of the virtual service, `<namespace>.<service>`."""
    place: Place
    members: tuple[Member, ...]
    """Get the new connections that come here; sorted."""
    lingering: tuple[Member, ...] = ()
    """Keep the connections that they have and get no new ones; sorted."""
    source_ranges: tuple[str, ...] = ()
    """CIDRs of this family that may connect; none of them: see `open_to_all`."""
    open_to_all: bool = True
    affinity: bool = False
    """The same client address goes to the same member."""
    affinity_timeout_s: int = 0
    """For how long without a connection; 0: a function of the address alone."""
    algorithm: str = ALGORITHMS[0]
    """Where affinity leaves a choice; a backend without it does as it does by default."""
    limits: Limits = NO_LIMITS
    draining: tuple[Member, ...] = ()
    """Those of the lingering that terminate, where there is an end to that; sorted."""
    drain_timeout_s: int | None = None
    """How long they drain; None: as long as they like."""
    elsewhere: bool = False
    """There are members on other nodes that get its new connections."""
    roaming_port: int = 0
    """Connections to this port of any node stay, whoever has members: from there they may have
    gone on to a member anywhere. 0: there are none."""

    @property
    def all_members(self) -> tuple[Member, ...]:
        """Return who may have connections."""
        return (*self.members, *self.lingering)

    @property
    def vacant(self) -> bool:
        """Tell whether it has no member here, and none anywhere that gets its new connections."""
        return not self.all_members and not self.elsewhere


@dataclass(frozen=True, slots=True)
class Claim:
    """One virtual service's wish to answer at a place."""

    service: VirtualService
    vip: Vip
    listener: Listener

    @property
    def place(self) -> Place:
        """Return where."""
        return Place(self.vip.address, self.listener.protocol, self.listener.port)


def claims(services: Iterable[VirtualService]) -> tuple[Claim, ...]:
    """Return who answers where, each place once, sorted by place."""
    wanted: dict[Place, list[Claim]] = {}
    for service in services:
        for claim in wishes(service):
            wanted.setdefault(claim.place, []).append(claim)
    return tuple(winner(wanted[place]) for place in sorted(wanted, key=place_order))


def winner(claimants: Sequence[Claim]) -> Claim:
    """Return who has a place that several virtual services claim.

    Two never share a place on purpose. Should it happen all the same, an address that is on its
    way out yields, then the later name: the same choice on every node.
    """
    return min(claimants, key=_precedence)


def place_order(place: Place) -> tuple[int, int, str, int]:
    """Return a sort key; addresses of two families do not compare by themselves."""
    return (place.vip.version, int(place.vip), place.protocol, place.port)


def wishes(service: VirtualService) -> tuple[Claim, ...]:
    """Return where a virtual service is to answer."""
    if service.phase is Phase.WITHDRAWN:
        return ()
    return tuple(
        Claim(service, vip, listener) for vip in service.vips for listener in service.listeners
    )


def _precedence(claim: Claim) -> tuple[bool, str]:
    return (claim.vip.role is VipRole.OUTGOING, claim.service.key)


def preferences(
    claim: Claim, endpoints: Iterable[Endpoint], excluded: frozenset[str] = frozenset()
) -> Iterator[tuple[Endpoint, ...]]:
    """Yield the endpoints, on all nodes, that get new connections of a claim: the best first."""
    taking = (end for end in _matching(claim, endpoints) if weight(claim, end))
    return endpoints_of.preferences(taking, excluded)


def usable_at(
    claim: Claim, endpoints: Iterable[Endpoint], excluded: frozenset[str] = frozenset()
) -> tuple[Endpoint, ...]:
    """Return the endpoints, on all nodes, that get new connections of a claim."""
    return next(preferences(claim, endpoints, excluded), ())


def weight(claim: Claim, endpoint: Endpoint) -> int:
    """Return how many new connections of a claim an endpoint gets beside others; 0: none."""
    own = weight_of(endpoint.address, endpoint.home, claim.service.policy.weights)
    return own * endpoint.share


def keeping(claim: Claim, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Return the endpoints, on all nodes, that may keep the flows of a claim that they have."""
    return tuple(end for end in _matching(claim, endpoints) if end.ready or end.serving)


def holders(claim: Claim, endpoints: Iterable[Endpoint]) -> frozenset[str]:
    """Return the nodes where flows of a claim may live."""
    return frozenset(endpoint.node for endpoint in _matching(claim, endpoints) if endpoint.node)


def _matching(claim: Claim, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    if not claim.service.policy.enabled:
        return ()
    version = claim.vip.address.version
    return tuple(
        endpoint
        for endpoint in endpoints
        if endpoint.address.version == version and endpoint.port_for(claim.listener) is not None
    )


def frontend_of(claim: Claim, endpoints: tuple[Endpoint, ...], node: str) -> Frontend:
    """Return what `node` programs for one claim."""
    local = [end for end in _matching(claim, endpoints) if end.node == node]
    taking = (end for end in local if weight(claim, end))
    chosen = {endpoint.address for endpoint in endpoints_of.usable_on(taking, node)}
    policy = claim.service.policy
    members = _members(claim, (end for end in local if end.address in chosen))
    lingering = [end for end in local if end.address not in chosen]
    drains = [end for end in lingering if end.terminating and end.remote is None]
    return Frontend(
        key=claim.service.key,
        place=claim.place,
        members=members,
        lingering=_others_than(members, _members(claim, lingering)),
        draining=() if policy.drain_timeout_s is None else _members(claim, drains),
        drain_timeout_s=policy.drain_timeout_s,
        affinity_timeout_s=policy.session_affinity_timeout_s,
        source_ranges=merged(policy.source_ranges, claim.vip.address.version),
        open_to_all=not policy.source_ranges,
        affinity=policy.by_client,
        algorithm=policy.algorithm,
        elsewhere=any(end.node != node for end in usable_at(claim, endpoints)),
        limits=policy.limits,
        roaming_port=_roaming_port(claim),
    )


def _roaming_port(claim: Claim) -> int:
    """Return the node port that kube-proxy takes from any node to members on any other.

    With `Local` it does not. A datagram ends nothing: who sends on from one port for ever would
    stay with a node that is gone.
    """
    if claim.service.policy.external_traffic_policy == "Local" or claim.listener.protocol == "UDP":
        return 0
    return claim.listener.node_port


def served_versions(frontends: Iterable[Frontend]) -> frozenset[int]:
    """Return the IP versions that have members here."""
    return frozenset(entry.place.vip.version for entry in frontends if entry.all_members)


def without(given: Frontend, failing: Set[Member]) -> Frontend:
    """Return a frontend in which members that fail their health monitor get no new connections.

    They keep those that they have, but for UDP: a datagram ends nothing, and who sends from one
    port for ever would stay with a dead member. Where all members fail, Kubernetes' readiness
    wins and all of them stay: the monitor may be what is wrong.
    """
    left = tuple(member for member in given.members if member not in failing)
    if not left or len(left) == len(given.members):
        return given
    lingering = given.lingering
    if given.place.protocol != "UDP":
        out = (member for member in given.members if member in failing)
        lingering = tuple(sorted((*lingering, *out)))
    return replace(given, members=left, lingering=lingering)


def _members(claim: Claim, endpoints: Iterable[Endpoint]) -> tuple[Member, ...]:
    """Return where endpoints are reached, with the sum of weights of those that share a place."""
    members = [_member(claim, endpoint) for endpoint in endpoints]
    if not any(member.remote for member in members):
        return tuple(sorted(members))  # each is at an address of its own
    weights: Counter[Member] = Counter()
    for member in members:
        weights[replace(member, weight=USUAL_WEIGHT)] += member.weight
    return tuple(sorted(replace(one, weight=total) for one, total in weights.items()))


def _member(claim: Claim, endpoint: Endpoint) -> Member:
    """Return where an endpoint that has the port is reached."""
    own, remote = weight(claim, endpoint) or USUAL_WEIGHT, endpoint.remote
    if remote is not None and remote.at is not None:
        return Member(remote.at, claim.listener.node_port, own, remote=True)
    # On a node whose address nobody knows it can't be reached, which the backend finds out.
    port = endpoint.port_for(claim.listener) or 0
    return Member(endpoint.address, port, own, remote=remote is not None and not remote.node)


def _others_than(members: Iterable[Member], found: Iterable[Member]) -> tuple[Member, ...]:
    there = {member.end for member in members}
    return tuple(member for member in found if member.end not in there)


@functools.lru_cache(maxsize=1024)
def merged(ranges: tuple[str, ...], version: int) -> tuple[str, ...]:
    """Return the ranges of one IP version, as few as say the same; sorted as text.

    What does not parse is in none of them: it lets nobody in. Kept, as every port of a Service
    asks for the same ones.
    """
    found = filter(None, map(_network, ranges))
    if version == 4:
        four = (entry for entry in found if isinstance(entry, ipaddress.IPv4Network))
        return tuple(sorted(map(str, ipaddress.collapse_addresses(four))))
    six = (entry for entry in found if isinstance(entry, ipaddress.IPv6Network))
    return tuple(sorted(map(str, ipaddress.collapse_addresses(six))))


def within(client: Address, ranges: Iterable[str]) -> bool:
    """Tell whether a client is in one of the ranges."""
    networks = map(_network, ranges)
    return any(network is not None and client in network for network in networks)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
