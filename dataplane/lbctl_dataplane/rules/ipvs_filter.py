"""The nftables table beside IPVS: who may connect, and what else of a VIP is reached. Pure.

IPVS takes packets at the hook `input`, so a VIP is an address of the node. Without this table its
other ports would lead to the node's own daemons, and kube-proxy, which translates earlier, would
take VIP traffic for itself: a connection whose destination was translated once, be it to itself,
is translated by nobody else.
"""

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.delta import Delta
from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.frontend import Frontend, Place
from lbctl_dataplane.rules.ipvs import PROTOCOLS

TABLE = f"inet {constants.IPVS_TABLE}"
_ELEMENTS_A_LINE = 500


@dataclass(frozen=True, slots=True, order=True)
class Element:
    """One element of a set."""

    home: str
    key: str


@dataclass(frozen=True, slots=True)
class Filter:
    """What the kernel's table holds."""

    rules: tuple[str, ...]
    """Their numbers, in order."""
    elements: frozenset[Element]


def elements(frontend: Frontend) -> dict[Element, str]:
    """Return what a frontend needs in the table's sets."""
    version, place = frontend.place.vip.version, _key(frontend.place)
    found = [Element(f"places{version}", place), vip_element(frontend.place.vip)]
    if not frontend.open_to_all:
        found.append(Element(f"limited{version}", place))
        found += [
            Element(f"allowed{version}", f"{place} . {_range(text)}")
            for text in frontend.source_ranges
        ]
    return dict.fromkeys(found, "")


def vip_element(vip: Address) -> Element:
    """Return the element that says that an address is a VIP here."""
    return Element(f"vips{vip.version}", str(vip))


def _key(place: Place) -> str:
    return f"{place.vip} . {PROTOCOLS[place.protocol]} . {place.port}"


def _range(text: str) -> str:
    """Return a network as nft prints it: a single address without its length."""
    network = ipaddress.ip_network(text)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def sets() -> dict[str, str]:
    """Return how each set is made."""
    found: dict[str, str] = {}
    for version, address in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        place = f"{address} . inet_proto . inet_service"
        found[f"vips{version}"] = f"type {address};"
        found[f"places{version}"] = f"type {place};"
        found[f"limited{version}"] = f"type {place};"
        found[f"allowed{version}"] = f"type {place} . {address}; flags interval;"
    return found


def rules(device: str) -> tuple[tuple[str, str], ...]:
    """Return the rules with their chains, chain by chain; VIP traffic enters by `device`."""
    found = [rule for version in (4, 6) for rule in _rules(version, device)]
    return tuple(sorted(found, key=lambda rule: rule[0]))


def _rules(version: int, device: str) -> Iterator[tuple[str, str]]:
    ip, icmp = ("ip", "icmp") if version == 4 else ("ip6", "icmpv6")
    place = f"{ip} daddr . meta l4proto . th dport"
    yield "entry", f'iifname "{device}" {place} @places{version} dnat {ip} to {ip} daddr'
    yield "input", f"{place} @limited{version} {place} . {ip} saddr != @allowed{version} drop"
    elsewhere = f"{ip} daddr @vips{version} {place} != @places{version}"
    yield "input", f"meta l4proto 6 {elsewhere} reject with tcp reset"
    yield "input", f"meta l4proto != {icmp} {elsewhere} reject"


def numbers(device: str) -> tuple[str, ...]:
    """Return what `parse` finds for the rules of a table that is as it should be."""
    return tuple(f"{chain}-{number}" for number, (chain, _) in enumerate(rules(device)))


def render_frame(device: str) -> str:
    """Return the transaction that replaces whatever table of ours there is by an empty one."""
    # Adding first makes the deletion work whether or not there is a table.
    lines = [f"add table {TABLE}", f"delete table {TABLE}", f"add table {TABLE}"]
    lines += [f"add set {TABLE} {name} {{ {form} }}" for name, form in sets().items()]
    hooks = {"entry": f"nat hook prerouting priority {constants.NODE_HOOK}"}
    hooks["input"] = "filter hook input priority 0"
    lines += [f"add chain {TABLE} {name} {{ type {hook}; }}" for name, hook in hooks.items()]
    for number, (chain, rule) in zip(numbers(device), rules(device), strict=True):
        lines.append(f'add rule {TABLE} {chain} {rule} comment "{number}"')
    return "\n".join(lines) + "\n"


def render(change: Delta[Element, str]) -> str:
    """Return the commands of a transaction that makes a change; empty when there is none."""
    lines = [*_commands("delete", change.deletes), *_commands("add", change.upserts)]
    return "".join(f"{line}\n" for line in lines)


def _commands(verb: str, wanted: Iterable[Element]) -> Iterator[str]:
    by_home: dict[str, list[str]] = {}
    for element in sorted(wanted):
        by_home.setdefault(element.home, []).append(element.key)
    for home, keys in by_home.items():
        for start in range(0, len(keys), _ELEMENTS_A_LINE):
            listed = ", ".join(keys[start : start + _ELEMENTS_A_LINE])
            yield f"{verb} element {TABLE} {home} {{ {listed} }}"


def parse(listing: str) -> Filter:
    """Return the table in the JSON of `nft -j --numeric-protocol list table`."""
    objects = json.loads(listing).get("nftables", []) if listing.strip() else []
    made = tuple(entry["rule"].get("comment", "") for entry in objects if "rule" in entry)
    found = (
        Element(entry["set"]["name"], " . ".join(map(_text, _parts(element))))
        for entry in objects
        if "set" in entry
        for element in entry["set"].get("elem", ())
    )
    return Filter(made, frozenset(found))


def _parts(element: Any) -> list[Any]:
    return element["concat"] if isinstance(element, Mapping) else [element]


def _text(part: Any) -> str:
    if isinstance(part, Mapping):
        prefix = part["prefix"]
        return f"{prefix['addr']}/{prefix['len']}"
    return str(part)
