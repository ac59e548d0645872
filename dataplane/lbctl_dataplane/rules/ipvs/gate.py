"""The nftables table beside IPVS: who may connect, and what else of a VIP is reached. Pure.

IPVS takes packets at the hook `input`, so a VIP is an address of the node. Without this table its
other ports would lead to the node's own daemons, and kube-proxy, which translates earlier, would
take VIP traffic for itself: a connection whose destination was translated once, be it to itself,
is translated by nobody else.
"""

import ipaddress
from collections.abc import Iterator

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.nft import layout, limits
from lbctl_dataplane.rules.nft.layout import VERSIONS
from lbctl_dataplane.rules.tables import places
from lbctl_dataplane.rules.tables.elements import Element, Elements, Table


def elements(frontend: Frontend) -> Elements:
    """Return what a frontend needs in the table's sets."""
    version, place = frontend.place.vip.version, layout.place_key(frontend.place)
    if not frontend.all_members:
        return {Element(f"vacant{version}", place): ()} if frontend.vacant else {}
    found = [Element(f"places{version}", place), vip_element(frontend.place.vip)]
    if not frontend.open_to_all:
        found.append(Element(f"limited{version}", place))
        found += [
            Element(f"allowed{version}", f"{place} . {_range(text)}")
            for text in frontend.source_ranges
        ]
    return {**dict.fromkeys(found, ()), **limits.elements(frontend.limits, version, place)}


def vip_element(vip: Address) -> Element:
    """Return the element that says that an address is a VIP here."""
    return Element(f"vips{vip.version}", str(vip))


def _range(text: str) -> str:
    """Return a network as nft prints it: a single address without its length."""
    network = ipaddress.ip_network(text)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def table(device: str, *, answer_pings: bool) -> Table:
    """Return the table without elements; VIP traffic enters by `device`.

    A VIP is an address of the node while it has members, so pings are answered unless they are
    kept off.
    """
    found = [rule for version in VERSIONS for rule in _rules(version, device)]
    if not answer_pings:
        found += [("input", f"{_ping(v)} daddr @vips{v} drop") for v in VERSIONS]
    found += [(layout.OVER, rule) for rule in _OVER]
    hooks = {
        layout.OVER: "",
        "entry": f"type nat hook prerouting priority {constants.NODE_HOOK}",
        "input": "type filter hook input priority 0",
    }
    chains = {
        name: (hook, tuple(rule for chain, rule in found if chain == name))
        for name, hook in hooks.items()
    }
    return Table(
        f"inet {constants.IPVS_TABLE}",
        dict(_homes()),
        chains,
        records=frozenset(f"{limits.CLIENTS}{version}" for version in VERSIONS),
        limited=frozenset(f"{home}{version}" for home in limits.HOMES for version in VERSIONS),
        meters=dict(limits.meters(version, layout.OVER) for version in VERSIONS),
        counter=layout.OVER,
    )


_OVER = (f"counter name {layout.OVER}", "meta l4proto 6 reject with tcp reset", "reject")


def _homes() -> Iterator[tuple[str, str]]:
    for version in VERSIONS:
        address = f"ipv{version}_addr"
        place = places.types(version)
        yield f"vips{version}", f"set {{}} {{{{ type {address}; }}}}"
        for name in ("places", "vacant", "limited"):
            yield f"{name}{version}", f"set {{}} {{{{ type {place}; }}}}"
        yield from limits.homes(version)
        sources = f"type {place} . {address}; flags interval"
        yield f"allowed{version}", f"set {{}} {{{{ {sources}; }}}}"


def _ping(version: int) -> str:
    return "icmp type echo-request ip" if version == 4 else "icmpv6 type echo-request ip6"


def _rules(version: int, device: str) -> Iterator[tuple[str, str]]:
    ip, icmp = ("ip", "icmp") if version == 4 else ("ip6", "icmpv6")
    place = places.reached(version)
    outside = f"{place} @limited{version} {place} . {ip} saddr != @allowed{version} drop"
    yield "entry", f'iifname "{device}" {outside}'  # who may not connect uses nobody's limit up
    for rule in limits.rules(version, layout.OVER):
        yield "entry", f'iifname "{device}" {rule}'
    yield "entry", f'iifname "{device}" {place} @places{version} dnat {ip} to {ip} daddr'
    vacant = f'iifname "{device}" {place} @vacant{version}'
    yield "entry", f"meta l4proto 6 {vacant} reject with tcp reset"
    yield "entry", f"meta l4proto != 6 {vacant} reject"
    yield "input", outside
    elsewhere = f"{ip} daddr @vips{version} {place} != @places{version}"
    yield "input", f"meta l4proto 6 {elsewhere} reject with tcp reset"
    yield "input", f"meta l4proto != {icmp} {elsewhere} reject"
