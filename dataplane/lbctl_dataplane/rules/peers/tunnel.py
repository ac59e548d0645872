"""The tunnel to peers on other links: a VXLAN device that learns nothing, as values. Pure.

Who is behind it stands in neighbour and forwarding entries, written from the ServingNodes: a frame
goes to one peer, never to all.
"""

import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.peers.peering import Far

HEADERS = {4: 50, 6: 70}
"""Bytes that the tunnel adds to a packet, by the IP version it is carried in."""


@dataclass(frozen=True, slots=True)
class Device:
    """Our end of the tunnel."""

    mac: str
    local: Address
    """The leg that it sends from."""
    mtu: int


Entries = Mapping[tuple[str, str], str]
"""("neigh", ADDRESS) → MAC address, ("fdb", MAC address) → ADDRESS of the leg that carries it,
("route", ADDRESS of such a leg) → gateway."""
_PROTOCOL = constants.TUNNEL_ROUTE_PROTOCOL
ROUTES = ("route", "show", "proto", str(_PROTOCOL))
"""What `ip` is asked for; see `parse_entries`."""


def device(mac: str, local: Address, link_mtu: int) -> Device:
    """Return the device for a service interface of that MTU."""
    return Device(mac, local, link_mtu - HEADERS[local.version])


@dataclass(frozen=True, slots=True)
class Found:
    """What has the device's name."""

    there: bool
    device: Device | None = None
    """None where it is not as we make it."""
    index: int = 0
    """The number of the interface."""


def render(wanted: Device, found: Found) -> str:
    """Return the lines for `ip -batch` that make the device what it should be."""
    name = constants.TUNNEL_DEVICE
    if wanted == found.device:
        return ""
    if found.device is not None and found.device.local == wanted.local:
        return f"link set {name} address {wanted.mac} mtu {wanted.mtu}\n"
    lines = [f"link del {name}\n"] if found.there else []
    lines.append(
        f"link add {name} address {wanted.mac} mtu {wanted.mtu} type vxlan "
        f"id {constants.TUNNEL_ID} dstport {constants.TUNNEL_PORT} local {wanted.local} "
        "nolearning\n"
    )
    lines += [f"link set {name} addrgenmode none\n", f"link set {name} up\n"]
    return "".join(lines)


def parse(listing: str) -> Found:
    """Return what stands in the JSON of `ip -d -j link show`."""
    for entry in _objects(listing):
        if entry.get("ifname") == constants.TUNNEL_DEVICE:
            return Found(there=True, device=_device(entry), index=int(entry["ifindex"]))
    return Found(there=False)


def _device(entry: Mapping[str, Any]) -> Device | None:
    given = (entry.get("linkinfo") or {}).get("info_data") or {}
    local = given.get("local") or given.get("local6")
    numbers = (given.get("id"), given.get("port"))
    if numbers != (constants.TUNNEL_ID, constants.TUNNEL_PORT) or not local:
        return None
    if "UP" not in entry.get("flags", ()):
        return None
    return Device(entry.get("address", ""), ipaddress.ip_address(local), entry["mtu"])


def entries(peers: Iterable[Far], gateways: Iterable[Address] = ()) -> Entries:
    """Return what it takes to send to these; by the gateways of our legs, where they have some."""
    found: dict[tuple[str, str], str] = {}
    by_version = {gateway.version: str(gateway) for gateway in gateways}
    for peer in peers:
        found["fdb", peer.mac] = str(peer.underlay)
        if peer.underlay.version in by_version:
            found["route", str(peer.underlay)] = by_version[peer.underlay.version]
        found.update({("neigh", str(leg)): peer.mac for leg in peer.legs})
    return found


def parse_entries(neighbours: Iterable[str], forwarding: str, routes: Iterable[str]) -> Entries:
    """Return what there is, from the JSON of `ip` (each version) and of `bridge fdb show`."""
    found: dict[tuple[str, str], str] = {}
    for listing in neighbours:
        for entry in _objects(listing):
            if "PERMANENT" in entry.get("state", ()):
                found["neigh", str(ipaddress.ip_address(entry["dst"]))] = entry.get("lladdr", "")
    for entry in _objects(forwarding):
        if entry.get("dst"):
            found["fdb", entry["mac"]] = str(ipaddress.ip_address(entry["dst"]))
    for listing in routes:
        for entry in _objects(listing):
            found["route", entry["dst"]] = entry.get("gateway", "")
    return found


def commands(wanted: Entries, found: Entries, interface: str) -> dict[str, str]:
    """Return the lines that turn the one into the other.

    By kind: `neigh` and `route` for `ip -batch`, `fdb` for `bridge -batch`.
    """
    lines: dict[str, list[str]] = {"route": [], "neigh": [], "fdb": []}
    for kind, key in sorted(found.keys() - wanted.keys()):
        lines[kind].append(f"{kind} del {_entry(kind, key, found[kind, key], interface)}\n")
    for kind, key in sorted(wanted):
        value = wanted[kind, key]
        if found.get((kind, key)) != value:
            lines[kind].append(f"{kind} replace {_entry(kind, key, value, interface)}\n")
    return {kind: "".join(found) for kind, found in lines.items()}


def _entry(kind: str, key: str, value: str, interface: str) -> str:
    if kind == "route":
        return f"{key} via {value} dev {interface} proto {_PROTOCOL} onlink"
    device = f"{key} dev {constants.TUNNEL_DEVICE}"
    return f"{device} dst {value}" if kind == "fdb" else f"{device} lladdr {value} nud permanent"


def _objects(listing: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(listing) if listing.strip() else []
    return [entry for entry in found if entry]
