"""By which way a node's answers go back: one route and one rule for each family. Pure.

A connection that entered by a VIP carries a mark; its answers take that mark along, and a rule
leads what has it to a table of its own, in which everything is behind the fabric's router.
"""

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.delta import Delta
from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import constants

_TABLE, _PROTOCOL = str(constants.RETURN_TABLE), str(constants.ROUTE_PROTOCOL)
_RULE = f"fwmark {constants.NODE_MARK:#x}/{constants.NODE_MARK_MASK:#x}"
LISTINGS = (("rule", "show"), ("route", "show", "table", "all", "proto", _PROTOCOL))
"""What `ip -j` is asked for each IP version, in the order of `parse`."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A rule or a route of one IP version; there is at most one of each."""

    version: int
    kind: str
    """`route` or `rule`."""


Entries = Mapping[Entry, str]
"""Next hop and device of a route, what a rule asks for; as `ip` writes them."""


def wanted(gateways: Iterable[Address], device: str) -> dict[Entry, str]:
    """Return what leads answers to the gateways, by the service interface."""
    found: dict[Entry, str] = {}
    for gateway in gateways:
        found[Entry(gateway.version, "route")] = f"via {gateway} dev {device}"
        found[Entry(gateway.version, "rule")] = _RULE
    return found


def parse(version: int, rules: str, routes: str) -> dict[Entry, str]:
    """Return ours out of the JSON that `ip -j` lists for one IP version."""
    found: dict[Entry, str] = {}
    for rule in _objects(rules):
        if (rule.get("priority"), rule.get("protocol")) == (constants.RETURN_TABLE, _PROTOCOL):
            asked = f"fwmark {rule.get('fwmark')}/{rule.get('fwmask')}"
            leads = rule.get("table") == _TABLE
            found[Entry(version, "rule")] = asked if leads else f"{asked}, elsewhere"
    for route in _objects(routes):
        if route.get("table") == _TABLE and route["dst"] == "default":
            way = f"via {_hop(route.get('gateway'))} dev {route.get('dev')}"
            found[Entry(version, "route")] = way
    return found


def _objects(listing: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(listing) if listing.strip() else []
    return [entry for entry in found if entry]


def _hop(text: object) -> str:
    return str(ipaddress.ip_address(str(text))) if text else ""


def render(change: Delta[Entry, str], observed: Entries, version: int) -> str:
    """Return the lines for `ip -batch` that make a change for one IP version.

    A route comes before the rule that leads to it and goes after it.
    """
    return "".join(f"{line}\n" for line in _lines(change, observed, version))


def _lines(change: Delta[Entry, str], observed: Entries, version: int) -> Iterator[str]:
    route, rule = Entry(version, "route"), Entry(version, "rule")
    if route in change.upserts:
        # The gateway need not be on a network of the interface's: legs may be single addresses.
        way = f"{change.upserts[route]} onlink"
        yield f"route replace default {way} table {_TABLE} proto {_PROTOCOL}"
    if rule in observed and (rule in change.upserts or rule in change.deletes):
        yield f"rule del pref {_TABLE} protocol {_PROTOCOL}"
    if rule in change.upserts:
        asked = change.upserts[rule]
        yield f"rule add {asked} lookup {_TABLE} pref {_TABLE} protocol {_PROTOCOL}"
    if route in change.deletes:
        yield f"route del default table {_TABLE} proto {_PROTOCOL}"
