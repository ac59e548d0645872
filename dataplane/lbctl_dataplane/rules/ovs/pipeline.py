"""The OpenFlow flows and groups that a node needs for its frontends. Pure.

The README of this folder draws the tables and says why each is there.
"""

import functools
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import constants, place_numbers
from lbctl_dataplane.rules.frontend import Frontend, Member
from lbctl_dataplane.rules.ovs import affinity, limits
from lbctl_dataplane.rules.ovs.openflow import FlowKey, Tables
from lbctl_dataplane.rules.place_numbers import Numbers

_TRACK_ERRORS = {4: ("icmp", (3, 11, 12)), 6: ("icmp6", (1, 2, 3, 4))}
"""ICMP types that report on a connection; conntrack undoes the address change inside them."""

_TTL = 64
"""Of packets that the switch makes."""


@dataclass(frozen=True, slots=True)
class PodPort:
    """The port of the switch that a pod is at."""

    ofport: int
    mac: str
    device: str


@dataclass(frozen=True, slots=True)
class Ground:
    """Facts of this node's switch that flows are made of."""

    service_port: int
    service_mac: str
    gateway_mac: str
    """Of the bridge itself: what pods see as the sender."""
    pods: Mapping[Address, PodPort] = field(default_factory=dict)
    legs: tuple[Address, ...] = ()
    """Addresses of the service interface, which the switch answers ARP and ND for."""
    answer_pings: bool = True
    """The switch answers pings of VIPs."""
    meters: bool = True
    """Its datapath can count new connections."""


def without_pods(ground: Ground) -> Ground:
    """Return the facts that every flow may depend on."""
    return replace(ground, pods={})


def tables(frontend: Frontend, ground: Ground, number: int, meter: int | None) -> Tables:
    """Return the flows of one frontend, some of which others may need as well, and its group.

    `number` is the group's; `meter` that of its meter, None without one.
    """
    flows: dict[FlowKey, str] = {}
    groups: dict[int, str] = {}
    meters: dict[int, str] = {}
    here = [member for member in frontend.members if member.address in ground.pods]
    if here:
        groups[number] = _group(frontend, here)
        flows.update(_new_connections(frontend, number, meter))
        if meter is not None:
            meters[meter] = limits.meter(frontend)
        if affinity.remembers(frontend):
            flows.update(_remembering(frontend, here, number))
        if ground.answer_pings:
            flows.update([_ping(frontend.place.vip, ground.service_mac)])
    if any(member.address in ground.pods for member in frontend.all_members):
        flows.update(_vip(frontend.place.vip))
    for member in frontend.all_members:
        if member.address in ground.pods:
            pod = ground.pods[member.address]
            flows.update(_member(frontend.place.protocol, member, pod, ground.gateway_mac))
    return Tables(flows, groups, meters)


def is_metered(frontend: Frontend, ground: Ground) -> bool:
    """Tell whether the new connections of a place are counted."""
    return ground.meters and bool(limits.meter(frontend))


def missing_pods(frontend: Frontend, ground: Ground) -> tuple[Address, ...]:
    """Return the members that get connections and have no port here."""
    return tuple(member.address for member in frontend.members if member.address not in ground.pods)


def group_numbers() -> Numbers:
    """Return what gives places the numbers of their groups."""
    return Numbers(constants.GROUP_PREFIX, constants.GROUP_SPACE)


def frame(ground: Ground) -> Iterator[tuple[FlowKey, str]]:
    """Yield what is there without any VIP: the fabric's port is ours and nothing else's."""
    entry = FlowKey(
        constants.TABLE_ENTRY, constants.PRIORITY_ENTRY, f"in_port={ground.service_port}"
    )
    yield entry, f"goto_table:{constants.TABLE_FABRIC}"
    known = f"ct_state=-inv+trk,ct_mark={constants.CT_MARK:#x}"
    yield (
        FlowKey(constants.TABLE_CONNECTION, constants.PRIORITY_KNOWN, known),
        f"goto_table:{constants.TABLE_TO_POD}",
    )
    back = (
        f"set_field:{ground.service_mac}->eth_src,"
        f"move:NXM_NX_CT_LABEL[0..47]->NXM_OF_ETH_DST[],dec_ttl,output:{ground.service_port}"
    )
    for family in ("ip", "ipv6"):
        key = FlowKey(constants.TABLE_TO_FABRIC, constants.PRIORITY, f"{known},{family}")
        yield key, back
    yield FlowKey(constants.TABLE_TO_FABRIC, constants.PRIORITY_REST, ""), "NORMAL"
    for leg in ground.legs:
        yield from _neighbour(leg, ground.service_mac)


def _neighbour(leg: Address, mac: str) -> Iterator[tuple[FlowKey, str]]:
    """Yield the answer to ARP or neighbour solicitation for an address of the service leg."""
    table, priority = constants.TABLE_FABRIC, constants.PRIORITY
    to_sender = _to_sender(mac)
    if leg.version == 4:
        yield (
            FlowKey(table, priority, f"arp,arp_tpa={leg},arp_op=1"),
            f"{to_sender},set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],"
            f"set_field:{mac}->arp_sha,move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],"
            f"set_field:{leg}->arp_spa,IN_PORT",
        )
        return
    # Two tables: only what matches an advertisement may set an advertisement's fields.
    yield (
        FlowKey(table, priority, f"icmp6,icmp_type=135,icmp_code=0,nd_target={leg}"),
        f"{to_sender},move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[],set_field:{leg}->ipv6_src,"
        f"set_field:136->icmpv6_type,resubmit(,{constants.TABLE_NEIGHBOUR})",
    )
    advertised = (
        # Flags solicited and override (RFC 4861 §4.4); the option becomes "target link layer".
        f"set_field:2->nd_options_type,set_field:1610612736->nd_reserved,"
        f"set_field:{mac}->nd_tll,IN_PORT"
    )
    key = FlowKey(constants.TABLE_NEIGHBOUR, priority, "icmp6,icmp_type=136,icmp_code=0")
    yield key, advertised


def _to_sender(mac: str) -> str:
    return f"move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:{mac}->eth_src"


def _vip(vip: Address) -> Iterator[tuple[FlowKey, str]]:
    # All of a VIP goes through conntrack: fragments and ICMP errors have no port to match.
    family, field_name = ("ip", "nw_dst") if vip.version == 4 else ("ipv6", "ipv6_dst")
    key = FlowKey(constants.TABLE_FABRIC, constants.PRIORITY, f"{family},{field_name}={vip}")
    yield key, f"ct(table={constants.TABLE_CONNECTION},zone={constants.CT_ZONE},nat)"


def _ping(vip: Address, mac: str) -> tuple[FlowKey, str]:
    """Return the answer to echo requests, by the switch itself."""
    if vip.version == 4:
        match, fields = f"icmp,nw_dst={vip},icmp_type=8,icmp_code=0", ("NXM_OF_IP", "ip_src")
        reply = "set_field:0->icmp_type"
    else:
        match = f"icmp6,ipv6_dst={vip},icmp_type=128,icmp_code=0"
        fields, reply = ("NXM_NX_IPV6", "ipv6_src"), "set_field:129->icmpv6_type"
    space, source = fields
    return (
        FlowKey(constants.TABLE_FABRIC, constants.PRIORITY_NEW, match),
        f"{_to_sender(mac)},move:{space}_SRC[]->{space}_DST[],set_field:{vip}->{source},"
        f"set_field:{_TTL}->nw_ttl,{reply},IN_PORT",
    )


def _new_connections(
    frontend: Frontend, group: int, meter: int | None
) -> Iterator[tuple[FlowKey, str]]:
    place = frontend.place
    remembers = affinity.remembers(frontend)
    admitted = "" if meter is None else f"meter:{meter},"
    chosen = affinity.look_up(group) if remembers else f"group:{group}"
    for source in _sources(frontend):
        destination = "nw_dst" if place.vip.version == 4 else "ipv6_dst"
        match = (
            f"ct_state=+new+trk,{_protocol(place.protocol, place.vip)},{source}"
            f"{destination}={place.vip},tp_dst={place.port}"
        )
        yield FlowKey(constants.TABLE_CONNECTION, constants.PRIORITY_NEW, match), admitted + chosen


def _remembering(
    frontend: Frontend, members: Sequence[Member], group: int
) -> Iterator[tuple[FlowKey, str]]:
    label = affinity.labelled(group)
    commits = {number: _commit(member, label) for number, member in _numbered(members)}
    return affinity.flows(frontend, group, commits)


def _sources(frontend: Frontend) -> Iterator[str]:
    if frontend.open_to_all:
        yield ""
    name = "nw_src" if frontend.place.vip.version == 4 else "ipv6_src"
    for text in frontend.source_ranges:
        network = ipaddress.ip_network(text)
        if network.prefixlen == 0:
            yield ""
        elif network.prefixlen == network.max_prefixlen:
            yield f"{name}={network.network_address},"
        else:
            yield f"{name}={network},"


def _protocol(protocol: str, address: Address) -> str:
    return protocol.lower() + ("6" if address.version == 6 else "")


def _group(frontend: Frontend, members: Sequence[Member]) -> str:
    """Return a select group; its buckets change only who gets *new* connections.

    Buckets are numbered by what they lead to: the `hash` method weighs each number by itself, so
    that a member which comes or goes moves no other member's clients.
    """
    source = "ip_src" if frontend.place.vip.version == 4 else "ipv6_src"
    method = f"hash,fields={source}" if frontend.affinity else "dp_hash"
    remembers = affinity.remembers(frontend)
    buckets = ",".join(
        f"bucket=bucket_id:{number},{_weight(member)}actions="
        f"{affinity.choose(number) if remembers else _commit(member)}"
        for number, member in _numbered(members)
    )
    return f"type=select,selection_method={method},{buckets}"


def _weight(member: Member) -> str:
    return "" if member.weight == 1 else f"weight:{member.weight},"  # a dump leaves 1 out


def _numbered(members: Sequence[Member]) -> Iterator[tuple[int, Member]]:
    taken: set[int] = set()
    for member in members:
        number = place_numbers.digest(f"{member.address} {member.port}") & 0x7FFF_FFFF
        while number in taken:
            number += 1
        taken.add(number)
        yield number, member


def _commit(member: Member, *noted: str) -> str:
    """Return what begins a connection to a member; `noted` are more actions upon its entry."""
    address = f"[{member.address}]" if member.address.version == 6 else str(member.address)
    marked = f"set_field:{constants.CT_MARK:#x}->ct_mark"
    sender = "move:NXM_OF_ETH_SRC[]->NXM_NX_CT_LABEL[0..47]"
    return (
        f"ct(commit,table={constants.TABLE_TO_POD},zone={constants.CT_ZONE},"
        f"nat(dst={address}:{member.port}),exec({','.join((marked, sender, *noted))}))"
    )


@functools.lru_cache(maxsize=4096)
def _member(
    protocol: str, member: Member, pod: PodPort, gateway_mac: str
) -> tuple[tuple[FlowKey, str], ...]:
    """Return the way to one pod and back; it stays while the member may have connections.

    The same objects for every Service that the pod is in.
    """
    return tuple(_to_pod_and_back(protocol, member, pod, gateway_mac))


def _to_pod_and_back(
    protocol: str, member: Member, pod: PodPort, gateway_mac: str
) -> Iterator[tuple[FlowKey, str]]:
    family, source, destination = (
        ("ip", "nw_src", "nw_dst")
        if member.address.version == 4
        else ("ipv6", "ipv6_src", "ipv6_dst")
    )
    yield (
        FlowKey(
            constants.TABLE_TO_POD, constants.PRIORITY, f"{family},{destination}={member.address}"
        ),
        f"set_field:{gateway_mac}->eth_src,set_field:{pod.mac}->eth_dst,"
        f"dec_ttl,output:{pod.ofport}",
    )
    sent = f"in_port={pod.ofport},{source}={member.address}"
    answers = [
        f"{_protocol(protocol, member.address)},{sent},tp_src={member.port}",
        f"{family},{sent},nw_frag=yes",
    ]
    name, types = _TRACK_ERRORS[member.address.version]
    answers += [f"{name},{sent},icmp_type={number}" for number in types]
    for match in answers:
        key = FlowKey(constants.TABLE_ENTRY, constants.PRIORITY_ENTRY, match)
        yield key, f"ct(table={constants.TABLE_TO_FABRIC},zone={constants.CT_ZONE},nat)"


def pod_addresses(flows: Iterable[FlowKey]) -> frozenset[Address]:
    """Return the pod addresses that these flows lead to."""
    return _addresses(flows, constants.TABLE_TO_POD)


def vip_addresses(flows: Iterable[FlowKey]) -> frozenset[Address]:
    """Return the VIPs that these flows let in."""
    return _addresses(flows, constants.TABLE_FABRIC)


def _addresses(flows: Iterable[FlowKey], table: int) -> frozenset[Address]:
    found = set()
    for key in flows:
        name, _, text = key.match.rpartition(",")[2].partition("=")
        if key.table == table and name in ("nw_dst", "ipv6_dst"):
            found.add(ipaddress.ip_address(text))
    return frozenset(found)
