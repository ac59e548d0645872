"""Our nftables table on a node, as values and text. Pure.

Chains and rules are the same for ever and on every node: what is served stands in elements of sets
and maps. A change is a few elements, whose cost does not grow with what else there is; a change of
rules makes the kernel look at all chains that can be reached (measured, ADR 0009).

A rule carries a digest of its own text as comment, and what the kernel holds is told by these
digests: versions of `nft` print one and the same rule in different words.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lbctl_dataplane.rules import constants, maglev, nft_limits

TABLE = f"inet {constants.NODE_TABLE}"
PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
"""By number: where a machine lacks /etc/protocols, names mean nothing to nft."""
VERSIONS = (4, 6)

Ends = tuple[str, ...]
"""Where the slots of a place lead to, each `ADDRESS . PORT`: one, or as many as a Maglev table has.
Empty for what is in a set and leads nowhere; what a set limits has the words of its limit."""

_ELEMENTS_A_LINE = 500
ROOM = 5_000
"""Elements of one transaction, about: nft takes some 2 kB of memory for each (measured)."""
OVER = "over"
"""Name of the counter of what was refused beyond a limit."""
_SEED = 0x1B
_ICMP = {4: 1, 6: 58}


@dataclass(frozen=True, slots=True, order=True)
class Element:
    """One thing that the table knows: a member of a set, or a place and where it leads to."""

    home: str
    """Name of the set; `ends4` and `ends6` stand for the maps that have room for the ends."""
    key: str


Elements = Mapping[Element, Ends]

_RETURNED = (
    "meta nfproto @returning ct direction reply "
    f"ct mark and {constants.NODE_MARK_MASK:#x} == {constants.NODE_MARK:#x} "
    f"meta mark set meta mark and {0xFFFF_FFFF ^ constants.NODE_MARK_MASK:#x} "
    f"or {constants.NODE_MARK:#x}"
)
"""The routing rule of `return_path` asks for this packet mark; other bits are other people's."""


def _ip(version: int) -> str:
    return "ip" if version == 4 else "ip6"


def _homes() -> Iterator[tuple[str, str]]:
    """Yield the sets and maps, and how each is made."""
    yield "fabric", "set {} {{ type ifname; }}"
    yield "returning", "set {} {{ type nf_proto; }}"
    for version in VERSIONS:
        address = f"ipv{version}_addr"
        place = f"{address} . inet_proto . inet_service"
        ip = _ip(version)
        yield f"vips{version}", f"set {{}} {{{{ type {address}; }}}}"
        yield f"vacant{version}", f"set {{}} {{{{ type {place}; }}}}"
        yield f"limited{version}", f"set {{}} {{{{ type {place}; }}}}"
        sources = f"type {place} . {address}; flags interval"
        yield f"sources{version}", f"set {{}} {{{{ {sources}; }}}}"
        yield f"sticky{version}", f"set {{}} {{{{ type {place}; }}}}"
        yield f"inturn{version}", f"set {{}} {{{{ type {place}; }}}}"
        for home, kind in nft_limits.HOMES.items():
            yield f"{home}{version}", f"set {{}} {{{{ type {place}; {kind}; }}}}"
        yield f"single{version}", f"map {{}} {{{{ type {place} : {address} . inet_service; }}}}"
        # `typeof jhash` makes nft 1.0.6 crash when it lists the map; `numgen` is a number as well.
        slot = f"{ip} daddr . meta l4proto . th dport . numgen inc mod 2 : {ip} daddr . th dport"
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
    yield "over", "", (f"counter name {OVER}", "goto refuse")
    for version in VERSIONS:
        client = f"{_ip(version)} saddr"
        yield f"sticky{version}", "", (*_by_slot(version, _hash(client)), "goto refuse")
        yield f"inturn{version}", "", (*_by_slot(version, "numgen inc mod {}"), "goto refuse")
        yield f"vip{version}", "", tuple(_vip(version))
    entry = f"type nat hook prerouting priority {constants.NODE_HOOK}"
    vacant = (f"iifname @fabric {_place(v)} @vacant{v} goto refuse" for v in VERSIONS)
    yield "entry", entry, (*_to_vips("goto vip{}"), *vacant)
    guard = f"type filter hook prerouting priority {constants.NODE_GUARD_HOOK}"
    # What was not translated has no connection: it must not be routed on, back to the fabric.
    yield "guard", guard, tuple(_to_vips("drop"))
    answers = f"type filter hook prerouting priority {constants.NODE_ANSWER_HOOK}"
    yield "answers", answers, (_RETURNED,)
    # What the kernel says itself: refusals, and ICMP errors about packets of a connection.
    own = f"type route hook output priority {constants.NODE_ANSWER_HOOK}"
    yield "own", own, (_RETURNED,)


def _to_vips(verdict: str) -> Iterator[str]:
    for version in VERSIONS:
        match = f"iifname @fabric {_ip(version)} daddr @vips{version}"
        yield f"{match} {verdict.format(version)}"


def _vip(version: int) -> Iterator[str]:
    others = 0xFFFF_FFFF ^ constants.NODE_MARK_MASK
    ip, place = _ip(version), _place(version)
    yield f"ct mark set ct mark and {others:#x} or {constants.NODE_MARK:#x}"
    yield f"meta l4proto {_ICMP[version]} drop"
    yield f"{place} @limited{version} {place} . {ip} saddr != @sources{version} drop"
    # An element of these carries a limit of its own, and matches beyond it.
    yield from (f"{place} @{home}{version} goto over" for home in nft_limits.HOMES)
    yield f"{_dnat(version)} {place} map @single{version}"
    yield f"{place} @sticky{version} goto sticky{version}"
    yield f"{place} @inturn{version} goto inturn{version}"
    yield from _by_slot(version, _hash(f"{ip} saddr . th sport"))
    yield "goto refuse"


def _by_slot(version: int, slot: str) -> Iterator[str]:
    """Yield a rule for each size of table; `slot` says which one, of so many."""
    for size in maglev.SIZES:
        place = f"{_place(version)} . {slot.format(size)}"
        yield f"{_dnat(version)} {place} map @slots{version}x{size}"


def _hash(client: str) -> str:
    return f"jhash {client} mod {{}} seed {_SEED:#x}"


def _place(version: int) -> str:
    return f"{_ip(version)} daddr . meta l4proto . th dport"


def _dnat(version: int) -> str:
    protocols = ", ".join(map(str, PROTOCOLS.values()))
    return f"meta l4proto {{ {protocols} }} dnat {_ip(version)} to"


HOMES = dict(_homes())
CHAINS = {name: (hook, rules) for name, hook, rules in _chains()}


def _digest(text: str) -> str:
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


MARKS = {name: tuple(map(_digest, rules)) for name, (_, rules) in CHAINS.items()}
"""Digests of the rules of each chain, in their order."""


def new() -> str:
    """Return the lines that replace whatever table of ours there is by an empty one.

    Connections live in conntrack: none notices.
    """
    # Adding first makes the deletion work whether or not there is a table.
    lines = [f"add table {TABLE}", f"delete table {TABLE}", f"add table {TABLE}"]
    lines.append(f"add counter {TABLE} {OVER}")
    lines += ["add " + form.format(f"{TABLE} {name}") for name, form in HOMES.items()]
    for name, (hook, rules) in CHAINS.items():
        lines.append(f"add chain {TABLE} {name}{f' {{ {hook}; }}' if hook else ''}")
        lines += [f'add rule {TABLE} {name} {rule} comment "{_digest(rule)}"' for rule in rules]
    return "\n".join(lines) + "\n"


def transactions(desired: Elements, observed: Elements) -> Iterator[str]:
    """Yield what turns some elements into others; both are what differs, by key.

    One transaction, but for loads of more than `ROOM` elements; then a place changes in one, and a
    VIP comes after its places and goes before them.
    """
    now: tuple[dict[Element, Ends], dict[Element, Ends]] = ({}, {})
    size = 0
    for element in sorted(desired.keys() | observed.keys(), key=lambda e: _order(e, desired)):
        for part, ends in zip(now, (desired.get(element), observed.get(element)), strict=True):
            if ends is not None:
                part[element] = ends
                size += max(len(ends), 1)
        if size > ROOM:
            yield _render(*now)
            now, size = ({}, {}), 0
    if size:
        yield _render(*now)


def _order(element: Element, desired: Elements) -> tuple[int, Element]:
    coming = element in desired
    if element.home.startswith("vips"):
        return (5 if coming else 0), element
    if element.home.startswith("ends"):
        return (3 if coming else 1), element
    return (2 if coming else 4), element


def _render(desired: Elements, observed: Elements) -> str:
    leaving, coming = _Batch("delete"), _Batch("add")
    for element in sorted(desired.keys() | observed.keys()):
        before, after = observed.get(element), desired.get(element)
        was, now = _contents(element, before), _contents(element, after)
        for entry, value in was.items():
            if now.get(entry) != value:
                leaving.take(entry.home, entry.key)
        for entry, value in now.items():
            if was.get(entry) != value:
                coming.take(entry.home, _text(entry, value))
    return "".join(f"{line}\n" for line in (*leaving.lines(), *coming.lines()))


def _contents(element: Element, ends: Ends | None) -> dict[Element, str]:
    """Return the elements of the kernel's sets and maps that say the same; empty for None."""
    if ends is None:
        return {}
    if not element.home.startswith("ends"):
        return {element: "".join(ends)}
    version = element.home[-1]
    if len(ends) == 1:
        return {Element(f"single{version}", element.key): ends[0]}
    home = f"slots{version}x{len(ends)}"
    # A slot without an end is one that somebody took away.
    return {Element(home, f"{element.key} . {slot}"): end for slot, end in enumerate(ends) if end}


def carries_limits(home: str) -> bool:
    """Tell whether the elements of a set have limits."""
    return home.startswith(tuple(nft_limits.HOMES))


def _text(entry: Element, value: str) -> str:
    between = "" if not value else " " if carries_limits(entry.home) else " : "
    return f"{entry.key}{between}{value}"


class _Batch:
    """Elements that one verb is for, by their set or map."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._texts: dict[str, list[str]] = {}

    def take(self, home: str, text: str) -> None:
        self._texts.setdefault(home, []).append(text)

    def lines(self) -> Iterator[str]:
        for home, texts in self._texts.items():
            for start in range(0, len(texts), _ELEMENTS_A_LINE):
                listed = ", ".join(texts[start : start + _ELEMENTS_A_LINE])
                yield f"{self._verb} element {TABLE} {home} {{ {listed} }}"
