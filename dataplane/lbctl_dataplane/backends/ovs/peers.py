"""Forwarding to peers by Open vSwitch: flows beside those of the node's own members."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl.model import errors
from lbctl_dataplane.backends.ovs import backend as switches
from lbctl_dataplane.backends.peers import forwarding as peers
from lbctl_dataplane.backends.peers.forwarding import Forwarded
from lbctl_dataplane.backends.peers.nodes import PeerNodes
from lbctl_dataplane.decisions import View
from lbctl_dataplane.rules import asking, constants, own_legs
from lbctl_dataplane.rules.ovs import peers as ovs_peers
from lbctl_dataplane.rules.ovs import pipeline
from lbctl_dataplane.rules.ovs.peers import FlowsDrawing, Part
from lbctl_dataplane.rules.peers import peering
from lbctl_dataplane.rules.peers.peering import Peering
from lbctl_dataplane.rules.router.legs import Forwarding, Network

ANSWER_S = 0.1
"""Time between two questions for a gateway that has not answered."""
LOOK_S = 30.0
"""Time between two looks whether gateways are still known, where the switch did not restart."""
_NO_LINK = (
    "backend ovs forwards to peers on its own link only, and no leg says which that is: "
    f"{own_legs.ANNOTATION}=ADDRESS/LENGTH via GATEWAY"
)


class Link(peers.Way, Protocol):
    """Where a node stands in the fabric, and who else is there."""

    def networks(self) -> tuple[Network, ...]:
        """Return the networks of the legs' links; those of legs that name none are not known."""
        ...


class SwitchPeers:
    """Owns the tables for peers in the switch of a backend."""

    def __init__(
        self, node: str, backend: switches.OvsBackend, link: Link, *, everywhere: bool
    ) -> None:
        """Forward everywhere by weight, or only what this node has no members of."""
        self._node, self._backend, self._link = node, backend, link
        self._everywhere = everywhere
        self._nodes = PeerNodes()
        self._drawn_for: tuple[object, ...] = ()
        self._again_at, self._asked_of = 0.0, 0
        self._unanswered = frozenset({4, 6})
        """IP versions of links whose gateway is not known."""
        self._peering = self._draw(pipeline.Ground(0, "", ""), {})

    def _draw(self, switch: pipeline.Ground, gateways: Mapping[int, str]) -> Peering[Part]:
        drawing = FlowsDrawing(switch, gateways)
        return Peering(self._backend.parts, drawing, everywhere=self._everywhere)

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return ServingNodes."""
        return self._nodes.stores

    def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` from now on whenever a node says what moves connections."""
        self._nodes.follow(changed, self._awaits)

    def _awaits(self, node: str) -> bool:
        return self._peering.awaits(node)

    def prepare(self, view: View) -> None:
        """Want what peers have members for beside the frontends, for one bundle with them.

        A bundle without it would take away what an agent before left, and all that was learned.
        """
        nodes = ovs_peers.addressed(self._nodes.now())
        self._stand_on(pipeline.without_pods(self._backend.facts()))
        self._peering.update(self._nodes.known(view, nodes), nodes, self._ground())

    async def program(self, view: View) -> Forwarded:
        """See that gateways are known; the backend has programmed what was prepared."""
        try:
            await self._ask()
        except errors.LbctlError as error:
            return Forwarded(complaint=f"gateways are not asked for: {error}")
        return Forwarded(complaint=self._complaint())

    def _ground(self) -> peering.Ground:
        return peering.Ground(self._node, self._link.networks())

    def _stand_on(self, switch: pipeline.Ground) -> None:
        gateways: dict[int, str] = {at.version: str(at) for at in self._link.gateways()}
        drawn_for = (switch, gateways)
        if drawn_for != self._drawn_for:
            self._peering.clear()
            self._peering = self._draw(switch, gateways)
            self._drawn_for, self._again_at = drawn_for, 0.0

    async def _ask(self) -> None:
        """Ask for gateways until they have answered: answers to what peers pass on go there."""
        clock = asyncio.get_running_loop().time
        known = self._asked_of == self._backend.switch_started and clock() < self._again_at
        if known or not self._link.networks():
            return
        self._asked_of = self._backend.switch_started
        facts = self._backend.facts()
        legs = {leg.version: leg for leg in facts.legs}
        dump = await self._backend.dump_table(constants.TABLE_GATEWAYS)
        wanted = frozenset(network.version for network in self._link.networks())
        self._unanswered = wanted - ovs_peers.gateways_known(dump)
        self._again_at = clock() + (ANSWER_S if self._unanswered else LOOK_S)
        for gateway in self._link.gateways():
            if gateway.version in self._unanswered:
                question = asking.question(facts.service_mac, legs[gateway.version], gateway)
                await self._backend.emit(question)

    @property
    def forwarding(self) -> Forwarding | None:
        """Return how it takes part; None while answers to what peers pass on find no way."""
        if self._unanswered:
            return None
        networks = self._link.networks()
        return Forwarding(self._everywhere, networks) if networks else None

    def _complaint(self) -> str:
        if not self._link.networks():
            return _NO_LINK if self._everywhere else ""
        if not self._unanswered:
            return ""
        families = " and ".join(f"IPv{version}" for version in sorted(self._unanswered))
        return (
            f"peers pass nothing on to this node while no gateway of {families} has answered: name "
            f"it in {own_legs.ANNOTATION}=ADDRESS/LENGTH via GATEWAY"
        )
