"""Which addresses a node reaches by itself, from its routes and its own addresses. Pure."""

import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbctl.model.virtual_service import Address


@dataclass(frozen=True, slots=True)
class PodRoutes:
    """Routes of the main table, by version, length of the prefix and network (as a number)."""

    networks: Mapping[tuple[int, int], Mapping[int, bool]] = field(default_factory=dict)
    """Whether a network is behind one of the node's own devices: no gateway, not the fabric; an
    address of the node itself is."""

    def lead_to(self, address: Address) -> bool:
        """Tell whether the longest prefix that holds an address is behind a device of ours."""
        number, bits = int(address), address.max_prefixlen
        for length in range(bits, -1, -1):
            found = self.networks.get((address.version, length))
            if found:
                ours = found.get(number >> (bits - length) if length else 0)
                if ours is not None:
                    return ours
        return False


def parse(
    listings: Mapping[int, str], fabric: Iterable[str], own: Iterable[Address] = ()
) -> PodRoutes:
    """Return the routes in `ip -j route show` of each version.

    `fabric` are devices that pods are never behind; `own` are addresses of the node, which pods of
    the host's network have, whatever device they are on.
    """
    outside = frozenset((*fabric, "lo"))
    networks: dict[tuple[int, int], dict[int, bool]] = {}
    for address in own:
        networks.setdefault((address.version, address.max_prefixlen), {})[int(address)] = True
    for version, listing in listings.items():
        for route in json.loads(listing) if listing.strip() else ():
            network = _network(route["dst"], version)
            bits = network.max_prefixlen - network.prefixlen
            ours = (
                route.get("type", "unicast") == "unicast"
                and not {"gateway", "via", "nexthops"} & route.keys()
                and route.get("dev") not in outside
            )
            key = (version, network.prefixlen)
            # Of several routes the first is the one with the least metric.
            networks.setdefault(key, {}).setdefault(int(network.network_address) >> bits, ours)
    return PodRoutes(networks)


def parse_own(listing: str) -> tuple[Address, ...]:
    """Return the addresses in `ip -j address show` that others can reach the node at."""
    return tuple(
        ipaddress.ip_address(entry["local"])
        for link in json.loads(listing)
        for entry in link.get("addr_info", ())
        if entry.get("scope") == "global" and "local" in entry
    )


def _network(text: str, version: int) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if text == "default":
        text = "0.0.0.0/0" if version == 4 else "::/0"
    return ipaddress.ip_network(text)
