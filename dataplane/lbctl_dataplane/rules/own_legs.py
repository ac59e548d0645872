"""Which addresses are a node's service legs: parsed, checked, kept where in doubt. Pure."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from lbctl.model import names
from lbctl.model.virtual_service import Address

ANNOTATION = names.LEGS_ANNOTATION
"""On a Node: its legs, comma separated."""
_VIA = " via "
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class OwnLeg:
    """An address of the service interface, and the fabric's router beside it."""

    address: Address
    gateway: Address | None = None
    """Where answers go; None: by the node's own routes."""
    network: Network | None = None
    """Of its link, where that is said."""

    def __str__(self) -> str:
        """Return what `parse` reads."""
        length = f"/{self.network.prefixlen}" if self.network else ""
        gateway = f"{_VIA}{self.gateway}" if self.gateway else ""
        return f"{self.address}{length}{gateway}"


def parse(text: str) -> OwnLeg:
    """Return a leg as people write it. Raises ValueError that says what is wrong.

    >>> str(parse("10.1.0.2 via 10.1.0.1"))
    '10.1.0.2 via 10.1.0.1'
    """
    own, *named = text.split(_VIA, 1)
    address, _, length = own.partition("/")
    leg = OwnLeg(
        _address(address),
        _address(named[0]) if named else None,
        _network(own.strip()) if length else None,
    )
    if leg.gateway and leg.gateway.version != leg.address.version:
        raise ValueError(f"{text!r} mixes IPv4 and IPv6")
    return leg


def _address(text: str) -> Address:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError as error:
        raise ValueError(f"{text.strip()!r} is not an IP address") from error


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_interface(text).network
    except ValueError as error:
        raise ValueError(f"{text!r} is not an IP address with the length of its link") from error


@dataclass(frozen=True, slots=True)
class Reading:
    """What one place says about the legs."""

    legs: tuple[OwnLeg, ...]
    """IPv4 first; at most one per family."""
    faults: tuple[str, ...]


def read(texts: Iterable[str], place: str, networks: tuple[str, ...]) -> Reading:
    """Return the legs in `texts`; `place` names where they stand, `networks` where they may lie.

    Without networks a leg may lie anywhere.
    """
    faults: list[str] = []
    by_family: dict[int, list[OwnLeg]] = {4: [], 6: []}
    for text in filter(None, map(str.strip, texts)):
        try:
            leg = parse(text)
        except ValueError as error:
            faults.append(f"{place}: {error}")
            continue
        if _lies_in(leg.address, networks):
            by_family[leg.address.version].append(leg)
        else:
            faults.append(
                f"{place}: leg {leg.address} lies in no network of NetworkSettings.nodeNetworkList "
                f"({', '.join(networks)}); correct one of the two"
            )
    for family, found in by_family.items():
        if len(found) > 1:
            listed = ", ".join(map(str, found))
            faults.append(f"{place}: {listed}: more than one leg of IPv{family}; leave one")
    legs = tuple(found[0] for found in by_family.values() if len(found) == 1)
    return Reading(legs, tuple(faults))


def in_force(found: Reading, last: tuple[OwnLeg, ...]) -> tuple[OwnLeg, ...]:
    """Return the legs to use; for a family that a fault may be about, the `last` one goes on.

    A leg that is taken back costs its connections: a slip of the pen must not do that.
    """
    given = {leg.address.version for leg in found.legs}
    kept = [leg for leg in last if found.faults and leg.address.version not in given]
    return tuple(sorted((*found.legs, *kept), key=lambda leg: leg.address.version))


def _lies_in(address: Address, networks: tuple[str, ...]) -> bool:
    return not networks or any(address in ipaddress.ip_network(network) for network in networks)
