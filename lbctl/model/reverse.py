"""Names of addresses and the zones that they lie in (RFC 1035 §3.5, RFC 3596 §2.5). Pure.

Zones end where delegations do: at whole octets of IPv4 addresses, at whole hexadecimal digits of
IPv6 ones. So a /20 is sixteen zones of a /24 each, and a /26 lies in the zone of its /24, which
then denies the other three quarters (RFC 2317 has no place here: its aliases are the parent's).
"""

import ipaddress
from collections.abc import Iterable, Iterator

from lbctl.model.pool import AddressRange, address_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_STEP = {4: 8, 6: 4}
"""Bits of an address that one label stands for."""
_FINEST = {4: 24, 6: 124}
"""Prefix length of the smallest zones."""
_WHOLE = {4: 32, 6: 128}


def zones_of(ranges: Iterable[AddressRange]) -> tuple[str, ...]:
    """Return the zones, sorted, that hold the names of all those addresses.

    >>> from lbctl.model.pool import parse_range
    >>> zones_of([parse_range("198.18.0.0/15")])
    ('18.198.in-addr.arpa', '19.198.in-addr.arpa')
    """
    listed = list(ranges)
    return tuple(
        sorted(
            _origin(part)
            for family in _STEP
            for network in _networks([one for one in listed if one.family == family], family)
            for part in network.subnets(new_prefix=_boundary(network))
        )
    )


def _networks(ranges: list[AddressRange], family: int) -> Iterator[Network]:
    """Yield networks that hold all ranges, none smaller than a zone, none inside another."""
    below = _WHOLE[family] - _FINEST[family]
    found: list[Network] = []
    for one in ranges:
        first = address_of(family, int(one.first) >> below << below)
        last = address_of(family, int(one.last) | (1 << below) - 1)
        found.extend(ipaddress.summarize_address_range(first, last))
    yield from ipaddress.collapse_addresses(found)  # type: ignore[type-var]


def _boundary(network: Network) -> int:
    """Return the prefix length of the zones that make up a network."""
    step = _STEP[network.version]
    return max(step, -(-network.prefixlen // step) * step)


def _origin(network: Network) -> str:
    labels = network.network_address.reverse_pointer.split(".")
    surplus = (_WHOLE[network.version] - network.prefixlen) // _STEP[network.version]
    return ".".join(labels[surplus:])
