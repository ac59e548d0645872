"""What a client's first packet to a VIP meets on its way, by what is decided and reported. Pure.

It uses the rules that routers and nodes are programmed by: who wins a place, who has a share of it,
which members a node chooses from. What it cannot tell is which of several a flow's hash will pick.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lbctl.model.virtual_service import Address, Phase, VirtualService
from lbctl.translate.failing import Failing, by_key, without_failing
from lbctl_dataplane.rules import frontend, legs
from lbctl_dataplane.rules.frontend import Claim, Frontend, Member, Place
from lbctl_dataplane.rules.legs import Knowledge, ServingNode


class Verdict(StrEnum):
    """What becomes of the packet."""

    DELIVERED = "Delivered"
    REFUSED = "Refused"
    """The router answers that nobody is there (TCP reset, ICMP port unreachable)."""
    DROPPED = "Dropped"
    """A node lets it go without an answer: its source may not connect."""
    UNKNOWN = "Unknown"
    """The address is no VIP of ours; where it goes is not lbctl's to say."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a flow. Client and VIP are of one IP version."""

    client: Address
    place: Place


@dataclass(frozen=True, slots=True)
class Way:
    """One node that the router may send the flow to."""

    node: str
    leg: Address
    weight: int
    """Its share is this weight among those of all ways."""
    members: tuple[Member, ...]
    """One of them gets the flow; empty: the node drops it."""


@dataclass(frozen=True, slots=True)
class Detour:
    """A node that has members and is sent nothing."""

    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a packet can get."""

    packet: Packet
    verdict: Verdict
    why: str = ""
    """What stands in its way; empty when it is delivered."""
    service: VirtualService | None = None
    ways: tuple[Way, ...] = ()
    detours: tuple[Detour, ...] = ()

    @property
    def members(self) -> frozenset[Member]:
        """Return who may get the flow."""
        return frozenset(member for way in self.ways for member in way.members)


def claim_at(services: Iterable[VirtualService], place: Place) -> Claim | None:
    """Return who answers at a place."""
    wanted = [
        claim for service in services for claim in frontend.wishes(service) if claim.place == place
    ]
    return frontend.winner(wanted) if wanted else None


def nobody(packet: Packet, services: Sequence[VirtualService]) -> Trace:
    """Return the trace of a packet to a place that nobody answers at."""
    holders = [s for s in services if any(vip.address == packet.place.vip for vip in s.vips)]
    if not holders:
        why = f"no virtual service has the address {packet.place.vip}"
        return Trace(packet, Verdict.UNKNOWN, why)
    serving = [service for service in holders if service.phase is not Phase.WITHDRAWN]
    if not serving:
        why = f"{holders[0].name} is being withdrawn"
        return Trace(packet, Verdict.REFUSED, why, holders[0])
    ports = sorted({f"{s.port}/{s.protocol}" for holder in serving for s in holder.listeners})
    wanted = f"{packet.place.port}/{packet.place.protocol}"
    why = f"port {wanted} is none of {', '.join(ports) or 'no ports'}"
    return Trace(packet, Verdict.REFUSED, why, serving[0])


def trace(
    packet: Packet,
    claim: Claim,
    known: Knowledge,
    nodes: Mapping[str, ServingNode],
    policy: str = "",
) -> Trace:
    """Return where a packet to the place of a claim can get.

    `policy` is the name of the L4Policy that counts for its Service, where it is known.
    """
    failing = _failing(claim, nodes)
    working = replace(known, endpoints=without_failing(known.endpoints, failing))
    given = legs.shares(claim, working, nodes, frozenset())
    ways, admitted = [], True
    for name, weight in given.items():
        there = _at(name, claim, known, failing)
        leg = nodes[name].leg(packet.place.vip.version)
        admitted = admits(there, packet.client)
        if leg is not None:
            ways.append(Way(name, leg.address, weight, there.members if admitted else ()))
    able = frozenset(end.node for end in frontend.usable_at(claim, working.endpoints))
    detours = tuple(_detours(claim, known, nodes, frozenset(given), able))
    verdict, why = _ending(packet, claim, known, ways, admitted=admitted)
    if verdict is Verdict.REFUSED and not claim.service.policy.enabled:
        why = f"{f'L4Policy {policy}' if policy else 'its policy'} says enabled: false"
    return Trace(packet, verdict, why, claim.service, tuple(ways), detours)


def admits(there: Frontend, client: Address) -> bool:
    """Tell whether a client may connect to a frontend."""
    return there.open_to_all or frontend.within(client, there.source_ranges)


def _ending(
    packet: Packet, claim: Claim, known: Knowledge, ways: Sequence[Way], *, admitted: bool
) -> tuple[Verdict, str]:
    if not frontend.usable_at(claim, known.endpoints):
        version = packet.client.version
        ready = [end for end in known.endpoints if end.ready and end.address.version == version]
        kept_out = any(not frontend.weight(claim, end) for end in ready)
        why = "its ready endpoints have weight 0" if kept_out else "it has no usable endpoint"
        return Verdict.REFUSED, why
    if not ways:
        return Verdict.REFUSED, "no node that has members can take it yet"
    if not admitted:
        return Verdict.DROPPED, f"{packet.client} is in none of its source ranges"
    return Verdict.DELIVERED, ""


def _detours(
    claim: Claim,
    known: Knowledge,
    nodes: Mapping[str, ServingNode],
    taking: frozenset[str],
    able: frozenset[str],
) -> Iterable[Detour]:
    """Yield the nodes with members that are sent nothing; the members of those `able` work."""
    usable = frontend.usable_at(claim, known.endpoints)
    for name in sorted({endpoint.node for endpoint in usable} - taking):
        node = nodes.get(name)
        why = legs.obstacle(node, claim, known)
        if not why and node is not None and node.excluded:
            why = "it is excluded from load balancers"
        if not why and name not in able:
            why = "its members fail their health monitor"
        yield Detour(name, why or "others go first")


def _failing(claim: Claim, nodes: Mapping[str, ServingNode]) -> Failing:
    """Return which members fail their health monitor, each by the word of its node."""
    told = ((node.name, member) for node in nodes.values() for member in node.failing)
    return by_key(told).get(claim.service.key, frozenset())


def _at(node: str, claim: Claim, known: Knowledge, failing: Failing) -> Frontend:
    """Return what a node programs for a claim."""
    there = frontend.frontend_of(claim, known.endpoints, node)
    protocol = claim.place.protocol
    out = {m for m in there.members if (node, m.address, protocol, m.port) in failing}
    return frontend.without(there, out)
