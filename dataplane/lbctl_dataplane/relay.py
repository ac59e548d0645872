"""Members on nodes without an agent: who is asked for them, and what a node that serves them does.

See `lbctl.translate.remote` for whose members these are.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from lbctl.kube import resources
from lbctl.kube.objects import Json, name_of
from lbctl.kube.resources import Resource
from lbctl.kube.store import Change, Store
from lbctl.model.virtual_service import Address
from lbctl.translate import remote
from lbctl.translate.remote import Hosts
from lbctl_dataplane import serving_nodes
from lbctl_dataplane.decisions import View
from lbctl_dataplane.placing import Placing
from lbctl_dataplane.rules.router.legs import ServingNode


class Relay(Protocol):
    """What a node does for members on nodes without an agent."""

    @property
    def active(self) -> bool:
        """Tell whether it serves them."""
        ...

    @property
    def complaint(self) -> str:
        """Return why it does not although it should, with the cure; empty: nothing is wrong."""
        ...

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return what it watches."""
        ...

    def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` from now on whenever other members are its own."""
        ...

    def of(self, view: View) -> View:
        """Return a view in which the members that the node serves are on it."""
        ...


class NoRelay:
    """For nodes that serve their own members."""

    active = False

    def __init__(self, complaint: str = "") -> None:
        """Complain where somebody asked for more."""
        self.complaint = complaint
        self.stores: Mapping[Resource, Store] = {}

    def follow(self, changed: Callable[[], None]) -> None:
        """Follow nothing."""

    def of(self, view: View) -> View:
        """Return the view itself."""
        return view


class NodePortRelay:
    """For nodes that serve members on nodes without an agent, by these nodes' node ports."""

    active = True
    complaint = ""

    def __init__(self, node: str, nodes: Store, told: Store | None = None) -> None:
        """Read from Nodes as `own_legs.OwnLegs` keeps them, and ServingNodes where `told` has them.

        Where nobody watches ServingNodes yet it does so itself.
        """
        self._node = node
        self._nodes = nodes
        self._told = told if told is not None else Store(transform=serving_nodes.trim)
        self._placing = Placing()
        self._crew: dict[str, ServingNode] | None = None
        self._hosts: Hosts | None = None

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return ServingNodes; Nodes are somebody else's."""
        return {resources.SERVING_NODES: self._told}

    def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` from now on whenever a node comes, goes, or is reached elsewhere."""

        def on_serving_node(change: Change) -> None:
            if serving_nodes.concerns(change) and not serving_nodes.acknowledges(change):
                self._crew = None
                changed()

        def on_node(change: Change) -> None:
            if remote.addresses(change.old or {}) != remote.addresses(change.new or {}):
                self._hosts = None
                changed()

        self._told.subscribe(on_serving_node)
        self._nodes.subscribe(on_node)

    def of(self, view: View) -> View:
        """Return a view in which this node, among others, has what no agent serves elsewhere."""
        if self._crew is None:
            found = serving_nodes.parse_nodes(self._told)
            # Before others are told that this node relays, it does.
            own = found.get(self._node) or ServingNode(self._node, (), 0, 0)
            self._crew = {**found, self._node: replace(own, relay=True)}
        if self._hosts is None:
            self._hosts = hosts(self._nodes)
        return self._placing.of(view, self._crew, self._hosts)


def hosts(nodes: Iterable[Json]) -> dict[tuple[str, int], Address]:
    """Return where Nodes are reached, by name and IP version."""
    return {
        (name_of(node), version): address
        for node in nodes
        for version, address in remote.addresses(node).items()
    }
