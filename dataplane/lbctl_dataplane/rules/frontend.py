"""What one node answers for: virtual addresses and the local members behind them. Pure."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lbctl.model.virtual_service import Address, Listener, Phase, Vip, VipRole, VirtualService
from lbctl.translate import endpoints as endpoints_of
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules.memo import Memo

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
    """One pod address and port on this node."""

    address: Address
    port: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Frontend:
    """One place and who answers there on this node."""

    key: str
    """Of the virtual service, `<namespace>.<service>`."""
    place: Place
    members: tuple[Member, ...]
    """Get new connections; sorted."""
    lingering: tuple[Member, ...] = ()
    """Keep the connections that they have and get no new ones; sorted."""
    source_ranges: tuple[str, ...] = ()
    """CIDRs of this family that may connect; None of them: see `open_to_all`."""
    open_to_all: bool = True
    affinity: bool = False
    """The same client address goes to the same member."""

    @property
    def all_members(self) -> tuple[Member, ...]:
        """Return who may have connections."""
        return (*self.members, *self.lingering)


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
    """Return who answers where, each place once, sorted by place.

    Two virtual services never share a place on purpose. Should it happen all the same, an address
    that is on its way out yields, then the later name: the same choice on every node.
    """
    best: dict[Place, Claim] = {}
    wanted = [claim for service in services for claim in _claims_of(service)]
    for claim in sorted(wanted, key=_precedence):
        best.setdefault(claim.place, claim)
    return tuple(best[place] for place in sorted(best, key=place_order))


def place_order(place: Place) -> tuple[int, int, str, int]:
    """Return a sort key; addresses of two families do not compare by themselves."""
    return (place.vip.version, int(place.vip), place.protocol, place.port)


def _claims_of(service: VirtualService) -> Iterable[Claim]:
    if service.phase is Phase.WITHDRAWN:
        return
    for vip in service.vips:
        for listener in service.listeners:
            yield Claim(service, vip, listener)


def _precedence(claim: Claim) -> tuple[bool, str]:
    return (claim.vip.role is VipRole.OUTGOING, claim.service.key)


def usable_at(claim: Claim, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Return the endpoints, on all nodes, that get new connections of a claim."""
    return endpoints_of.usable(_matching(claim, endpoints))


def _matching(claim: Claim, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    version = claim.vip.address.version
    return tuple(
        endpoint
        for endpoint in endpoints
        if endpoint.address.version == version and endpoint.port_for(claim.listener) is not None
    )


class Frontends:
    """What one node programs, by views that follow each other."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._made: Memo[Place, Frontend] = Memo()

    def of(self, services: Iterable[VirtualService], endpoints: Endpoints) -> tuple[Frontend, ...]:
        """Return the frontends, sorted by place; places without local members are absent."""
        self._made.turn()
        found = (self._one(claim, endpoints) for claim in claims(services))
        return tuple(frontend for frontend in found if frontend.all_members)

    def _one(self, claim: Claim, endpoints: Endpoints) -> Frontend:
        behind = endpoints.get(claim.service.key, ())
        inputs = (claim.service, claim.vip, claim.listener, behind)
        return self._made.get(claim.place, inputs, lambda: _frontend(claim, behind, self._node))


def frontends(
    services: Iterable[VirtualService], endpoints: Endpoints, node: str
) -> tuple[Frontend, ...]:
    """Return what `node` programs for one view."""
    return Frontends(node).of(services, endpoints)


def _frontend(claim: Claim, endpoints: tuple[Endpoint, ...], node: str) -> Frontend:
    matching = _matching(claim, endpoints)
    chosen = {endpoint.address for endpoint in endpoints_of.usable(matching)}
    local = [endpoint for endpoint in matching if endpoint.node == node]
    policy = claim.service.policy
    return Frontend(
        key=claim.service.key,
        place=claim.place,
        members=_members(claim, (e for e in local if e.address in chosen)),
        lingering=_members(claim, (e for e in local if e.address not in chosen)),
        source_ranges=_of_family(policy.source_ranges, claim.vip.address.version),
        open_to_all=not policy.source_ranges,
        affinity=policy.session_affinity == "ClientIP",
    )


def _members(claim: Claim, endpoints: Iterable[Endpoint]) -> tuple[Member, ...]:
    ports = ((endpoint.address, endpoint.port_for(claim.listener)) for endpoint in endpoints)
    return tuple(sorted(Member(address, port) for address, port in ports if port is not None))


def _of_family(ranges: Iterable[str], version: int) -> tuple[str, ...]:
    networks = (ipaddress.ip_network(text, strict=False) for text in ranges)
    return tuple(sorted(str(network) for network in networks if network.version == version))
