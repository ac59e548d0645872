"""The flows by which a switch forwards to peers what it has no members of. Pure.

They act before connections are tracked, as the first node sees one direction only: what becomes of
a flow stands in a flow that the switch learns. ADR 0013 says why.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lbctl_dataplane.rules import constants, place_numbers
from lbctl_dataplane.rules.frontend import Place
from lbctl_dataplane.rules.nft import layout
from lbctl_dataplane.rules.ovs.openflow import FlowKey
from lbctl_dataplane.rules.ovs.pipeline import Ground
from lbctl_dataplane.rules.peers import layout as peer_table
from lbctl_dataplane.rules.peers.peering import Ground as Around
from lbctl_dataplane.rules.peers.peering import Passed, Share
from lbctl_dataplane.rules.place_numbers import Numbers
from lbctl_dataplane.rules.router.legs import ServingNode
from lbctl_dataplane.rules.tables.elements import Element, Elements

MOST_FLOWS = 4_096
"""That are remembered of one place; a flow beyond goes by its hash alone. The switch counts them
for each that it learns, so that more would cost it time."""
OPENING_S = 30
"""How long a TCP flow is remembered after its last packet before and after a connection. Less than
with nftables: each flow that is remembered makes the next one dearer."""
MOST_BUCKETS = 256
"""Of a group, which is weighed bucket by bucket for each new flow."""

_PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
_PORTS = {"TCP": "NXM_OF_TCP", "UDP": "NXM_OF_UDP", "SCTP": "OXM_OF_SCTP"}
_ADDRESSES = {4: "NXM_OF_IP", 6: "NXM_NX_IPV6"}
_ETHER_TYPES = {4: "0x800", 6: "0x86dd"}
_OPENING, _KNOWN = 100, 200
"""Priorities of what is learned: while a connection begins or ends, and between."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that the switch holds beside its own frontends."""

    flows: Mapping[FlowKey, str] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)
    spared: Elements = field(default_factory=dict)
    """In the table beside the switch: clients that are not refused."""


class FlowsDrawing:
    """Where packets for peers go, as flows and groups of one switch."""

    def __init__(self, ground: Ground, gateways: Mapping[int, str]) -> None:
        """Draw for a switch; `gateways` are the addresses of the fabric's routers by IP version."""
        self._ground = ground
        self._gateways = gateways
        self._numbers = Numbers(constants.PEER_GROUP_PREFIX, constants.GROUP_SPACE)

    def frame(self, nodes: Mapping[str, ServingNode], around: Around) -> Part:
        """Return who the peers are, and what becomes of what they passed on."""
        if not around.networks:
            return Part()
        entry = f"in_port={self._ground.service_port}"
        flows = {
            FlowKey(
                constants.TABLE_ENTRY, constants.PRIORITY_PEER, f"{entry},dl_src={leg.mac}"
            ): f"goto_table:{constants.TABLE_ARRIVED}"
            for name, node in nodes.items()
            if name != around.name
            for leg in node.legs
            if around.on_link(leg)
        }
        flows.update(_arrived())
        for leg in self._ground.legs:
            gateway = self._gateways.get(leg.version, "")
            flows.update([_gateway(entry, str(leg), leg.version, gateway)])
        return Part(flows)

    def place(self, passed: Passed, nodes: Mapping[str, ServingNode]) -> Part:
        """Return what becomes of packets to one place."""
        macs = _macs(passed, nodes)
        place, number = passed.place, self._numbers.of(passed.place)
        flows = {
            FlowKey(
                constants.TABLE_FABRIC, constants.PRIORITY_KNOWN, _match(place)
            ): f"resubmit(,{constants.TABLE_PEER_FLOWS}),goto_table:{constants.TABLE_PEERS}"
        }
        for name, holder in passed.holders.items():
            if holder == peer_table.HERE:
                flows.update(_holder(place, holder, number, _here()))
            elif name in macs:
                flows.update(_holder(place, holder, number, self._to(macs[name])))
        groups = {}
        if passed.shares:
            choice = FlowKey(constants.TABLE_PEERS, constants.PRIORITY, _match(place))
            flows[choice] = f"group:{number}"
            groups[number] = _group(passed)
        return Part(flows, groups, _spared(passed))

    def forget(self, place: Place) -> None:
        """Let others have the number of a place's group."""
        self._numbers.release(place)

    def _to(self, mac: str) -> str:
        own = self._ground.service_mac
        return f"set_field:{own}->eth_src,set_field:{mac}->eth_dst,dec_ttl,IN_PORT"


def addressed(nodes: Mapping[str, ServingNode]) -> dict[str, ServingNode]:
    """Return the nodes with the legs alone whose MAC addresses are known: a switch asks nobody."""
    return {
        name: replace(node, legs=tuple(leg for leg in node.legs if leg.mac))
        for name, node in nodes.items()
    }


def _macs(passed: Passed, nodes: Mapping[str, ServingNode]) -> dict[str, str]:
    """Return the MAC addresses of the nodes that may have flows, by name."""
    version = passed.place.vip.version
    legs = {name: nodes[name].leg(version) for name in passed.holders}
    return {name: leg.mac for name, leg in legs.items() if leg is not None}


def gateways_known(dump: str) -> frozenset[int]:
    """Return the IP versions whose gateway stands in a dump of the table of gateways."""
    return frozenset(
        version
        for version, family in ((4, "ip"), (6, "ipv6"))
        if f"priority={constants.PRIORITY},{family} " in dump
    )


def _here() -> str:
    return f"ct(table={constants.TABLE_CONNECTION},zone={constants.CT_ZONE},nat)"


def _match(place: Place, *registers: str) -> str:
    protocol, destination = place.protocol.lower(), "nw_dst"
    if place.vip.version == 6:
        protocol, destination = f"{protocol}6", "ipv6_dst"
    fields = (protocol, *registers, f"{destination}={place.vip}", f"tp_dst={place.port}")
    return ",".join(fields)


def _arrived() -> Iterator[tuple[FlowKey, str]]:
    """Yield what becomes of what peers sent: a VIP's packets go no further.

    Answers go to the gateway, as the sender is none of the client's: who a connection came from
    is kept by it. What is no VIP's is none of ours, but for questions for the leg's address.
    """
    for protocol in _PROTOCOLS:
        for family in ("", "6"):
            key = FlowKey(
                constants.TABLE_ARRIVED, constants.PRIORITY, f"{protocol.lower()}{family}"
            )
            yield key, f"resubmit(,{constants.TABLE_GATEWAYS}),{_here()}"
    rest = FlowKey(constants.TABLE_ARRIVED, constants.PRIORITY_REST, "")
    yield rest, f"resubmit(,{constants.TABLE_FABRIC})"


def _gateway(entry: str, leg: str, version: int, gateway: str) -> tuple[FlowKey, str]:
    """Return what learns the MAC address that answers go to: the gateway's that the leg names.

    Where it names none, whoever asks for the leg is one: peers are told by their own flows before.
    """
    if version == 4:
        asked = f"arp_spa={gateway}" if gateway else f"arp_tpa={leg},arp_op=1"
        match, source = f"arp,{entry},{asked}", "NXM_NX_ARP_SHA[]"
    else:
        told = f"icmp_type=136,icmp_code=0,nd_target={gateway}"
        asked = f"icmp_type=135,icmp_code=0,nd_target={leg}"
        match = f"icmp6,{entry},{told if gateway else asked}"
        source = "NXM_NX_ND_TLL[]" if gateway else "NXM_NX_ND_SLL[]"
    # Of its own, so that what was learned of another gateway goes with the flow that learned it.
    cookie = constants.PEER_COOKIE | place_numbers.digest(match) & 0xFFFF_FFFF
    learn = (
        f"learn(table={constants.TABLE_GATEWAYS},priority={constants.PRIORITY},delete_learned,"
        f"cookie={cookie:#x},eth_type={_ETHER_TYPES[version]},"
        f"load:{source}->NXM_OF_ETH_SRC[])"
    )
    key = FlowKey(constants.TABLE_ENTRY, constants.PRIORITY_GATEWAY, match)
    return key, f"{learn},goto_table:{constants.TABLE_FABRIC}"


def _holder(place: Place, holder: int, number: int, way: str) -> Iterator[tuple[FlowKey, str]]:
    """Yield how flows of one node go there, and what keeps them to it.

    A node that lost its last member has no such flow: what it had is chosen anew.
    """
    match = _match(place, f"reg0={holder:#x}")
    table, priority = constants.TABLE_PEERS, constants.PRIORITY_NEW
    if place.protocol != "TCP":
        learn = _learn(place, number, _KNOWN, f"idle_timeout={peer_table.DATAGRAM_S}")
        yield FlowKey(table, priority, match), f"{learn},{way}"
        return
    times = f"idle_timeout={peer_table.TCP_S},fin_idle_timeout={OPENING_S}"
    yield FlowKey(table, priority, match), f"{_learn(place, number, _KNOWN, times)},{way}"
    opening = FlowKey(table, constants.PRIORITY_KNOWN, f"{match},tcp_flags=+syn")
    learn = _learn(place, number, _OPENING, f"idle_timeout={OPENING_S}")
    yield opening, f"{learn},{way}"


def _learn(place: Place, number: int, priority: int, times: str) -> str:
    version, ports = place.vip.version, _PORTS[place.protocol]
    addresses = _ADDRESSES[version]
    return (
        f"learn(table={constants.TABLE_PEER_FLOWS},{times},priority={priority},delete_learned,"
        f"cookie={constants.PEER_COOKIE | number:#x},limit={MOST_FLOWS},"
        f"eth_type={_ETHER_TYPES[version]},nw_proto={_PROTOCOLS[place.protocol]},"
        f"{addresses}_SRC[],{addresses}_DST[],{ports}_SRC[],{ports}_DST[],"
        "load:NXM_NX_REG0[]->NXM_NX_REG0[])"
    )


def _group(passed: Passed) -> str:
    """Return a select group of nodes, whose buckets have the same numbers on every node.

    The `hash` method weighs each bucket by its number, so a node that comes or goes moves no other
    one's flows. It gives a bucket of double weight more than double: a node has one for each.
    """
    source = "ip_src" if passed.place.vip.version == 4 else "ipv6_src"
    port = f"{passed.place.protocol.lower()}_src"
    fields = f"fields={source}" if passed.by_client else f"fields({source},{port})"
    buckets = ",".join(
        f"bucket=bucket_id:{number},actions=set_field:{holder:#x}->reg0,"
        f"resubmit(,{constants.TABLE_PEERS})"
        for number, holder in sorted(_buckets(passed.shares).items())
    )
    return f"type=select,selection_method=hash,{fields},{buckets}"


def _buckets(shares: Sequence[Share]) -> dict[int, int]:
    """Return the nodes' numbers by that of the bucket."""
    found: dict[int, int] = {}
    for one, count in zip(shares, _counts([one.weight for one in shares]), strict=True):
        for at in range(count):
            found[place_numbers.digest(f"{one.name} {at}") & 0x7FFF_FFFF] = one.number
    return found


def _counts(weights: Sequence[int]) -> tuple[int, ...]:
    """Return how many buckets each weight is.

    >>> _counts([2, 4])
    (1, 2)
    """
    unit = math.gcd(*weights)
    total = sum(weights) // unit
    if total <= MOST_BUCKETS:
        return tuple(weight // unit for weight in weights)
    return tuple(max(1, weight // unit * MOST_BUCKETS // total) for weight in weights)


def _spared(passed: Passed) -> Elements:
    version, key = passed.place.vip.version, layout.place_key(passed.place)
    homes = ("taking", "kept") if passed.shares else ("kept",)
    return {Element(f"{home}{version}", key): () for home in homes}
