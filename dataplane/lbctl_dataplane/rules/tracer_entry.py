"""What a client's first packet meets that a fabric without weights brought to some node. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lbctl_dataplane.rules import constants, tracer
from lbctl_dataplane.rules.frontend import Claim
from lbctl_dataplane.rules.peers import peering
from lbctl_dataplane.rules.peers.peering import Ground
from lbctl_dataplane.rules.router.legs import Forwarding, Knowledge, ServingNode
from lbctl_dataplane.rules.tracer import Detour, Packet, Trace, Verdict, Way

LINK = "link"
"""How a packet gets to a peer on the same link."""
_REFUSING = "ovs"
"""The backend whose nodes refuse what others have members of."""


def trace(
    packet: Packet,
    claim: Claim,
    known: Knowledge,
    nodes: Mapping[str, ServingNode],
    entry: str,
    policy: str = "",
) -> Trace:
    """Return where a packet to the place of a claim can get from the node `entry`.

    `policy` is the name of the L4Policy that counts for its Service, where it is known.
    """
    node = nodes.get(entry)
    found = Trace(packet, Verdict.UNKNOWN, service=claim.service, entry=entry)
    if node is None:
        return replace(found, why=f"no agent reports from {entry}")
    none = tracer.unusable(claim, known, policy)
    if none:
        return replace(found, verdict=Verdict.REFUSED, why=none)
    forwarding = _forwarding(node, claim, tracer.working(claim, known, nodes))
    if forwarding is not None:
        found = _passed_on(found, claim, known, nodes, _ground(node, forwarding))
    ways = found.ways or _here(packet, claim, known, nodes, node)
    verdict, why = tracer.ending(packet, ways) if ways else _stranded(node, forwarding)
    return replace(found, verdict=verdict, why=why, ways=ways)


def _forwarding(node: ServingNode, claim: Claim, working: Knowledge) -> Forwarding | None:
    """Return how a node passes on what comes to a place; None where it does not."""
    found = node.forwarding
    if found is None:
        return None
    goes_on = peering.passes_on(claim, working.endpoints, node.name, everywhere=found.everywhere)
    return found if goes_on else None


def _ground(node: ServingNode, forwarding: Forwarding) -> Ground:
    tunnel = node.legs and node.backend not in peering.LINK_ONLY
    underlay = node.legs[0].address.version if tunnel else 0
    return Ground(node.name, forwarding.networks, underlay)


def _passed_on(
    found: Trace,
    claim: Claim,
    known: Knowledge,
    nodes: Mapping[str, ServingNode],
    ground: Ground,
) -> Trace:
    """Return a trace with the peers that may get it, and those with members that do not."""
    within = peering.reachable(peering.taking(nodes), ground)
    version = found.packet.place.vip.version
    ways = []
    for way in tracer.shared(found.packet, claim, known, within):
        leg = within[way.node].leg(version)
        by = LINK if leg is not None and ground.on_link(leg) else constants.TUNNEL_DEVICE
        ways.append(replace(way, by="" if way.node == ground.name else by))
    taking = frozenset(way.node for way in ways)
    past = _left_out(claim, known, nodes, within, taking)
    return replace(found, ways=tuple(ways), detours=tuple(past))


def _left_out(
    claim: Claim,
    known: Knowledge,
    nodes: Mapping[str, ServingNode],
    within: Mapping[str, ServingNode],
    taking: frozenset[str],
) -> Iterator[Detour]:
    version = claim.vip.address.version
    for past in tracer.detours(claim, known, nodes, taking):
        node, why = nodes.get(past.node), past.why
        if node is not None and past.node not in within:
            why = f"nothing is passed on to backend {node.backend or 'unknown'}"
        elif node is not None and node.backend in peering.LINK_ONLY and node.forwarding is None:
            why = "it takes nothing from peers: its gateway or its link is not known"
        elif node is not None and node.leg(version) and not within[past.node].leg(version):
            why = "neither link nor tunnel leads to its leg"
        yield replace(past, why=why)


def _here(
    packet: Packet,
    claim: Claim,
    known: Knowledge,
    nodes: Mapping[str, ServingNode],
    node: ServingNode,
) -> tuple[Way, ...]:
    """Return the way to members of the node itself, none where it has none."""
    there = tracer.frontend_at(node.name, claim, known, nodes)
    leg = node.leg(packet.place.vip.version)
    if not there.members or leg is None:
        return ()
    members = there.members if tracer.admits(there, packet.client) else ()
    return (Way(node.name, leg.address, sum(one.weight for one in there.members), members),)


def _stranded(node: ServingNode, forwarding: Forwarding | None) -> tuple[Verdict, str]:
    """Return what becomes of a packet that only other nodes have members for, and why."""
    cause = "no peer that has can take it yet" if forwarding else "passes nothing of it on"
    why = f"{node.name} has no members for it, and {cause}"
    if node.backend == _REFUSING:
        return Verdict.REFUSED, why
    return Verdict.UNKNOWN, f"{why}: kube-proxy or the node's routes decide"
