"""What the nodes of a cluster say about themselves, watched by those who forward to them."""

from collections.abc import Callable, Mapping

from lbctl.kube import resources
from lbctl.kube.resources import Resource
from lbctl.kube.store import Change, Store
from lbctl_dataplane import serving_nodes
from lbctl_dataplane.decisions import View
from lbctl_dataplane.placing import Placing
from lbctl_dataplane.rules.peers import peering
from lbctl_dataplane.rules.router.legs import ServingNode
from lbctl_dataplane.rules.router.sharing import Known
from lbctl_dataplane.working import Working


class PeerNodes:
    """Nodes that packets may be passed on to; parsed when one of them says something new."""

    def __init__(self) -> None:
        self._store = Store(transform=serving_nodes.trim)
        self._nodes: dict[str, ServingNode] | None = None
        self._taking: dict[str, ServingNode] = {}
        self._placing = Placing()
        self._working = Working()

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return ServingNodes."""
        return {resources.SERVING_NODES: self._store}

    def now(self) -> Mapping[str, ServingNode]:
        """Return them by name."""
        self._all()
        return self._taking

    def known(self, view: View, able: Mapping[str, ServingNode]) -> Known:
        """Return a view as shares are worked out from it.

        Relays have what nobody serves on its own node; members that one of the `able` calls failing
        are none.
        """
        placed = self._placing.of(view, self._all())
        return serving_nodes.known(self._working.of(placed, able.values()))

    def _all(self) -> Mapping[str, ServingNode]:
        if self._nodes is None:
            self._nodes = serving_nodes.parse_nodes(self._store)
            self._taking = peering.taking(self._nodes)
        return self._nodes

    def follow(self, changed: Callable[[], None], awaits: Callable[[str], bool]) -> None:
        """Call `changed` from now on whenever a node says what moves connections.

        All nodes acknowledge what happens anywhere: mostly nobody here `awaits` it.
        """

        def on_change(change: Change) -> None:
            if not serving_nodes.concerns(change):
                return
            self._nodes = None
            if awaits(change.key) or not serving_nodes.acknowledges(change):
                changed()

        self._store.subscribe(on_change)
