"""Which addresses are a node's service legs: parsed, checked, kept where in doubt. Pure."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from lbctl.model import names
from lbctl.model.virtual_service import Address

ANNOTATION = names.LEGS_ANNOTATION
"""On a Node: its legs, comma separated."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one place says about the legs."""

    legs: tuple[Address, ...]
    """IPv4 first; at most one per family."""
    faults: tuple[str, ...]


def read(texts: Iterable[str], place: str, networks: tuple[str, ...]) -> Reading:
    """Return the legs in `texts`; `place` names where they stand, `networks` where they may lie.

    Without networks a leg may lie anywhere.
    """
    faults: list[str] = []
    by_family: dict[int, list[Address]] = {4: [], 6: []}
    for text in filter(None, map(str.strip, texts)):
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            faults.append(f"{place}: {text!r} is not an IP address")
            continue
        if _lies_in(address, networks):
            by_family[address.version].append(address)
        else:
            faults.append(
                f"{place}: leg {address} lies in no network of NetworkSettings.nodeNetworkList "
                f"({', '.join(networks)}); correct one of the two"
            )
    for family, found in by_family.items():
        if len(found) > 1:
            listed = ", ".join(map(str, found))
            faults.append(f"{place}: {listed}: more than one leg of IPv{family}; leave one")
    legs = tuple(found[0] for found in by_family.values() if len(found) == 1)
    return Reading(legs, tuple(faults))


def in_force(found: Reading, last: tuple[Address, ...]) -> tuple[Address, ...]:
    """Return the legs to use; for a family that a fault may be about, the `last` one goes on.

    A leg that is taken back costs its connections: a slip of the pen must not do that.
    """
    given = {leg.version for leg in found.legs}
    kept = [leg for leg in last if found.faults and leg.version not in given]
    return tuple(sorted((*found.legs, *kept), key=lambda leg: leg.version))


def _lies_in(address: Address, networks: tuple[str, ...]) -> bool:
    return not networks or any(address in ipaddress.ip_network(network) for network in networks)
