"""The node role: local members of every decision go to the node's backend."""

from collections.abc import Callable, Mapping

from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl.settings import Settings
from lbctl_dataplane.backends import choice
from lbctl_dataplane.backends.choice import Choice
from lbctl_dataplane.backends.port import Leg, NodeBackend
from lbctl_dataplane.decisions import View
from lbctl_dataplane.own_legs import OwnLegs
from lbctl_dataplane.roles import Programmed
from lbctl_dataplane.rules import local
from lbctl_dataplane.serving_node import Exemption

NO_POD_PORT = "NoPodPort"
_WAY = {choice.OVS: "no port of the switch for", choice.NFT: "no route of the node's own to"}


class NodeRole:
    """Programs one node."""

    name = "node"

    def __init__(
        self, node: str, backend: NodeBackend, chosen: Choice, own: OwnLegs | None = None
    ) -> None:
        self.backend = chosen
        self._own = own
        self._frontends = local.LocalFrontends(node)
        self._programs = backend

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return its own Node."""
        return self._own.stores if self._own is not None else {}

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow the backend's facts and the legs."""
        for store in self.stores.values():
            store.subscribe(lambda _: changed())
        await self._programs.follow(changed)

    async def program(self, view: View) -> Programmed:
        """Program what this node answers for."""
        wanted = self._frontends.of(view.services, view.endpoints)
        outcome = await self._programs.program(wanted)
        exceptions = tuple(
            Exemption(key, NO_POD_PORT, f"{_WAY[self.backend.name]} {', '.join(map(str, missing))}")
            for key, missing in sorted(outcome.missing.items())
        )
        complaint = self._own.complaint() if self._own is not None else ""
        return Programmed(outcome.changed, exceptions, complaint)

    def apply(self, settings: Settings) -> None:
        """Take the networks that legs lie in."""
        if self._own is not None:
            self._own.apply(settings)

    def legs(self) -> tuple[Leg, ...] | None:
        """Return the backend's legs."""
        return self._programs.legs()

    def excluded(self) -> str:
        """Return what its own Node says."""
        return self._own.excluded() if self._own is not None else ""
