"""The nftables table beside Open vSwitch: who is refused, as a switch can't make resets. Pure.

The kernel gets a copy of each frame of the service interface (the README says why it must not act
on it). This table looks at these copies before the guard drops them, and answers those that the
switch has nobody for, out of the interface that they came by and to the MAC that sent them: no
route is asked. It keeps no state, so it knows places and no connections.
"""

from collections.abc import Iterator

from lbctl.delta import Delta
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.nft import layout
from lbctl_dataplane.rules.nft.layout import VERSIONS
from lbctl_dataplane.rules.tables.elements import Element, Elements, Ends, Table


def elements(frontend: Frontend) -> Elements:
    """Return what a frontend needs in the table's sets.

    A member counts whether or not the switch has a port for it: while the switch restarts it has
    none, and who is met by silence then goes on afterwards, where a reset would be the end.
    """
    version, place = frontend.place.vip.version, layout.place_key(frontend.place)
    found = [Element(f"vips{version}", str(frontend.place.vip))]
    if frontend.members:
        found.append(Element(f"taking{version}", place))
    if frontend.all_members:
        found.append(Element(f"kept{version}", place))
    return dict.fromkeys(found, ())


def loosening(change: Delta[Element, Ends]) -> Delta[Element, Ends]:
    """Return what of a change lets more through: before the switch serves it."""
    upserts = (key for key in change.upserts if not _is_vip(key))
    return Delta(dict.fromkeys(upserts, ()), frozenset(filter(_is_vip, change.deletes)))


def tightening(change: Delta[Element, Ends]) -> Delta[Element, Ends]:
    """Return what of a change refuses more: once the switch serves it no more."""
    deletes = (key for key in change.deletes if not _is_vip(key))
    return Delta(dict.fromkeys(filter(_is_vip, change.upserts), ()), frozenset(deletes))


def _is_vip(element: Element) -> bool:
    return element.home.startswith("vips")


def table(device: str) -> Table:
    """Return the table; VIP traffic enters by `device`."""
    chains = {name: (hook, rules) for name, hook, rules in _chains(device)}
    return Table(f"netdev {constants.REFUSALS_TABLE}", dict(_homes()), chains)


def _homes() -> Iterator[tuple[str, str]]:
    for version in VERSIONS:
        address = f"ipv{version}_addr"
        place = f"{address} . inet_proto . inet_service"
        yield f"vips{version}", f"set {{}} {{{{ type {address}; }}}}"
        yield f"taking{version}", f"set {{}} {{{{ type {place}; }}}}"
        yield f"kept{version}", f"set {{}} {{{{ type {place}; }}}}"


def _chains(device: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    reset = "meta l4proto 6 reject with tcp reset"
    yield "refuse", "", (reset, "meta l4proto { 17, 132 } reject with icmpx port-unreachable")
    for version in VERSIONS:
        yield f"vip{version}", "", tuple(_vip(version))
    # Before the guard (0), which drops what is left.
    hook = f'type filter hook ingress device "{device}" priority -10'
    yield "entry", hook, tuple(f"{_ip(v)} daddr @vips{v} goto vip{v}" for v in VERSIONS)


def _vip(version: int) -> Iterator[str]:
    # Fragments but the first have no port: they match neither rule.
    place = f"{_ip(version)} daddr . meta l4proto . th dport"
    yield f"tcp flags & (syn | ack) == syn {place} != @taking{version} goto refuse"
    yield f"{place} != @kept{version} goto refuse"


def _ip(version: int) -> str:
    return "ip" if version == 4 else "ip6"
