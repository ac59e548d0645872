"""The node role: local members of every decision that work go to the node's backend."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl.settings import Settings
from lbctl.translate.failing import FailingMember
from lbctl_dataplane.backends import choice
from lbctl_dataplane.backends.choice import Choice
from lbctl_dataplane.backends.peers.forwarding import NoPeers, Peers
from lbctl_dataplane.backends.port import Leg, NodeBackend
from lbctl_dataplane.decisions import View
from lbctl_dataplane.drains import Drains
from lbctl_dataplane.health_ports import HealthPorts
from lbctl_dataplane.monitors.port import Monitors, NoMonitors
from lbctl_dataplane.own_legs import OwnLegs
from lbctl_dataplane.relay import NoRelay, Relay
from lbctl_dataplane.roles import Programmed
from lbctl_dataplane.rules import health_ports, local
from lbctl_dataplane.rules.draining import Drain
from lbctl_dataplane.rules.router.legs import Forwarding
from lbctl_dataplane.serving_node import Exemption

NO_POD_PORT = "NoPodPort"
_NO_ROUTE = "no route of the node's own to"
_WAY = {
    choice.OVS: "no port of the switch, as a pod of the host's network has none, for",
    choice.NFT: _NO_ROUTE,
    choice.IPVS: f"{_NO_ROUTE}, or a virtual server of somebody else before",
}


@dataclass(frozen=True, slots=True)
class Beside:
    """What a node has beside its backend; each may be absent."""

    own: OwnLegs | None = None
    monitors: Monitors = field(default_factory=NoMonitors)
    peers: Peers = field(default_factory=NoPeers)
    health: HealthPorts | None = None
    relay: Relay = field(default_factory=NoRelay)


class NodeRole:
    """Programs one node."""

    name = "node"

    def __init__(
        self,
        node: str,
        backend: NodeBackend,
        chosen: Choice,
        beside: Beside | None = None,
    ) -> None:
        beside = beside or Beside()
        self.backend = chosen
        self._own = beside.own
        self._health = beside.health
        self._asked = health_ports.Wanted(node)
        self._frontends = local.LocalFrontends(node)
        self._programs = backend
        self._monitors = beside.monitors
        self._peers = beside.peers
        self._relay = beside.relay
        self._drains = Drains()

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return Nodes, and what other nodes say."""
        return {**self._own_stores(), **self._relay.stores, **self._peers.stores}

    @property
    def relays(self) -> bool:
        """Tell whether it serves members on nodes without an agent."""
        return self._relay.active

    def _own_stores(self) -> Mapping[Resource, Store]:
        return self._own.stores if self._own is not None else {}

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow the backend's facts, the legs, the peers and the monitors; answer balancers."""
        if self._own is not None:
            self._own.follow(changed)
        self._peers.follow(changed)
        self._relay.follow(changed)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._programs.follow(changed))
            tasks.create_task(self._monitors.follow(changed))
            tasks.create_task(self._drains.follow(changed))
            if self._health is not None:
                tasks.create_task(self._health.follow())

    def restore(self, failing: tuple[FailingMember, ...], drains: tuple[Drain, ...]) -> None:
        """Let members that failed fail until they are proved to work, and drains go on."""
        self._monitors.restore(failing)
        self._drains.restore(drains)

    async def program(self, view: View) -> Programmed:
        """Program what this node answers for."""
        if self._health is not None:
            self._health.want(self._asked.of(view.services, view.endpoints))
        placed = self._relay.of(view)
        wanted = self._drains.of(self._frontends.of(view.services, placed.endpoints))
        verdict = self._monitors.judge(view.services, wanted)
        self._peers.prepare(view)
        outcome = await self._programs.program(verdict.frontends)
        forwarded = await self._peers.program(view)
        exceptions = tuple(
            Exemption(key, NO_POD_PORT, f"{_WAY[self.backend.name]} {', '.join(map(str, missing))}")
            for key, missing in sorted(outcome.missing.items())
        )
        legs = self._own.complaint() if self._own is not None else ""
        complaints = (legs, outcome.complaint, forwarded.complaint, self._relay.complaint)
        complaint = "; ".join(filter(None, complaints))
        changed = outcome.changed + forwarded.changed
        return Programmed(changed, exceptions, complaint, verdict.failing, self._drains.drains)

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

    def forwarding(self) -> Forwarding | None:
        """Return what it does for its peers since the last pass."""
        return self._peers.forwarding
