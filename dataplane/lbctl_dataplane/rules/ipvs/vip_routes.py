"""VIPs as addresses of a node: routes by which its kernel takes their packets. Pure.

A route says it without an interface of its own, and carries our protocol number, by which we know
ours after a restart.
"""

import ipaddress
import json
from collections.abc import Iterable

from lbctl.delta import Delta
from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import constants

_PROTOCOL = str(constants.ROUTE_PROTOCOL)
_WHERE = f"dev lo table local proto {_PROTOCOL}"
LISTING = ("route", "show", "table", "local", "proto", _PROTOCOL)
"""What `ip` is asked for; see `parse`."""


def parse(listing: str) -> dict[Address, str]:
    """Return the VIPs in the JSON that `ip -j` lists for one IP version."""
    routes = json.loads(listing) if listing.strip() else []
    found = (route["dst"] for route in routes if route.get("type") == "local")
    return {ipaddress.ip_address(text): "" for text in found if "/" not in text}


def render(change: Delta[Address, str], version: int) -> str:
    """Return the lines for `ip -batch` that make a change for one IP version."""
    lines = [f"route replace local {vip} {_WHERE}\n" for vip in _of(change.upserts, version)]
    lines += [f"route del local {vip} {_WHERE}\n" for vip in _of(change.deletes, version)]
    return "".join(lines)


def _of(vips: Iterable[Address], version: int) -> list[Address]:
    return sorted((vip for vip in vips if vip.version == version), key=int)
