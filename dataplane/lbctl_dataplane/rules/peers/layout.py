"""The nftables tables by which a node forwards to its peers: sets, maps, chains and rules. Pure.

They act at ingress, before connections are tracked: the first node sees one direction only. The
packet mark is used as a register between rules, and is 0 again where a packet goes on.
"""

from collections.abc import Iterator

from lbctl_dataplane.rules import constants, maglev
from lbctl_dataplane.rules.nft.layout import PROTOCOLS, VERSIONS
from lbctl_dataplane.rules.tables.elements import Table

HERE = 1
"""The mark of flows that this node serves itself; others are peers'."""
NAME = f"netdev {constants.PEERS_TABLE}"
ANSWERS_NAME = f"inet {constants.PEERS_TABLE}"
RECORDS = frozenset({"flows", "pieces"})
MOST_FLOWS, MOST_PIECES = 32_768, 1_024
"""Records, some 200 bytes of the kernel's memory each. A flow without one goes by its hash."""
OPENING_S, TCP_S, DATAGRAM_S, PIECE_S = 120, 3_600, 180, 10
"""How long a flow is remembered after its last packet. The first is of TCP before and after a
connection: a packet with SYN, FIN or RST."""

_NODE_SEED, _FLOW_SEEDS = 0x1C, (0x1D, 0x1E)
"""Not the one that picks members (0x1b): where both tables have one size, a node would get those
flows alone that a few of its members are for."""
_ANY = 0xFFFF_FFFF
_LATER_PIECE = {4: "ip frag-off and 0x1fff != 0", 6: "frag frag-off != 0"}
_FIRST_PIECE = {4: "ip frag-off and 0x2000 != 0", 6: "frag more-fragments 1"}
_PIECE_ID = {4: "ip id", 6: "frag id"}


def table(device: str, tunnel: str) -> Table:
    """Return the table that forwards what enters by `device`; `tunnel` comes from other links.

    No tunnel is an empty name.
    """
    chains = {name: ("", rules) for name, rules in _chains()}
    for name, entry, to in (("enter", device, "vip"), ("arrive", tunnel, "arrived")):
        if entry:
            hook = f'type filter hook ingress device "{entry}" priority {constants.PEERS_HOOK}'
            chains[name] = (hook, tuple(_to_vips(to)))
    return Table(NAME, dict(_homes()), chains, RECORDS)


def answers(longest: int) -> Table:
    """Return the table that has clients send TCP segments whose packets have at most that length.

    Only what clients send goes by a tunnel, so it is in answers to their first packets that the
    size is said. The kernel never makes it larger.
    """
    hook = f"type filter hook postrouting priority {constants.ANSWERS_HOOK}"
    mark = f"ct mark and {constants.NODE_MARK_MASK:#x} == {constants.NODE_MARK:#x}"
    answer = "tcp flags & (syn | ack) == (syn | ack)"
    rules = tuple(
        f"meta nfproto ipv{version} {mark} {answer} tcp option maxseg size set {longest - headers}"
        for version, headers in ((4, 40), (6, 60))
    )
    return Table(ANSWERS_NAME, {}, {"answers": (hook, rules)})


def _ip(version: int) -> str:
    return "ip" if version == 4 else "ip6"


def _homes() -> Iterator[tuple[str, str]]:
    yield "neighbours", "set {} {{ type ether_addr; }}"
    # `typeof jhash` makes nft 1.0.6 crash when it lists the map; `numgen` is a number as well.
    record = "typeof numgen inc mod 2 . numgen inc mod 2 : meta mark; flags dynamic,timeout"
    yield "flows", f"map {{}} {{{{ {record}; size {MOST_FLOWS}; timeout {OPENING_S}s; }}}}"
    yield "pieces", f"map {{}} {{{{ {record}; size {MOST_PIECES}; timeout {PIECE_S}s; }}}}"
    for version in VERSIONS:
        address = f"ipv{version}_addr"
        place = f"{address} . inet_proto . inet_service"
        yield f"ways{version}", f"map {{}} {{{{ type mark : {address}; }}}}"
        # By number, as names in rules are: a device that was made anew has another one.
        yield f"devices{version}", "map {} {{ type mark : iface_index; }}"
        yield f"vips{version}", f"set {{}} {{{{ type {address}; }}}}"
        yield f"places{version}", f"set {{}} {{{{ type {place}; }}}}"
        yield f"holders{version}", f"set {{}} {{{{ type {place} . mark; }}}}"
        yield f"sticky{version}", f"set {{}} {{{{ type {place}; }}}}"
        yield f"single{version}", f"map {{}} {{{{ type {place} : mark; }}}}"
        slot = f"{_place(version)} . numgen inc mod 2 : meta mark"
        for size in maglev.SIZES:
            yield f"slots{version}x{size}", f"map {{}} {{{{ typeof {slot}; }}}}"


def _to_vips(chain: str) -> Iterator[str]:
    for version in VERSIONS:
        yield f"{_ip(version)} daddr @vips{version} goto {chain}{version}"


def _chains() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the chains without hooks; none leads to one that comes later."""
    for version in VERSIONS:
        way, device = (f"meta mark map @{home}{version}" for home in ("ways", "devices"))
        yield f"send{version}", (f"fwd {_ip(version)} to {way} device {device}", _LEAVE)
        later = f"meta mark set {_piece(version)} map @pieces"
        yield (
            f"pieces{version}",
            (later, f"meta mark != {{ 0, {HERE} }} goto send{version}", _LEAVE),
        )
        client = f"{_ip(version)} saddr"
        yield f"sticky{version}", tuple(_by_slot(version, client))
        yield f"choose{version}", tuple(_choose(version, client))
        yield f"arrived{version}", tuple(_arrived(version))
        yield f"vip{version}", tuple(_vip(version))


_LEAVE = "meta mark set 0"


def _choose(version: int, client: str) -> Iterator[str]:
    place = _place(version)
    yield f"meta mark set {place} map @single{version}"
    yield f"{place} @sticky{version} goto sticky{version}"
    yield from _by_slot(version, f"{client} . th sport")


def _by_slot(version: int, client: str) -> Iterator[str]:
    for size in maglev.SIZES:
        slot = f"jhash {client} mod {size} seed {_NODE_SEED:#x}"
        yield f"meta mark set {_place(version)} . {slot} map @slots{version}x{size}"


def _arrived(version: int) -> Iterator[str]:
    """Yield what becomes of packets that a peer passed on: they go no further."""
    yield f"{_LATER_PIECE[version]} accept"
    yield f"{_place(version)} != @places{version} accept"
    yield f"meta mark set {HERE}"
    # The node would route it back to the fabric, which may send it to the same peer again.
    yield f"{_holder(version)} drop"
    yield _LEAVE


def _vip(version: int) -> Iterator[str]:
    flow = _flow(version)
    yield f"ether saddr @neighbours goto arrived{version}"
    yield f"{_LATER_PIECE[version]} goto pieces{version}"
    yield f"{_place(version)} != @places{version} accept"
    yield f"meta mark set {flow} map @flows"
    # Who lost its last member there must not keep a client that never lets go of its port.
    yield f"meta mark != 0 {_holder(version)} delete @flows {{ {flow} : meta mark }} {_LEAVE}"
    yield f"meta mark 0 jump choose{version}"
    yield "meta mark 0 accept"
    # Of a flow that is known only the time changes.
    tcp = f"meta l4proto {PROTOCOLS['TCP']}"
    for match, seconds in (
        (f"{tcp} tcp flags & (fin | syn | rst) == 0", TCP_S),
        (f"{tcp} tcp flags & (fin | syn | rst) != 0", OPENING_S),
        (f"meta l4proto != {PROTOCOLS['TCP']}", DATAGRAM_S),
    ):
        yield f"{match} update @flows {{ {flow} timeout {seconds}s : meta mark }}"
    yield f"{_FIRST_PIECE[version]} update @pieces {{ {_piece(version)} : meta mark }}"
    yield f"meta mark != {HERE} goto send{version}"
    yield _LEAVE


def _holder(version: int) -> str:
    """Return the match of packets to a place that the marked node has no members of."""
    return f"{_place(version)} . meta mark != @holders{version}"


def _place(version: int) -> str:
    return f"{_ip(version)} daddr . meta l4proto . th dport"


def _flow(version: int) -> str:
    """Return what a flow is known by: two numbers, as nft 1.0.6 can't say two whole addresses."""
    ip = _ip(version)
    return _numbers(f"{ip} saddr . th sport", _place(version))


def _piece(version: int) -> str:
    ip = _ip(version)
    return _numbers(f"{ip} saddr . {_PIECE_ID[version]}", f"{ip} daddr . meta l4proto")


def _numbers(*texts: str) -> str:
    numbers = (
        f"jhash {text} mod {_ANY:#x} seed {seed:#x}"
        for text, seed in zip(texts, _FLOW_SEEDS, strict=True)
    )
    return " . ".join(numbers)
