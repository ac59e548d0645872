"""What a place takes at most on nft: limits that its elements in sets carry, each its own. Pure.

A set's elements may have an expression each, which a lookup runs: it finds an element that is
beyond its limit. So a new limit needs no new rule. Source: linux/netfilter/nf_tables.h.

Clients are not known beforehand: a rule adds each to a set, with a count of his own whose limit the
rule names. So there is a meter, a chain of one rule, for each limit of clients that is in use, for
all places that have this limit, and a map says which place has which. What is counted under one
limit is not under another, so the number is a part of the key. The kernel forgets a client within a
second or so of the end of his last connection.
"""

from collections.abc import Iterator

from lbctl.model.policy import Limits
from lbctl_dataplane.rules.tables import netlink, places
from lbctl_dataplane.rules.tables.elements import Element, Elements, meter_name

RATES, COUNTS = "rates", "counts"
"""What the names of the sets begin with: new connections in a second, connections at a time."""
HOMES = {RATES: "limit rate over 1/second", COUNTS: "ct count over 1"}
"""What kind of expression elements have; a set is made with one."""
FASTEST = 1_000_000
"""New connections a second that no node gets to: a limit above it is none, which the kernel, that
counts in nanoseconds, would refuse beyond 10^9."""
PER_CLIENT, AT_MOST, CLIENTS = "perclient", "atmost", "clients"
"""What the names of the maps begin with that lead to meters, of meters, and of what they write."""
CLIENT_PORTS = 65_535
"""One client has no more connections at a time to a place: such a limit is none."""
MOST_CLIENTS = 65_535
"""Of each IP version, at places with a limit; who is beyond connects as if there were none."""
USUAL_BURST = 5
"""Packets; nft neither writes nor asks for it."""
_NAME, _CONTENT = 1, 2
_RATE, _UNIT, _BURST, _KIND, _RATE_FLAGS = 1, 2, 3, 4, 5
_COUNT, _COUNT_FLAGS = 1, 2
_OVER = 1
_PACKETS = 0
OTHER = "other"
"""Stands for what we never write."""


def homes(version: int) -> Iterator[tuple[str, str]]:
    """Yield the sets and maps of limits and how each is made."""
    place = places.types(version)
    for home, kind in HOMES.items():
        yield f"{home}{version}", f"set {{}} {{{{ type {place}; {kind}; }}}}"
    yield f"{PER_CLIENT}{version}", f"map {{}} {{{{ type {place} : verdict; }}}}"
    clients = f"type {place} . ipv{version}_addr . mark; size {MOST_CLIENTS}"
    yield f"{CLIENTS}{version}", f"set {{}} {{{{ {clients}; flags dynamic; }}}}"


def meters(version: int, over: str) -> tuple[str, str]:
    """Return the home of the elements that ask for meters, and the rule with room for a number.

    `over` is the chain for who is beyond his limit.
    """
    client = f"{places.reached(version)} . {places.ip(version)} saddr"
    # A key has no room for a plain number: this is one, whatever the packet's mark is.
    number = "meta mark and 0 or {0}"
    counted = f"{client} . {number} ct count over {{0}}"
    return f"{AT_MOST}{version}", f"add @{CLIENTS}{version} {{{{ {counted} }}}} goto {over}"


def rules(version: int, over: str) -> Iterator[str]:
    """Yield the rules that lead who is beyond a limit to a chain.

    A client beyond his own uses up nothing that others have a part in.
    """
    yield f"{places.reached(version)} vmap @{PER_CLIENT}{version}"
    # An element of these carries a limit of its own, and matches beyond it.
    yield from (f"{places.reached(version)} @{home}{version} goto {over}" for home in HOMES)


def elements(limits: Limits, version: int, place: str) -> Elements:
    """Return what a place with limits needs."""
    found: dict[Element, tuple[str, ...]] = {
        Element(f"{home}{version}", place): (limit,) for home, limit in words(limits)
    }
    if 0 < limits.connections_per_client < CLIENT_PORTS:
        meter = Element(f"{AT_MOST}{version}", str(limits.connections_per_client))
        found[meter] = ()
        found[Element(f"{PER_CLIENT}{version}", place)] = (f"jump {meter_name(meter)}",)
    return found


def words(limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield the kind of set and the limit of a place as nft writes it.

    As many connections may come at once as in a second.

    >>> dict(words(Limits(connections=9, connections_per_s=100)))
    {'rates': 'limit rate over 100/second burst 100 packets', 'counts': 'ct count over 9'}
    """
    if 0 < limits.connections_per_s <= FASTEST:
        yield RATES, _rate(limits.connections_per_s, limits.connections_per_s)
    if limits.connections:
        yield COUNTS, f"ct count over {limits.connections}"


def _rate(rate: int, burst: int) -> str:
    tail = "" if burst == USUAL_BURST else f" burst {burst} packets"
    return f"limit rate over {rate}/second{tail}"


def parse(expression: bytes) -> str:
    """Return the limit that an element carries in the words of nft, from what the kernel tells."""
    parts = dict(netlink.attributes(expression))
    name = parts.get(_NAME, b"").rstrip(b"\0")
    told = dict(netlink.attributes(parts.get(_CONTENT, b"")))
    numbers = {kind: int.from_bytes(value) for kind, value in told.items()}
    if name == b"connlimit" and numbers.get(_COUNT_FLAGS) == _OVER:
        return f"ct count over {numbers.get(_COUNT, 0)}"
    by_packet = (numbers.get(_UNIT), numbers.get(_KIND, _PACKETS)) == (1, _PACKETS)
    if name == b"limit" and by_packet and numbers.get(_RATE_FLAGS) == _OVER:
        return _rate(numbers.get(_RATE, 0), numbers.get(_BURST, 0))
    return OTHER
