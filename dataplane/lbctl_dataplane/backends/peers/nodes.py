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


class PeerNodes:
    """Nodes that packets may be passed on to; parsed when one of them says something new."""

    def __init__(self) -> None:
        self._store = Store(transform=serving_nodes.trim)
        self._nodes: dict[str, ServingNode] | None = None
        self._taking: dict[str, ServingNode] = {}
        self._placing = Placing()

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return ServingNodes."""
        return {resources.SERVING_NODES: self._store}

    def now(self) -> Mapping[str, ServingNode]:
        """Return them by name."""
        self._all()
        return self._taking

    def placed(self, view: View) -> View:
        """Return a view in which relays have what nobody serves on its own node."""
        return self._placing.of(view, self._all())

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
