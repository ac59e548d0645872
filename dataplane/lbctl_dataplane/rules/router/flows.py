"""Which UDP flows a router may keep on a leg, and which it has to forget. Pure.

A flow's leg stands in its conntrack mark. UDP has no end: a client that goes on from the same port
keeps the entry alive, and with it a leg whose node has nobody left to answer (kube-proxy's
`CleanStaleEntries` is for the same). TCP says itself when it is over: it is never looked at.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lbctl.model.virtual_service import Address
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.frontend import Claim, Place, keeping

PROTOCOL = "UDP"


@dataclass(frozen=True, slots=True)
class Flows:
    """All flows of one place that go by one leg."""

    place: Place
    leg: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Flows to forget: they may be there, and nobody answers them any more."""

    flows: frozenset[Flows] = frozenset()


@dataclass(frozen=True, slots=True)
class AllBut:
    """Flows to keep, where it is not known what is there: every other one is to be forgotten."""

    flows: frozenset[Flows]


Forgotten = Ended | AllBut
NONE = Ended()


def kept(
    claim: Claim, endpoints: Iterable[Endpoint], numbers: Mapping[str, int]
) -> dict[Flows, None]:
    """Return the UDP flows of a claim that may stay; `numbers` are the legs' by node."""
    if claim.listener.protocol != PROTOCOL:
        return {}
    nodes = {endpoint.node for endpoint in keeping(claim, endpoints)}
    return {Flows(claim.place, numbers[node]): None for node in nodes & numbers.keys()}


def among(seen: frozenset[Flows], forgotten: Forgotten) -> frozenset[Flows]:
    """Return those of the flows seen that are to be forgotten."""
    if isinstance(forgotten, AllBut):
        return seen - forgotten.flows
    return seen & forgotten.flows


def parse(listing: str, vips: frozenset[Address]) -> frozenset[Flows]:
    """Return the flows of some VIPs that have a leg, from the lines of `conntrack -L -p udp`.

    An answer that comes after its entry was forgotten makes a new one, in which the VIP is the
    source.
    """
    found = (_flows(line, vips) for line in listing.splitlines())
    return frozenset(flows for flows in found if flows is not None)


def _flows(line: str, vips: frozenset[Address]) -> Flows | None:
    fields: dict[str, str] = {}
    for word in line.split():
        name, is_field, value = word.partition("=")
        if is_field:
            # The first address and port of a name are those of the first packet.
            fields.setdefault(name, value)
    leg = int(fields.get("mark", "0")) - constants.LEG_MARK
    if not 0 < leg <= constants.MAX_LEGS:
        return None
    for address, port in (("dst", "dport"), ("src", "sport")):
        vip = ipaddress.ip_address(fields[address])
        if vip in vips:
            return Flows(Place(vip, PROTOCOL, int(fields[port])), leg)
    return None
