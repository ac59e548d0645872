"""How our nftables table remembers which client has which member, and for how long. Pure.

A place that remembers clients has a number. Three hooks take part:

    before translation    the packet's priority becomes the number of its place
    translation           client . number ─► address, if it is known; else by the place's slots
    after translation     number . address . port ─► a chain by the time: client . number ─► address
                          is noted anew, and the priority is nothing again

Each packet of a client begins the time anew. The priority (`skb->priority`) stands for the place as
nft 1.0.6 cannot look up what a packet was translated from (`ct original proto-dst`); between these
hooks nobody reads it, and forwarding sets it by the type of service. What a rule notes has 16 bytes
for key and value each in nft 1.0.6: of an IPv6 client a hash, and of members no port. So a place
remembers clients where all its members have one port, as Kubernetes gives them nearly always.
"""

from collections.abc import Collection, Iterator, Mapping

from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.frontend import Member

KEPT, NUMBERED, PORTS, IDLE = "kept", "numbered", "ports", "idle"
"""Maps by IP version: who is remembered where, the number of each place and the port of its
members, members with their time."""
_IPS = {4: "ip", 6: "ip6"}
_CLIENTS = {4: "ip saddr", 6: f"jhash ip6 saddr mod {2**32 - 1} seed 0x1b"}
LIMIT = 65_535
"""Clients that are remembered in each IP version; who is beyond goes by the hash of his address."""
TIMES_S = (
    *(1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 450, 600, 900, 1200, 1800),
    *(2700, 3600, 5400, 7200, 10_800, 14_400, 21_600, 28_800, 43_200, 86_400),
)
"""For how long clients are remembered; a time between two of these is the longer one.

Rules name a time, and rules never change.
"""


def homes(version: int) -> Iterator[tuple[str, str]]:
    """Yield the maps and how each is made."""
    address = f"ipv{version}_addr"
    # As for slots: `typeof jhash` makes nft 1.0.6 crash, and `numgen` is a number as well.
    client = "ip saddr" if version == 4 else "numgen inc mod 2"
    kept = f"typeof {client} . meta priority : {_IPS[version]} daddr; size {LIMIT}"
    yield f"{KEPT}{version}", f"map {{}} {{{{ {kept}; flags dynamic,timeout; }}}}"
    place = f"{address} . inet_proto . inet_service"
    yield f"{NUMBERED}{version}", f"map {{}} {{{{ type {place} : classid; }}}}"
    yield f"{PORTS}{version}", "map {} {{ type classid : inet_service; }}"
    member = f"classid . {address} . inet_service"
    yield f"{IDLE}{version}", f"map {{}} {{{{ type {member} : verdict; }}}}"


def times(version: int) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the chains that note a client, one for each time."""
    for time_s in TIMES_S:
        note = f"{_CLIENTS[version]} . meta priority timeout {time_s}s : {_IPS[version]} daddr"
        rules = (f"update @{KEPT}{version} {{ {note} }}", "meta priority set none")
        yield _chain(version, time_s), "", rules


def numbered() -> Iterator[str]:
    """Yield the rules before translation."""
    return (_number(ip, version) for version, ip in _IPS.items())


def remembering() -> str:
    """Return the rule after translation."""
    numbers = f"{_words(constants.PLACE_NUMBER)}-{_words(constants.PLACE_NUMBER_LAST)}"
    return f"meta priority {numbers} jump remember"


def remember() -> tuple[str, str, tuple[str, ...]]:
    """Return the chain that it leads to."""
    notes = (_note(ip, version) for version, ip in _IPS.items())
    # What has a number and no member that gets connections, or is no client of ours (a pod that
    # asks for the VIP): its packets go on and note nothing.
    return "remember", "", (*notes, "meta priority set none")


def _number(ip: str, version: int) -> str:
    # One question for every packet of the node: where it entered is asked of the few that matter.
    return f"meta priority set {ip} daddr . meta l4proto . th dport map @{NUMBERED}{version}"


def _note(ip: str, version: int) -> str:
    return f"iifname @fabric meta priority . {ip} daddr . th dport vmap @{IDLE}{version}"


def known(version: int) -> str:
    """Return where a client that is remembered goes to."""
    address = f"{_CLIENTS[version]} . meta priority map @{KEPT}{version}"
    return f"{address} : meta priority map @{PORTS}{version}"


def _chain(version: int, time_s: int) -> str:
    return f"keep{version}x{time_s}"


def elements(
    version: int, place: str, number: int, members: Collection[Member], timeout_s: int
) -> Iterator[tuple[str, str, str]]:
    """Yield map, key and value of what a place needs that remembers clients for a time."""
    ports = {member.port for member in members}
    if len(ports) != 1:
        return
    time_s = next((time_s for time_s in TIMES_S if time_s >= timeout_s), TIMES_S[-1])
    yield f"{NUMBERED}{version}", place, _words(number)
    yield f"{PORTS}{version}", _words(number), str(*ports)
    for member in members:
        key = f"{_words(number)} . {member.address} . {member.port}"
        yield f"{IDLE}{version}", key, f"goto {_chain(version, time_s)}"


def _words(number: int) -> str:
    """Return a number as nft writes priorities."""
    return f"{number >> 16:x}:{number & 0xFFFF:x}"


def forget(
    table: str, version: int, remembered: Mapping[str, str], members: Collection[str]
) -> str:
    """Return the transaction that forgets who is remembered with a member that is none any more.

    `remembered` says at which address the member of a client of a place is, `members` are the keys
    of the map of members. It is empty where there is nobody.
    """
    there = {key.rpartition(" . ")[0] for key in members}
    gone = {
        key: end
        for key, end in remembered.items()
        if f"{key.rpartition(' . ')[2]} . {end}" not in there
    }
    if not gone:
        return ""
    # Adding first, as one whose time has run out meanwhile could not be deleted.
    added = ", ".join(f"{key} timeout {TIMES_S[0]}s : {end}" for key, end in gone.items())
    home = f"{table} {KEPT}{version}"
    return f"add element {home} {{ {added} }}\ndelete element {home} {{ {', '.join(gone)} }}\n"
