"""What one node programs, by views that follow each other; a view costs what changed. Pure."""

from collections.abc import Sequence
from itertools import chain

from lbctl.model.virtual_service import VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.claimants import Claimants
from lbctl_dataplane.rules.frontend import Endpoints, Frontend


class LocalFrontends:
    """The frontends of one node. What did not change is the same object in the next answer."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._claimants = Claimants()
        self._behind: dict[str, tuple[Endpoint, ...]] = {}
        self._made: dict[str, tuple[Frontend, ...]] = {}
        self._in_order = True
        self._all: tuple[Frontend, ...] = ()

    def of(self, services: Sequence[VirtualService], endpoints: Endpoints) -> tuple[Frontend, ...]:
        """Return the frontends by virtual service; among them those that nobody serves here."""
        dirty = self._claimants.update(services)
        before, self._behind = self._behind, dict(endpoints)
        dirty |= {key for key, found in endpoints.items() if before.get(key) is not found}
        dirty |= before.keys() - endpoints.keys()
        for key in dirty:
            self._make(key)
        if not self._in_order:
            self._made, self._in_order = dict(sorted(self._made.items())), True
        if dirty:
            self._all = tuple(chain.from_iterable(self._made.values()))
        return self._all

    def _make(self, key: str) -> None:
        behind = self._behind.get(key, ())
        before = self._made.get(key)
        known = {entry: entry for entry in before or ()}
        found = (
            frontend.frontend_of(claim, behind, self._node) for claim in self._claimants.of(key)
        )
        made = tuple(known.get(entry, entry) for entry in found)
        if made:
            self._in_order = self._in_order and before is not None
            self._made[key] = made
        elif before is not None:
            del self._made[key]
