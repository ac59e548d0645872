"""What IPVS, the balancer in the kernel, holds for frontends, and in which order it changes. Pure.

A virtual server is a place with a scheduler; behind it are real servers with weights. The kernel
knows no transaction over several of them, so the order of changes is what keeps connections.
"""

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from lbctl.delta import Delta
from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.frontend import Frontend, Member, Place

SCHEDULER = "mh"
"""Maglev: the table is a function of the members, so nodes with the same members choose alike."""
SCHEDULERS = {"round-robin": "wrr", "least-connections": "wlc"}
"""Other ones by algorithm; both heed weights."""
PERSISTENT, HASHED = 0x1, 0x2
"""Flags of linux/ip_vs.h: keep a client's choice; set by the kernel itself."""
FALL_BACK, BY_PORT = 0x8, 0x10
"""Flags of the scheduler mh: choose again when the choice is drained; the client's port counts.

Its table keeps a drained member's slots (`last_weight` in ip_vs_mh.c), so that the others' do not
move: without the first flag, clients that fall on them are refused (measured).
"""
CHOICE = constants.IPVS_COOKIE | FALL_BACK
"""Flags of every virtual server of ours that chooses by Maglev."""
PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
DRAINED = 0
"""Weight of a member that keeps its connections and gets no new ones."""
FOREIGN_FORWARDING = -1
"""Stands for the weight of a real server that is not reached by translation, so not as we do."""


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """How a place chooses among its members."""

    flags: int
    """With our cookie, without `HASHED`."""
    persistence_s: int = 0
    """How long a client keeps its member without a connection; 0: not at all."""
    scheduler: str = SCHEDULER

    @property
    def ours(self) -> bool:
        """Tell whether lbctl made it, in this life of the kernel."""
        return self.flags & constants.IPVS_COOKIE_MASK == constants.IPVS_COOKIE


@dataclass(frozen=True, slots=True)
class RealServer:
    """One member behind one place."""

    place: Place
    address: Address
    port: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What turns the kernel's IPVS into what it should be."""

    servers: Delta[Place, VirtualServer]
    members: Delta[RealServer, int]
    """Weights."""
    known: frozenset[Place | RealServer] = frozenset()
    """Those of the upserts that are there with other contents."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command to the kernel."""

    verb: str
    """add, set or del."""
    place: Place
    server: VirtualServer | None = None
    """None: the command is about a member."""
    member: RealServer | None = None
    weight: int = DRAINED


def scheduler_of(frontend: Frontend) -> str:
    """Return the scheduler that a frontend asks for."""
    if frontend.affinity:
        return SCHEDULER
    return SCHEDULERS.get(frontend.algorithm, SCHEDULER)


def virtual_server(frontend: Frontend, without: Collection[str]) -> VirtualServer:
    """Return how a frontend chooses; by Maglev where it asks for a scheduler of `without`.

    With affinity the client's port does not count, so that the first choice is the same on every
    node; persistence keeps it while the members change.
    """
    scheduler = scheduler_of(frontend)
    if scheduler != SCHEDULER and scheduler not in without:
        return VirtualServer(constants.IPVS_COOKIE, scheduler=scheduler)
    if not frontend.affinity:
        return VirtualServer(CHOICE | BY_PORT)
    seconds = frontend.affinity_timeout_s
    return VirtualServer(CHOICE | (PERSISTENT if seconds else 0), seconds)


def real_servers(frontend: Frontend, here: Collection[Address]) -> dict[RealServer, int]:
    """Return a frontend's members with their weights: those whose addresses are reached."""
    weights = {member: member.weight for member in frontend.members}
    weights |= dict.fromkeys(frontend.lingering, DRAINED)
    return {
        _real(frontend.place, member): weight
        for member, weight in weights.items()
        if member.address in here
    }


def _real(place: Place, member: Member) -> RealServer:
    return RealServer(place, member.address, member.port)


def steps(changes: Changes) -> Iterator[Step]:
    """Yield the commands in an order in which no connection of a member that stays is lost.

    Who gets connections comes before those who get none any more: at no moment does a place that
    has members refuse. A place that goes takes its members with it.
    """
    for place, server in changes.servers.upserts.items():
        yield Step("set" if place in changes.known else "add", place, server)
    for member, weight in sorted(changes.members.upserts.items(), key=lambda item: -item[1]):
        verb = "set" if member in changes.known else "add"
        yield Step(verb, member.place, member=member, weight=weight)
    gone = changes.servers.deletes
    for member in changes.members.deletes:
        if member.place not in gone:
            yield Step("del", member.place, member=member)
    for place in gone:
        yield Step("del", place, VirtualServer(CHOICE))


_V4 = r"([0-9A-F]{8}):([0-9A-F]{4})"
_V6 = r"\[([0-9a-f:]{39})\]:([0-9A-F]{4})"
_SERVER = re.compile(rf"(TCP|UDP|SCTP) +(?:{_V4}|{_V6}) ")
_MEMBER = re.compile(rf"  -> (?:{_V4}|{_V6}) +(\w+) +(\d+) ")
_TRANSLATED = "Masq"


def parse_members(listing: str) -> dict[RealServer, int]:
    """Return the weights in /proc/net/ip_vs: all members of all places in one reading.

    Netlink would have to be asked for each place alone.
    """
    found: dict[RealServer, int] = {}
    place: Place | None = None
    for line in listing.splitlines():
        member = _MEMBER.match(line)
        if member is None:
            place = _place(line)
        elif place is not None:
            address, port = _endpoint(member)
            weight = int(member[6]) if member[5] == _TRANSLATED else FOREIGN_FORWARDING
            found[RealServer(place, address, port)] = weight
    return found


def _place(line: str) -> Place | None:
    """Return the place that a line begins; None for one that is chosen by a mark."""
    server = _SERVER.match(line)
    if server is None:
        return None
    groups = server.groups()
    address, port = _numbers(*groups[1:])
    return Place(address, groups[0], port)


def _endpoint(member: re.Match[str]) -> tuple[Address, int]:
    return _numbers(*member.groups()[:4])


def _numbers(four: str, port4: str, six: str, port6: str) -> tuple[Address, int]:
    if four:
        return ipaddress.IPv4Address(int(four, 16)), int(port4, 16)
    return ipaddress.IPv6Address(six), int(port6, 16)


def ours(
    servers: Mapping[Place, VirtualServer],
    members: Mapping[RealServer, int],
    known: Collection[Place],
) -> tuple[dict[Place, VirtualServer], dict[RealServer, int]]:
    """Return what lbctl made of what the kernel holds.

    That is what has our cookie, and what was at `known` places: an edit takes the cookie away.
    """
    made = {place: server for place, server in servers.items() if server.ours or place in known}
    return made, {member: weight for member, weight in members.items() if member.place in made}
