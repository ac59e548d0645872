"""Routes, rules and neighbours of a router: one table per leg, nowhere for the rest. Pure."""

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl import delta
from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.router.legs import LegAddress

_PROTOCOL = str(constants.ROUTE_PROTOCOL)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What makes an entry one and the same."""

    version: int
    """4 or 6."""
    kind: str
    """`route`, `rule`, `neigh` or `reject`."""
    name: str
    """Leg number (route, rule), address (reject), or address and device (neigh)."""


Entries = Mapping[Key, str]
"""The changeable part by key: next hop and device, mark, or MAC address; empty for a reject."""


@dataclass(frozen=True, slots=True)
class Link:
    """A network that the router is on, and the device to it."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    device: str


def device_to(address: Address, links: Iterable[Link]) -> str:
    """Return the device on whose network an address is; empty when there is none."""
    fitting = [link for link in links if address in link.network]
    best = max(fitting, key=lambda link: link.network.prefixlen, default=None)
    return best.device if best else ""


def reject(vip: Address) -> Key:
    """Return the refusal of a VIP.

    Without it a VIP that nobody serves would follow a default route, and could come back.
    """
    return Key(vip.version, "reject", str(vip))


def ways(legs: Mapping[int, Iterable[LegAddress]], links: Iterable[Link]) -> dict[Key, str]:
    """Return the ways to legs; a leg on no network of the router is left out."""
    known = tuple(links)
    entries: dict[Key, str] = {}
    for number, addresses in legs.items():
        for leg in addresses:
            device = device_to(leg.address, known)
            if device:
                entries.update(_leg(number, leg, device))
    return entries


def _leg(number: int, leg: LegAddress, device: str) -> Iterator[tuple[Key, str]]:
    version = leg.address.version
    yield Key(version, "route", str(number)), f"via {leg.address} dev {device}"
    yield Key(version, "rule", str(number)), f"fwmark {constants.LEG_MARK + number:#x}"
    if leg.mac:
        yield Key(version, "neigh", f"{leg.address} dev {device}"), leg.mac


def render_upserts(change: delta.Delta[Key, str], version: int) -> str:
    """Return the lines of `ip -batch` that add or replace: next hops before what points at them."""
    order = {"neigh": 0, "route": 1, "rule": 2, "reject": 3}
    entries = [(key, value) for key, value in change.upserts.items() if key.version == version]
    entries.sort(key=lambda entry: (order[entry[0].kind], entry[0].name))
    return _lines(_upsert(key, value) for key, value in entries)


def render_deletes(change: delta.Delta[Key, str], version: int) -> str:
    """Return the lines of `ip -batch` that delete, in the reverse order."""
    order = {"reject": 0, "rule": 1, "route": 2, "neigh": 3}
    keys = [key for key in change.deletes if key.version == version]
    keys.sort(key=lambda key: (order[key.kind], key.name))
    return _lines(_delete(key) for key in keys)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _upsert(key: Key, value: str) -> str:
    if key.kind == "route":
        return f"route replace default {value} table {_table(key)} proto {_PROTOCOL}"
    if key.kind == "rule":
        return f"rule add {value} lookup {_table(key)} pref {_table(key)} protocol {_PROTOCOL}"
    if key.kind == "neigh":
        return f"neigh replace {key.name} lladdr {value} nud permanent protocol {_PROTOCOL}"
    return f"route replace unreachable {key.name} proto {_PROTOCOL}"


def _delete(key: Key) -> str:
    if key.kind == "route":
        return f"route del default table {_table(key)} proto {_PROTOCOL}"
    if key.kind == "rule":
        return f"rule del pref {_table(key)} lookup {_table(key)} protocol {_PROTOCOL}"
    if key.kind == "neigh":
        return f"neigh del {key.name}"
    return f"route del unreachable {key.name} proto {_PROTOCOL}"


def _table(key: Key) -> int:
    return constants.LEG_TABLE + int(key.name)


def parse(version: int, routes: str, rules: str, neighbours: str) -> dict[Key, str]:
    """Return ours out of the JSON that `ip -j` lists for one IP version."""
    found: dict[Key, str] = {}
    for route in _objects(routes):
        found.update(_parse_route(version, route))
    for rule in _objects(rules):
        number = _leg_number(rule.get("table"))
        if rule.get("protocol") == _PROTOCOL and number:
            found[Key(version, "rule", str(number))] = f"fwmark {rule.get('fwmark')}"
    for entry in _objects(neighbours):
        if entry.get("protocol") == _PROTOCOL:
            name = f"{entry['dst']} dev {entry['dev']}"
            found[Key(version, "neigh", name)] = entry.get("lladdr", "")
    return found


def _objects(listing: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(listing) if listing.strip() else []
    return [entry for entry in found if entry]


def _parse_route(version: int, route: Mapping[str, Any]) -> Iterator[tuple[Key, str]]:
    number = _leg_number(route.get("table"))
    if number and route["dst"] == "default":
        value = f"via {route.get('gateway')} dev {route.get('dev')}"
        yield Key(version, "route", str(number)), value
    elif route.get("type") == "unreachable" and "table" not in route:
        yield Key(version, "reject", route["dst"]), ""


def _leg_number(table: object) -> int:
    number = int(table) - constants.LEG_TABLE if str(table).isdigit() else 0  # type: ignore[call-overload]
    return number if 0 < number <= constants.MAX_LEGS else 0


def leg_addresses(entries: Entries) -> dict[int, frozenset[Address]]:
    """Return the next hops by leg number."""
    found: dict[int, set[Address]] = {}
    for key, value in entries.items():
        if key.kind == "route":
            hop = ipaddress.ip_address(value.split()[1])
            found.setdefault(int(key.name), set()).add(hop)
    return {number: frozenset(hops) for number, hops in found.items()}


def parse_links(listing: str) -> tuple[Link, ...]:
    """Return the networks in the JSON of `ip -j address show`."""
    links: list[Link] = []
    for device in _objects(listing):
        for entry in device.get("addr_info", ()):
            if entry.get("local") and entry.get("scope") == "global":
                text = f"{entry['local']}/{entry['prefixlen']}"
                network = ipaddress.ip_network(text, strict=False)
                links.append(Link(network, device["ifname"]))
    return tuple(links)
