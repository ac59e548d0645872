"""What the nftables table of a node holds for its frontends. Pure.

The README of this folder draws the chains and says why each is there.
"""

import functools
from collections.abc import Collection, Iterable, Iterator, Sequence

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import maglev
from lbctl_dataplane.rules.frontend import Frontend, Member, Place
from lbctl_dataplane.rules.nft import affinity, layout, limits
from lbctl_dataplane.rules.place_numbers import Numbers
from lbctl_dataplane.rules.tables.elements import Element, Elements, Ends


def frame(devices: Sequence[str], pinged: Sequence[str]) -> Elements:
    """Return what is there without any VIP.

    VIP traffic enters by `devices`; VIPs answer the pings that enter by those of `pinged`.
    """
    fabric: dict[Element, Ends] = {Element("fabric", device): () for device in devices}
    return fabric | {Element("pinged", device): () for device in pinged}


def returning(gateways: Iterable[Address]) -> Elements:
    """Return what lets answers of the gateways' families take the routes of `return_path`."""
    return {Element("returning", f"ipv{gateway.version}"): () for gateway in gateways}


def elements(frontend: Frontend, here: Collection[Address], numbers: Numbers) -> Elements:
    """Return what one frontend needs; the VIP itself others may need as well.

    `here` are the addresses that this node has a way to. Without a member among them the place is
    known and leads nowhere: who connects is refused. What others serve is left to kube-proxy.
    """
    place = frontend.place
    version = place.vip.version
    key = layout.place_key(place)
    if not frontend.all_members:
        return {Element(f"vacant{version}", key): ()} if frontend.vacant else {}
    found = _asked(frontend, key)
    members = tuple(member for member in frontend.members if _reached(member, here))
    if members:
        found |= _remembering(frontend, key, members, numbers)
    way = layout.careful(version) if found else ""
    if members:
        slots = ends(members, in_turn=_in_turn(frontend))
        found[Element(f"ends{version}", key)] = slots
        way = way or layout.way(version, len(slots))
    if way:
        found[Element(f"{layout.WAYS}{version}", key)] = (f"goto {way}",)
    found[Element(f"vips{version}", str(place.vip))] = ()
    return {**found, **_remote(frontend)}


def _asked(frontend: Frontend, key: str) -> dict[Element, Ends]:
    """Return what of a place is not as usual, whoever its members are."""
    version = frontend.place.vip.version
    found: dict[Element, Ends] = {}
    if frontend.affinity:
        found[Element(f"sticky{version}", key)] = ()
    elif _in_turn(frontend):
        found[Element(f"inturn{version}", key)] = ()
    found |= limits.elements(frontend.limits, version, key)
    if not frontend.open_to_all:
        found[Element(f"limited{version}", key)] = ()
        for source in _sources(frontend):
            found[Element(f"sources{version}", f"{key} . {source}")] = ()
    return found


def _remembering(
    frontend: Frontend, key: str, members: Collection[Member], numbers: Numbers
) -> dict[Element, Ends]:
    timeout_s = frontend.affinity_timeout_s if frontend.affinity else 0
    if not timeout_s:
        return {}
    number, version = numbers.of(frontend.place), frontend.place.vip.version
    needed = affinity.elements(version, key, number, members, timeout_s)
    return {Element(home, name): (value,) for home, name, value in needed}


@functools.lru_cache(maxsize=1024)
def ends(members: tuple[Member, ...], *, in_turn: bool) -> Ends:
    """Return where the slots of a place lead to; places with equal members share the table."""
    texts = {member: f"{member.address} . {member.port}" for member in members}
    if len(members) == 1:
        return tuple(texts.values())
    slots = maglev.in_turn(members) if in_turn else maglev.table(members)
    return tuple(texts[member] for member in slots)


def _in_turn(frontend: Frontend) -> bool:
    return frontend.algorithm == "round-robin" and not frontend.affinity


def _sources(frontend: Frontend) -> Iterator[str]:
    """Yield who may connect, as nft writes networks."""
    for text in frontend.source_ranges:
        yield text.removesuffix("/32" if frontend.place.vip.version == 4 else "/128")


def missing(frontend: Frontend, here: Collection[Address]) -> tuple[Address, ...]:
    """Return the members that get connections and that this node has no way to."""
    return tuple(member.address for member in frontend.members if not _reached(member, here))


def _reached(member: Member, here: Collection[Address]) -> bool:
    return member.remote or member.address in here


def _remote(frontend: Frontend) -> Elements:
    """Return what lets members on other nodes answer to this one."""
    place = frontend.place
    ends = (
        Place(member.address, place.protocol, member.port)
        for member in frontend.members
        if member.remote
    )
    return {Element(f"remote{place.vip.version}", layout.place_key(end)): () for end in ends}
