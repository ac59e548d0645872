"""The nftables table of a node, pass by pass; a pass costs what changed. Pure."""

from collections.abc import Iterable, Sequence

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules import nft_rules, nft_table, tracked
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.kept import Kept
from lbctl_dataplane.rules.nft_table import Element, Elements, Ends
from lbctl_dataplane.rules.pod_routes import PodRoutes
from lbctl_dataplane.rules.tracked import Tracked


class NftCompiler:
    """What the table should hold, what it is known to hold, and who may have connections."""

    def __init__(self, devices: Sequence[str]) -> None:
        self._elements: Kept[Element, Ends] = Kept()
        self._elements.add(nft_rules.frame(devices))
        self._whole = False
        """Whether there is a table whose elements can be changed, instead of replacing all."""
        self._routes = PodRoutes()
        self._here: set[Address] = set()
        """Addresses of members that can be reached."""
        self._frontends: dict[int, Frontend] = {}
        """By identity: a frontend that is the same object has not changed."""
        self._parts: dict[int, Elements] = {}
        self._missing: dict[int, tuple[Address, ...]] = {}
        self._at: dict[Address, set[int]] = {}
        """Which frontends have a member at an address."""

    @property
    def desired(self) -> Elements:
        """Return all that should be there."""
        return self._elements.desired

    @property
    def missing(self) -> dict[str, tuple[Address, ...]]:
        """Return the members that get connections and have no route, by virtual service."""
        found: dict[str, set[Address]] = {}
        for known, addresses in self._missing.items():
            found.setdefault(self._frontends[known].key, set()).update(addresses)
        return {key: tuple(sorted(found[key], key=_order)) for key in found}

    def allowed(self) -> frozenset[Tracked]:
        """Return the connections that there may be."""
        return tracked.of(self._frontends.values())

    def update(self, frontends: Sequence[Frontend], routes: PodRoutes) -> frozenset[Tracked]:
        """Take what is to be served, and on which routes; return the connections that end."""
        now = {id(entry): entry for entry in frontends}
        gone = self._frontends.keys() - now.keys()
        new = now.keys() - self._frontends.keys()
        ended = tracked.of(self._frontends[known] for known in gone)
        again = self._on_other_routes(routes) - gone
        for known in gone | again:
            self._drop(known)
        self._frontends = now
        self._reach(now[fresh] for fresh in new | again)
        for fresh in new | again:
            self._put(fresh)
        return ended - tracked.of(now[fresh] for fresh in new)

    def read_back(self, listing: str) -> None:
        """Take what the kernel holds, by the listing of the table; empty where there is none."""
        observed = nft_table.parse(listing)
        self._whole = observed is not None
        self._elements.read_back(observed or {})

    def transactions(self) -> tuple[tuple[str, ...], int]:
        """Return what makes the kernel hold what it should, and how many things that changes."""
        desired, observed = self._elements.parts()
        changed = len(desired.keys() | observed.keys())
        texts = tuple(nft_table.transactions(desired, observed))
        if self._whole:
            return texts, changed
        first, *rest = texts or ("",)
        return (nft_table.new() + first, *rest), changed + len(nft_table.CHAINS)

    def took(self) -> None:
        """Note that the kernel took them."""
        self._elements.took(self._elements.changes())
        self._whole = True

    def _on_other_routes(self, routes: PodRoutes) -> set[int]:
        """Take routes; return the frontends that have a member which is reached otherwise now."""
        if routes is self._routes:
            return set()
        self._routes = routes
        here = set(filter(routes.lead_to, self._at))
        moved = here ^ self._here
        self._here = here
        return {known for address in moved for known in self._at[address]}

    def _reach(self, frontends: Iterable[Frontend]) -> None:
        addresses = {member.address for entry in frontends for member in entry.all_members}
        self._here.update(filter(self._routes.lead_to, addresses - self._here))

    def _drop(self, known: int) -> None:
        self._elements.remove(self._parts.pop(known))
        self._missing.pop(known, None)
        for address in {member.address for member in self._frontends[known].all_members}:
            self._at[address].discard(known)
            if not self._at[address]:
                del self._at[address]
                self._here.discard(address)

    def _put(self, fresh: int) -> None:
        frontend = self._frontends[fresh]
        for member in frontend.all_members:
            self._at.setdefault(member.address, set()).add(fresh)
        part = nft_rules.elements(frontend, self._here)
        self._parts[fresh] = part
        self._elements.add(part)
        missing = nft_rules.missing(frontend, self._here)
        if missing:
            self._missing[fresh] = missing


def _order(address: Address) -> tuple[int, int]:
    return (address.version, int(address))
