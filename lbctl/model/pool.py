"""Address ranges, pools and whom a pool serves. Pure."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from lbctl.model.reasons import Refused
from lbctl.model.selector import Selector
from lbctl.model.virtual_service import Address


@dataclass(frozen=True, slots=True)
class AddressRange:
    """All addresses of one family from `first` to `last`, both included."""

    first: Address
    last: Address

    def __contains__(self, address: Address) -> bool:
        """Tell whether an address of either family lies in the range."""
        same = address.version == self.first.version
        return same and int(self.first) <= int(address) <= int(self.last)

    @property
    def family(self) -> int:
        """Return 4 or 6."""
        return self.first.version


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an address is for, as fences see it."""

    namespace: str
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the Service."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Whom a pool serves: a namespace named or selected, and a Service selected; empty: all."""

    namespaces: frozenset[str] = frozenset()
    namespace_selectors: tuple[Selector, ...] = ()
    service_selectors: tuple[Selector, ...] = ()
    exclusive: bool = False
    """Services that it selects get addresses from pools that select them and nowhere else."""

    @property
    def is_open(self) -> bool:
        """Tell whether it selects nobody in particular, and so serves everybody."""
        return not (self.namespaces or self.namespace_selectors or self.service_selectors)

    def selects(self, subject: Subject) -> bool:
        """Tell whether it names or selects a Service; an open one selects nobody."""
        if self.is_open:
            return False
        anywhere = not (self.namespaces or self.namespace_selectors)
        place = (
            anywhere
            or subject.namespace in self.namespaces
            or any(entry.selects(subject.namespace_labels) for entry in self.namespace_selectors)
        )
        return place and (
            not self.service_selectors
            or any(entry.selects(subject.labels) for entry in self.service_selectors)
        )


OPEN = Fence()


@dataclass(frozen=True, slots=True)
class AddressPool:
    """Ranges under one name, and the rules by which their addresses are given."""

    name: str
    ranges: tuple[AddressRange, ...]
    """Given automatically and on request: lowest first, in the order of the ranges."""
    static: tuple[AddressRange, ...] = ()
    """Given on request of the address only, also where `ranges` have them too."""
    reserved: tuple[AddressRange, ...] = ()
    """Never given."""
    priority: int = 100
    """Pools of lower priority are tried first, equal ones by name."""
    auto_assign: bool = True
    """Else only by request of an address or of the pool."""
    avoid_buggy: bool = False
    """Never give IPv4 addresses that end in .0 or .255."""
    reuse_delay_s: int = 0
    """For so long an address that was given back is only for the Service that had it."""
    fence: Fence = OPEN
    external: bool = False
    """An IPAM outside of lbctl chooses among its addresses."""

    @property
    def given(self) -> tuple[AddressRange, ...]:
        """Return all ranges that addresses are given from, in whatever way."""
        return (*self.ranges, *self.static)

    def bars(self, address: Address) -> bool:
        """Tell whether an address is never given, though a range has it."""
        if self.avoid_buggy and is_buggy(address):
            return True
        return any(address in entry for entry in self.reserved)


@dataclass(frozen=True, slots=True)
class DeclaredPool:
    """An AddressPool object: what it asks for, or what is wrong with it."""

    name: str
    created: str
    """creationTimestamp: the older of two that overlap counts."""
    pool: AddressPool | Refused
    accepted: AddressPool | None = None
    """What it gave addresses by when it was last looked at; None: it gave none."""


def address_of(family: int, number: int) -> Address:
    """Return the address of a number."""
    return ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address(number)


def is_buggy(address: Address) -> bool:
    """Tell whether careless firmware takes an address for a network's or for broadcast."""
    return address.version == 4 and int(address) & 0xFF in (0, 255)


def overlap(one: AddressPool, other: AddressPool) -> str:
    """Return in words what two pools both have; empty when they have nothing in common."""
    for mine in one.given:
        for theirs in other.given:
            first = max(int(mine.first), int(theirs.first))
            last = min(int(mine.last), int(theirs.last))
            if mine.family == theirs.family and first <= last:
                low, high = (address_of(mine.family, number) for number in (first, last))
                return f"{low}-{high} is in pool {other.name} too"
    return ""


def parse_range(text: str) -> AddressRange:
    """Return the range of a CIDR or of `first-last`.

    A CIDR stands for its host addresses: without network and broadcast address for IPv4 up to
    /30, without the subnet-router anycast address (RFC 4291 §2.6.1) for IPv6 up to /126. Who wants
    those too writes `first-last`. Raises ValueError.

    >>> parse_range("192.0.2.0/24")
    AddressRange(first=IPv4Address('192.0.2.1'), last=IPv4Address('192.0.2.254'))
    """
    whole = parse_block(text)
    hosts = int(whole.last) - int(whole.first) + 1
    if "-" in text or hosts < 4:
        return whole
    return AddressRange(whole.first + 1, whole.last - (1 if whole.family == 4 else 0))


def parse_block(text: str) -> AddressRange:
    """Return every address of a CIDR, or of `first-last`. Raises ValueError.

    >>> parse_block("192.0.2.0/28")
    AddressRange(first=IPv4Address('192.0.2.0'), last=IPv4Address('192.0.2.15'))
    """
    first_text, dash, last_text = text.partition("-")
    if not dash:
        network = ipaddress.ip_network(text.strip())
        return AddressRange(network[0], network[-1])
    first = ipaddress.ip_address(first_text.strip())
    last = ipaddress.ip_address(last_text.strip())
    if first.version != last.version or int(first) > int(last):
        raise ValueError(f"{text}: not a range from a lower to a higher address")
    return AddressRange(first, last)
