"""What a client's first packet to a VIP meets on its way, by what is decided and reported. Pure.

`trace` begins at a router that weighs nodes, `tracer_entry` at one node. Both use the rules that
routers and nodes are programmed by: who wins a place, who has a share of it, which members a node
chooses from. What they cannot tell is which of several a flow's hash will pick.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lbctl.model.virtual_service import Address, Phase, VirtualService
from lbctl.translate.failing import Failing, by_key, without_failing
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.frontend import Claim, Frontend, Member, Place
from lbctl_dataplane.rules.router import legs
from lbctl_dataplane.rules.router.legs import Knowledge, ServingNode


class Verdict(StrEnum):
    """What becomes of the packet."""

    DELIVERED = "Delivered"
    REFUSED = "Refused"
    """The router answers that nobody is there (TCP reset, ICMP port unreachable)."""
    DROPPED = "Dropped"
    """A node lets it go without an answer: its source may not connect."""
    UNKNOWN = "Unknown"
    """Where it goes is not lbctl's to say."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a flow. Client and VIP are of one IP version."""

    client: Address
    place: Place


@dataclass(frozen=True, slots=True)
class Way:
    """One node that the router, or the node where the flow enters, may send it to."""

    node: str
    leg: Address
    weight: int
    """Its share is this weight among those of all ways."""
    members: tuple[Member, ...]
    """One of them gets the flow; empty: the node drops it."""
    by: str = ""
    """How it gets there from another node: `link` or the tunnel's device; empty: it need not."""


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
    entry: str = ""
    """The node that the flow enters by; empty: a router chooses."""

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
    ways = shared(packet, claim, known, nodes)
    past = detours(claim, known, nodes, frozenset(way.node for way in ways))
    none = unusable(claim, known, policy) or ("" if ways else _NOT_YET)
    verdict, why = (Verdict.REFUSED, none) if none else ending(packet, ways)
    return Trace(packet, verdict, why, claim.service, ways, tuple(past))


def shared(
    packet: Packet, claim: Claim, known: Knowledge, nodes: Mapping[str, ServingNode]
) -> tuple[Way, ...]:
    """Return who of these nodes have a share of the new flows."""
    given = legs.shares(claim, working(claim, known, nodes), nodes, frozenset())
    found = []
    for name, weight in given.items():
        leg = nodes[name].leg(packet.place.vip.version)
        there = frontend_at(name, claim, known, nodes)
        admitted = admits(there, packet.client)
        if leg is not None:
            found.append(Way(name, leg.address, weight, there.members if admitted else ()))
    return tuple(found)


def admits(there: Frontend, client: Address) -> bool:
    """Tell whether a client may connect to a frontend."""
    return there.open_to_all or frontend.within(client, there.source_ranges)


_NOT_YET = "no node that has members can take it yet"


def unusable(claim: Claim, known: Knowledge, policy: str) -> str:
    """Return why nobody gets new flows of a claim; empty where somebody does."""
    if not claim.service.policy.enabled:
        return f"{f'L4Policy {policy}' if policy else 'its policy'} says enabled: false"
    if frontend.usable_at(claim, known.endpoints):
        return ""
    version = claim.vip.address.version
    ready = [end for end in known.endpoints if end.ready and end.address.version == version]
    kept_out = any(not frontend.weight(claim, end) for end in ready)
    return "its ready endpoints have weight 0" if kept_out else "it has no usable endpoint"


def ending(packet: Packet, ways: Iterable[Way]) -> tuple[Verdict, str]:
    """Return what becomes of a packet that has ways, and why."""
    if any(way.members for way in ways):
        return Verdict.DELIVERED, ""
    return Verdict.DROPPED, f"{packet.client} is in none of its source ranges"


def detours(
    claim: Claim, known: Knowledge, nodes: Mapping[str, ServingNode], taking: frozenset[str]
) -> Iterable[Detour]:
    """Yield the nodes with members that are sent nothing; those `taking` are sent some."""
    able = {end.node for end in frontend.usable_at(claim, working(claim, known, nodes).endpoints)}
    usable = frontend.usable_at(claim, known.endpoints)
    for name in sorted({endpoint.node for endpoint in usable} - taking):
        node = nodes.get(name)
        why = legs.obstacle(node, claim, known)
        if not why and node is not None and node.excluded:
            why = "it is excluded from load balancers"
        if not why and name not in able:
            why = "its members fail their health monitor"
        yield Detour(name, why or "others go first")


def working(claim: Claim, known: Knowledge, nodes: Mapping[str, ServingNode]) -> Knowledge:
    """Return what is known without the members that fail, where others do not."""
    return replace(known, endpoints=without_failing(known.endpoints, _failing(claim, nodes)))


def _failing(claim: Claim, nodes: Mapping[str, ServingNode]) -> Failing:
    """Return which members fail their health monitor, each by the word of its node."""
    told = ((node.name, member) for node in nodes.values() for member in node.failing)
    return by_key(told).get(claim.service.key, frozenset())


def frontend_at(
    node: str, claim: Claim, known: Knowledge, nodes: Mapping[str, ServingNode]
) -> Frontend:
    """Return what a node programs for a claim."""
    failing = _failing(claim, nodes)
    there = frontend.frontend_of(claim, known.endpoints, node)
    protocol = claim.place.protocol
    out = {m for m in there.members if (node, m.address, protocol, m.port) in failing}
    return frontend.without(there, out)
