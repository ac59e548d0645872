"""Connections that a node's kernel tracks for VIPs: which of them lost their member. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lbctl_dataplane.rules.frontend import Frontend, Member, Place


@dataclass(frozen=True, slots=True, order=True)
class Tracked:
    """All connections of one place to one member."""

    place: Place
    member: Member
    """Without its weight: always 1."""


def parse(listing: str) -> frozenset[Tracked]:
    """Return what the lines of `conntrack -L` are about; what has no ports is left out."""
    return frozenset(_parse(listing.splitlines()))


def _parse(lines: Iterable[str]) -> Iterator[Tracked]:
    for line in lines:
        words = line.split()
        pairs = [word.partition("=") for word in words if "=" in word]
        destination = next((value for name, _, value in pairs if name == "dst"), "")
        port = next((value for name, _, value in pairs if name == "dport"), "")
        # The second of a name belongs to the answers: who sends them is the member.
        sources = [value for name, _, value in pairs if name == "src"]
        ports = [value for name, _, value in pairs if name == "sport"]
        if destination and port and len(sources) > 1 and len(ports) > 1:
            place = Place(ipaddress.ip_address(destination), words[0].upper(), int(port))
            yield Tracked(place, Member(ipaddress.ip_address(sources[1]), int(ports[1])))


def ended(found: frozenset[Tracked], frontends: Iterable[Frontend]) -> frozenset[Tracked]:
    """Return which of the connections found there may not be; what roams may."""
    now = tuple(frontends)
    roaming = {entry.place: entry.roaming_port for entry in now}
    left = found - of(now)
    return frozenset(one for one in left if one.member.port != roaming.get(one.place))


def of(frontends: Iterable[Frontend]) -> frozenset[Tracked]:
    """Return the connections that may be there."""
    return frozenset(
        Tracked(frontend.place, Member(member.address, member.port))
        for frontend in frontends
        for member in frontend.all_members
    )
