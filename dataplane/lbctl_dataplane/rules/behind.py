"""Who is behind which address, pass by pass; a pass costs what changed. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.pod_routes import PodRoutes


@dataclass(frozen=True, slots=True)
class Turn:
    """What one pass finds, by identity: a frontend that is the same object has not changed."""

    now: dict[int, Frontend]
    gone: frozenset[int]
    new: frozenset[int]


class Behind:
    """The frontends that are compiled, and which of them have a member at an address."""

    def __init__(self) -> None:
        self.frontends: dict[int, Frontend] = {}
        """By identity."""
        self._missing: dict[int, tuple[Address, ...]] = {}
        self._at: dict[Address, set[int]] = {}

    @property
    def missing(self) -> dict[str, tuple[Address, ...]]:
        """Return the members that get connections and can't be served, by virtual service."""
        found: dict[str, set[Address]] = {}
        for known, addresses in self._missing.items():
            found.setdefault(self.frontends[known].key, set()).update(addresses)
        return {key: tuple(sorted(found[key], key=_order)) for key in found}

    def turn(self, frontends: Sequence[Frontend]) -> Turn:
        """Return what is gone and what is new."""
        now = {id(entry): entry for entry in frontends}
        before = self.frontends.keys()
        return Turn(now, frozenset(before - now.keys()), frozenset(now.keys() - before))

    def at(self, addresses: Iterable[Address]) -> set[int]:
        """Return the frontends that have a member at one of these."""
        return {known for address in addresses for known in self._at.get(address, ())}

    def put(self, known: int) -> None:
        """Note where the members of a frontend are."""
        for address in addresses_of(self.frontends[known]):
            self._at.setdefault(address, set()).add(known)

    def lack(self, known: int, missing: tuple[Address, ...]) -> None:
        """Note which members of a frontend can't be served."""
        if missing:
            self._missing[known] = missing

    def drop(self, known: int) -> frozenset[Address]:
        """Forget a frontend; return the addresses where nobody has a member any more."""
        self._missing.pop(known, None)
        left: set[Address] = set()
        for address in addresses_of(self.frontends[known]):
            self._at[address].discard(known)
            if not self._at[address]:
                del self._at[address]
                left.add(address)
        return frozenset(left)


class Reached(Behind):
    """The same where members are reached by the node's routes."""

    def __init__(self) -> None:
        super().__init__()
        self.here: set[Address] = set()
        """Addresses of members that can be reached."""
        self._routes = PodRoutes()

    def follow(self, routes: PodRoutes) -> set[int]:
        """Take routes; return the frontends that have a member which is reached otherwise now."""
        if routes is self._routes:
            return set()
        self._routes = routes
        here = set(filter(routes.lead_to, self._at))
        moved = here ^ self.here
        self.here = here
        return self.at(moved)

    def put(self, known: int) -> None:
        """Note where the members of a frontend are, and whether they are reached."""
        fresh = addresses_of(self.frontends[known]) - self._at.keys()
        self.here.update(filter(self._routes.lead_to, fresh))
        super().put(known)

    def drop(self, known: int) -> frozenset[Address]:
        """Forget a frontend; return the addresses where nobody has a member any more."""
        left = super().drop(known)
        self.here -= left
        return left


def addresses_of(frontend: Frontend) -> set[Address]:
    """Return where a frontend's members are."""
    return {member.address for member in frontend.all_members}


def _order(address: Address) -> tuple[int, int]:
    return (address.version, int(address))
