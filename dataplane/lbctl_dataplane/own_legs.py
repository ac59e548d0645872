"""What a node is told about itself: its legs, by settings or its own Node, and its exclusion."""

from collections.abc import Callable, Mapping

from lbctl.kube import resources
from lbctl.kube.objects import Json, metadata, name_of
from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl.model import errors
from lbctl.model.virtual_service import Address
from lbctl.settings import Settings
from lbctl_dataplane.rules import exclusion, own_legs

LAST = "lastLegs"
"""In the stored Node: the legs that were in force, so that a restart knows them too."""
EXCLUDED = "excluded"
"""In the stored Node: why it is excluded."""


class OwnLegs:
    """The legs of one node; those in force stay while what is said about them is wrong."""

    def __init__(self, node: str, settings: Settings) -> None:
        self._node = node
        self._given = settings.agent.legs
        self._networks = _networks(settings)
        self._last: tuple[own_legs.OwnLeg, ...] = ()
        self._nodes = Store(transform=self._trim)

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return what must be watched: its Node."""
        return {resources.NODES: self._nodes}

    @property
    def nodes(self) -> Store:
        """Return its Node as it is kept, and of other Nodes what relays read."""
        return self._nodes

    def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` from now on whenever its Node says something else."""
        self._nodes.subscribe(lambda change: changed() if change.key == self._node else None)

    def excluded(self) -> str:
        """Return why the fabric should spare this node; empty when it should not.

        A Node that is gone or was not read yet asks for nothing.
        """
        node = self._nodes.get(self._node) or {}
        return str(node.get(EXCLUDED, ""))

    def apply(self, settings: Settings) -> None:
        """Take the networks that legs may lie in; `agent.legs` needs a restart."""
        self._networks = _networks(settings)

    def now(self) -> tuple[Address, ...]:
        """Return the legs in force. Raises Unavailable before anything is known of them."""
        return tuple(leg.address for leg in self._in_force())

    def gateways(self) -> tuple[Address, ...]:
        """Return where the legs' answers go, at most one address per family; raises as `now`."""
        return tuple(leg.gateway for leg in self._in_force() if leg.gateway)

    def networks(self) -> tuple[own_legs.Network, ...]:
        """Return the networks of the legs' links that are said; raises as `now`."""
        return tuple(leg.network for leg in self._in_force() if leg.network)

    def _in_force(self) -> tuple[own_legs.OwnLeg, ...]:
        # Not known is not none: without legs the switch would stop to answer for them.
        read = self._nodes.synced.is_set() or self._nodes.get(self._node) is not None
        if not self._given and not read:
            raise errors.Unavailable(f"legs: Node {self._node} was not read yet")
        found = self._found()
        self._last = own_legs.in_force(found, self._last) if found is not None else self._last
        return self._last

    def complaint(self) -> str:
        """Return what is wrong with the legs and the cure; empty when nothing is."""
        found = self._found()
        if found is None:
            return (
                f"there is no Node {self._node} to read legs from: --node must be the Node's name"
            )
        legs = own_legs.in_force(found, self._last)
        if found.faults:
            rest = f"in force: {', '.join(map(str, legs))}" if legs else "no leg is in force"
            return f"{'; '.join(found.faults)} ({rest})"
        if not legs:
            return (
                f"no service leg, so no traffic comes here: kubectl annotate node {self._node} "
                f"{own_legs.ANNOTATION}=ADDRESS[,ADDRESS], or set agent.legs"
            )
        return ""

    def _found(self) -> own_legs.Reading | None:
        """Return what is said now, None where there is no such Node."""
        if self._given:
            return own_legs.read(self._given, "setting agent.legs", self._networks)
        node = self._nodes.get(self._node)
        return self._read(node) if node is not None else None

    def _read(self, node: Json) -> own_legs.Reading:
        text = str((metadata(node).get("annotations") or {}).get(own_legs.ANNOTATION, ""))
        place = f"annotation {own_legs.ANNOTATION} of Node {self._node}"
        return own_legs.read(text.split(","), place, self._networks)

    def _trim(self, node: Json) -> Json:
        meta = metadata(node)
        if name_of(node) != self._node:
            return _trim_other(node)
        if not self._last:
            self._last = tuple(own_legs.parse(text) for text in node.get(LAST, ()))
        self._last = own_legs.in_force(self._read(node), self._last)
        text = (meta.get("annotations") or {}).get(own_legs.ANNOTATION, "")
        return {
            "metadata": {
                **{key: meta.get(key) for key in ("name", "resourceVersion")},
                "annotations": {own_legs.ANNOTATION: text},
            },
            LAST: [str(leg) for leg in self._last],
            EXCLUDED: self._exclusion(node),
        }

    def _exclusion(self, node: Json) -> str:
        if EXCLUDED in node:  # restored from disk, where labels and taints are not
            return str(node[EXCLUDED])
        taints = (node.get("spec") or {}).get("taints") or ()
        return exclusion.exclusion(metadata(node).get("labels") or {}, taints)


def _trim_other(node: Json) -> Json:
    """Return another Node with what relays read."""
    meta = metadata(node)
    addresses = (node.get("status") or {}).get("addresses") or ()
    return {
        "metadata": {key: meta.get(key) for key in ("name", "resourceVersion")},
        "status": {"addresses": [one for one in addresses if one.get("type") == "InternalIP"]},
    }


def _networks(settings: Settings) -> tuple[str, ...]:
    return tuple(cidr for network in settings.network.node_network_list for cidr in network.cidrs)
