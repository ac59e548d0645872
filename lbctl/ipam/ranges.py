"""Address ranges and pools. Pure."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

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
class AddressPool:
    """Ranges under one name; addresses are given lowest first, in the order of the ranges."""

    name: str
    ranges: tuple[AddressRange, ...]


def parse_range(text: str) -> AddressRange:
    """Return the range of a CIDR or of `first-last`.

    A CIDR stands for its host addresses: without network and broadcast address for IPv4 up to
    /30, without the subnet-router anycast address (RFC 4291 §2.6.1) for IPv6 up to /126. Who wants
    those too writes `first-last`. Raises ValueError.

    >>> parse_range("192.0.2.0/24")
    AddressRange(first=IPv4Address('192.0.2.1'), last=IPv4Address('192.0.2.254'))
    """
    first_text, dash, last_text = text.partition("-")
    if dash:
        first = ipaddress.ip_address(first_text.strip())
        last = ipaddress.ip_address(last_text.strip())
        if first.version != last.version or int(first) > int(last):
            raise ValueError(f"{text}: not a range from a lower to a higher address")
        return AddressRange(first, last)
    return _hosts(ipaddress.ip_network(text.strip()))


def parse_pool(name: str, addresses: Sequence[str]) -> AddressPool:
    """Return the pool of those CIDRs and ranges. Raises ValueError."""
    return AddressPool(name, tuple(parse_range(text) for text in addresses))


def _hosts(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> AddressRange:
    if network.num_addresses < 4:
        return AddressRange(network[0], network[-1])
    return AddressRange(network[1], network[-2] if network.version == 4 else network[-1])
