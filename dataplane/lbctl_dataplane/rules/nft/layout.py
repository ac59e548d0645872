"""Our nftables table on a node that serves: its sets, maps, chains and rules. Pure."""

from collections.abc import Iterator

from lbctl_dataplane.rules import constants, maglev
from lbctl_dataplane.rules.frontend import Place
from lbctl_dataplane.rules.nft import affinity, limits
from lbctl_dataplane.rules.tables import places
from lbctl_dataplane.rules.tables.elements import Table

PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
"""By number: where a machine lacks /etc/protocols, names mean nothing to nft."""
VERSIONS = (4, 6)

OVER = "over"
"""Name of the counter of what was refused beyond a limit, and of the chain that does so."""
WAYS = "ways"
"""What the names of the maps begin with that say how members of a place are chosen."""
_SEED = 0x1B
_ICMP = {4: 1, 6: 58}


_OTHERS = 0xFFFF_FFFF ^ constants.NODE_MARK_MASK
_MARKED = f"ct mark set ct mark and {_OTHERS:#x} or {constants.NODE_MARK:#x}"
_OURS = f"ct mark and {constants.NODE_MARK_MASK:#x} == {constants.NODE_MARK:#x}"
_RETURNED = (
    f"meta nfproto @returning {_OURS} "
    f"meta mark set meta mark and {_OTHERS:#x} or {constants.NODE_MARK:#x}"
)
"""The routing rule of `return_path` asks for this packet mark; other bits are other people's."""


def place_key(place: Place) -> str:
    """Return a place as an element of a set of places."""
    return f"{place.vip} . {PROTOCOLS[place.protocol]} . {place.port}"


def way(version: int, ends: int) -> str:
    """Return the chain for places with so many ends that ask for nothing else."""
    return f"by{version}x{ends}"


def careful(version: int) -> str:
    """Return the chain for places that ask for more: ranges, limits, affinity, turns."""
    return f"careful{version}"


def _homes() -> Iterator[tuple[str, str]]:
    """Yield the sets and maps, and how each is made."""
    yield "fabric", "set {} {{ type ifname; }}"
    yield "returning", "set {} {{ type nf_proto; }}"
    yield "pinged", "set {} {{ type ifname; }}"
    for version in VERSIONS:
        address = f"ipv{version}_addr"
        place = places.types(version)
        yield f"vips{version}", f"set {{}} {{{{ type {address}; }}}}"
        yield f"vacant{version}", f"set {{}} {{{{ type {place}; }}}}"
        yield f"{WAYS}{version}", f"map {{}} {{{{ type {place} : verdict; }}}}"
        yield f"limited{version}", f"set {{}} {{{{ type {place}; }}}}"
        sources = f"type {place} . {address}; flags interval"
        yield f"sources{version}", f"set {{}} {{{{ {sources}; }}}}"
        yield f"sticky{version}", f"set {{}} {{{{ type {place}; }}}}"
        yield f"remote{version}", f"set {{}} {{{{ type {place}; }}}}"
        yield f"inturn{version}", f"set {{}} {{{{ type {place}; }}}}"
        yield from affinity.homes(version)
        yield from limits.homes(version)
        yield f"single{version}", f"map {{}} {{{{ type {place} : {address} . inet_service; }}}}"
        # `typeof jhash` makes nft 1.0.6 crash when it lists the map; `numgen` is a number as well.
        end = f"{places.ip(version)} daddr . th dport"
        slot = f"{places.reached(version)} . numgen inc mod 2 : {end}"
        for size in maglev.SIZES:
            yield f"slots{version}x{size}", f"map {{}} {{{{ typeof {slot}; }}}}"


def _chains() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the chains with their hooks and rules; none leads to one that comes later."""
    yield (
        "refuse",
        "",
        (
            f"meta l4proto {PROTOCOLS['TCP']} reject with tcp reset",
            "reject with icmpx port-unreachable",
        ),
    )
    yield OVER, "", (f"counter name {OVER}", "goto refuse")
    for version in VERSIONS:
        client = f"{places.ip(version)} saddr"
        for slots, rule in zip((1, *maglev.SIZES), _by_ends(version), strict=True):
            yield way(version, slots), "", (rule, "goto refuse")
        yield f"sticky{version}", "", (*_by_slot(version, _hash(client)), "goto refuse")
        yield from affinity.times(version)
        yield f"inturn{version}", "", (*_by_slot(version, "numgen inc mod {}"), "goto refuse")
        yield careful(version), "", tuple(_careful(version))
        yield f"ping{version}", "", tuple(_pinged(version))
        yield f"vip{version}", "", tuple(_vip(version))
    entry = f"type nat hook prerouting priority {constants.NODE_HOOK}"
    vacant = map(_vacant, VERSIONS)
    yield "entry", entry, (*_to_vips("goto vip{}"), *vacant)
    source = f"type nat hook postrouting priority {constants.NODE_SOURCE_HOOK}"
    yield "source", source, tuple(map(_behind_us, VERSIONS))
    yield from _hooks()


def _hooks() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the chains that each packet of the node passes: few, and what tells most of them first.

    The hook `entry` sees no more than the first packet of each connection.
    """
    yield "answers", "", (_RETURNED,)
    yield affinity.remember()
    answers = "ct direction reply goto answers"
    before = f"type filter hook prerouting priority {constants.NODE_BEFORE_HOOK}"
    pings = map(_late_pings, VERSIONS)
    yield "before", before, (answers, *affinity.numbered(), *pings)
    guard = f"type filter hook prerouting priority {constants.NODE_GUARD_HOOK}"
    # What was not translated has no connection: it must not be routed on, back to the fabric.
    untouched = ("ct status dnat return", *_to_vips("drop"))
    yield "guard", guard, (affinity.remembering(), *untouched)
    # What the kernel says itself: refusals, and ICMP errors about packets of a connection.
    own = f"type route hook output priority {constants.NODE_ANSWER_HOOK}"
    yield "own", own, (answers,)


def _vacant(version: int) -> str:
    place = places.reached(version)
    return f"iifname @fabric {place} @vacant{version} {_MARKED} goto refuse"


def _behind_us(version: int) -> str:
    """Return the rule by which members on other nodes answer to this one."""
    return f"{_OURS} {places.reached(version)} @remote{version} masquerade fully-random"


def _to_vips(verdict: str) -> Iterator[str]:
    for version in VERSIONS:
        # Names of devices are long keys: most packets are told by their address.
        match = f"{places.ip(version)} daddr @vips{version} iifname @fabric"
        yield f"{match} {verdict.format(version)}"


def _late_pings(version: int) -> str:
    return f"{_ping(version)} {_OURS} {places.ip(version)} daddr != @vips{version} drop"


def _ping(version: int) -> str:
    return f"{'icmp' if version == 4 else 'icmpv6'} type echo-request"


def _pinged(version: int) -> Iterator[str]:
    # The node's own kernel answers, from the VIP: conntrack puts that back.
    yield f"iifname @pinged {_ping(version)} redirect"
    yield "drop"


def _vip(version: int) -> Iterator[str]:
    yield _MARKED
    # One question tells all of a place that asks for nothing else.
    yield f"{places.reached(version)} vmap @{WAYS}{version}"
    yield f"meta l4proto {_ICMP[version]} goto ping{version}"
    yield "goto refuse"


def _careful(version: int) -> Iterator[str]:
    ip, place = places.ip(version), places.reached(version)
    yield f"{place} @limited{version} {place} . {ip} saddr != @sources{version} drop"
    yield from limits.rules(version, OVER)
    yield f"{_dnat(version)} {affinity.known(version)}"
    single, *slots = _by_ends(version)
    yield single
    yield f"{place} @sticky{version} goto sticky{version}"
    yield f"{place} @inturn{version} goto inturn{version}"
    yield from slots
    yield "goto refuse"


def _by_ends(version: int) -> Iterator[str]:
    """Yield a rule for places with one member, and one for each size of table."""
    yield f"{_dnat(version)} {places.reached(version)} map @single{version}"
    yield from _by_slot(version, _hash(f"{places.ip(version)} saddr . th sport"))


def _by_slot(version: int, slot: str) -> Iterator[str]:
    """Yield a rule for each size of table; `slot` says which one, of so many."""
    for size in maglev.SIZES:
        place = f"{places.reached(version)} . {slot.format(size)}"
        yield f"{_dnat(version)} {place} map @slots{version}x{size}"


def _hash(client: str) -> str:
    return f"jhash {client} mod {{}} seed {_SEED:#x}"


def _dnat(version: int) -> str:
    protocols = ", ".join(map(str, PROTOCOLS.values()))
    return f"meta l4proto {{ {protocols} }} dnat {places.ip(version)} to"


TABLE = Table(
    f"inet {constants.NODE_TABLE}",
    dict(_homes()),
    {name: (hook, rules) for name, hook, rules in _chains()},
    records=frozenset(
        f"{home}{version}" for home in (affinity.KEPT, limits.CLIENTS) for version in VERSIONS
    ),
    limited=frozenset(f"{home}{version}" for home in limits.HOMES for version in VERSIONS),
    meters=dict(limits.meters(version, OVER) for version in VERSIONS),
    counter=OVER,
)
