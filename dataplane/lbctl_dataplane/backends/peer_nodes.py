"""What the nodes of a cluster say about themselves, watched by those who forward to them."""

from collections.abc import Callable, Mapping

from lbctl.kube import resources
from lbctl.kube.resources import Resource
from lbctl.kube.store import Change, Store
from lbctl_dataplane import serving_nodes
from lbctl_dataplane.rules import peering
from lbctl_dataplane.rules.legs import ServingNode


class PeerNodes:
    """Nodes that packets may be passed on to; parsed when one of them says something new."""

    def __init__(self) -> None:
        self._store = Store(transform=serving_nodes.trim)
        self._nodes: dict[str, ServingNode] | None = None

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return ServingNodes."""
        return {resources.SERVING_NODES: self._store}

    def now(self) -> Mapping[str, ServingNode]:
        """Return them by name."""
        if self._nodes is None:
            self._nodes = peering.taking(serving_nodes.parse_nodes(self._store))
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
