"""Which pools of settings and objects give addresses, and by which spec. Pure.

An object that says something that can't be gives by its last good spec, which its status keeps:
an edit takes addresses neither from the pool itself nor from another one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lbctl.ipam.owners import Owners
from lbctl.ipam.pools import AddressPools
from lbctl.model.pool import AddressPool, DeclaredPool, overlap
from lbctl.model.reasons import Reason, Refused


@dataclass(frozen=True, slots=True)
class Resolved:
    """Which pools give addresses, and why what others say does not count."""

    pools: AddressPools = field(default_factory=AddressPools)
    refused: Mapping[str, Refused] = field(default_factory=dict)
    """By the name of the AddressPool object."""
    lasting: frozenset[str] = frozenset()
    """Those of the refused that give by their last good spec; the others give nothing."""

    def gives(self, name: str) -> bool:
        """Tell whether the AddressPool object of a name gives addresses, by whichever spec."""
        return name in self.lasting or name not in self.refused


def resolve(configured: Sequence[AddressPool], declared: Iterable[DeclaredPool]) -> Resolved:
    """Return the pools of the settings, and of the objects those that may stand beside them.

    The settings count before objects, what stands already before what is new, and of what is new
    older objects before newer ones. Once the last good specs are kept as this says, it says the
    same again.
    """
    standing = _Standing(configured)
    entries = sorted(declared, key=lambda entry: (entry.created, entry.name))
    for entry in entries:
        if entry.accepted is not None:
            standing.take(entry.name, entry.accepted)
    waiting = [entry for entry in entries if not standing.has(entry)]
    refused: dict[str, Refused] = {}
    while waiting:
        refused = standing.take_all(waiting)
        if len(refused) == len(waiting):
            break
        # One that took its new place left its old one: there may be room now for another.
        waiting = [entry for entry in waiting if entry.name in refused]
    return Resolved(AddressPools(standing.pools), refused, standing.objects & refused.keys())


class _Standing:
    """Pools without an address in common; those of the settings stay, others may be exchanged."""

    def __init__(self, configured: Sequence[AddressPool]) -> None:
        self._owners = Owners()
        self._configured = {pool.name: pool for pool in configured}
        self._declared: dict[str, AddressPool] = {}
        for pool in configured:
            self._owners.add(pool)

    @property
    def pools(self) -> tuple[AddressPool, ...]:
        """Return all of them."""
        return (*self._configured.values(), *self._declared.values())

    @property
    def objects(self) -> frozenset[str]:
        """Return the names of those that are objects."""
        return frozenset(self._declared)

    def has(self, entry: DeclaredPool) -> bool:
        """Tell whether an object stands as it says."""
        return self._declared.get(entry.name) == entry.pool

    def take_all(self, entries: Iterable[DeclaredPool]) -> dict[str, Refused]:
        """Take what fits, one after the other; return why others do not, by name."""
        verdicts = {entry.name: self.take(entry.name, entry.pool) for entry in entries}
        return {name: verdict for name, verdict in verdicts.items() if verdict is not None}

    def take(self, name: str, wanted: AddressPool | Refused) -> Refused | None:
        """Let an object stand for this in the place of what it stood for, or say why not."""
        if isinstance(wanted, Refused):
            return wanted
        if name in self._configured:
            return Refused(Reason.NAME_TAKEN, f"the settings have a pool called {name}")
        before = self._declared.get(name)
        if before is not None:
            self._owners.remove(before)
        other = self._owners.meeting(wanted)
        kept = wanted if other is None else before
        if kept is not None:
            self._owners.add(kept)
            self._declared[name] = kept
        return Refused(Reason.OVERLAPS, overlap(wanted, other)) if other is not None else None
