"""The node role: local members of every decision go to the node's backend."""

from collections.abc import Callable, Mapping

from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl_dataplane.backends.port import Leg, NodeBackend
from lbctl_dataplane.decisions import View
from lbctl_dataplane.roles import Programmed
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.serving_node import Exemption

NO_POD_PORT = "NoPodPort"


class NodeRole:
    """Programs one node."""

    name = "node"

    def __init__(self, node: str, backend: NodeBackend, backend_name: str) -> None:
        self.backend = backend_name
        self._frontends = frontend.Frontends(node)
        self._programs = backend

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return nothing: decisions and endpoints are all a node needs."""
        return {}

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow the backend's facts."""
        await self._programs.follow(changed)

    async def program(self, view: View) -> Programmed:
        """Program what this node answers for."""
        wanted = self._frontends.of(view.services, view.endpoints)
        outcome = await self._programs.program(wanted)
        exceptions = tuple(
            Exemption(key, NO_POD_PORT, f"no port of the switch for {', '.join(map(str, missing))}")
            for key, missing in sorted(outcome.missing.items())
        )
        return Programmed(outcome.changed, exceptions)

    def legs(self) -> tuple[Leg, ...] | None:
        """Return the backend's legs."""
        return self._programs.legs()
