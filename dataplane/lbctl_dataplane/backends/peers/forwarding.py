"""Forwarding to peers: what this node has no member for goes on, unmodified, to one that has."""

import asyncio
import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl.model import errors
from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import commands
from lbctl_dataplane.backends.peers import vxlan
from lbctl_dataplane.backends.peers.nodes import PeerNodes
from lbctl_dataplane.backends.tables.generation import Others
from lbctl_dataplane.backends.tables.kernel_table import KernelTable
from lbctl_dataplane.decisions import View
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.peers import layout, peering, tunnel
from lbctl_dataplane.rules.peers.peering import Ground, Peering
from lbctl_dataplane.rules.router.legs import Forwarding, Network
from lbctl_dataplane.rules.tables.elements import KeptTable

RETRY_S = 4.5
"""Time between two tries: less than from one pass to the next where nothing happens."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What one pass did."""

    changed: int = 0
    complaint: str = ""
    """Why nothing, or not all, is forwarded, with the cure; empty when all is well."""


class Peers(Protocol):
    """What a node does with packets that its peers should have."""

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return what it watches."""
        ...

    @property
    def forwarding(self) -> Forwarding | None:
        """Return what it did at the last pass; None: it passed nothing on."""
        ...

    def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` from now on whenever peers say something else."""
        ...

    def prepare(self, view: View) -> None:
        """Say what it wants of the backend, which is programmed next; raises as `program` there."""
        ...

    async def program(self, view: View) -> Forwarded:
        """Make it so; idempotent. What fails is a complaint: members here are served anyhow."""
        ...


class Way(Protocol):
    """Where a node stands in the fabric: see `lbctl_dataplane.own_legs.OwnLegs`."""

    def now(self) -> tuple[Address, ...]:
        """Return the legs in force. Raises Unavailable before anything is known of them."""
        ...

    def gateways(self) -> tuple[Address, ...]:
        """Return the gateways of those that name one."""
        ...


class NoPeers:
    """For backends that can't forward."""

    forwarding: Forwarding | None = None

    def __init__(self, complaint: str = "") -> None:
        """Complain where somebody asked for it."""
        self._complaint = complaint
        self.stores: Mapping[Resource, Store] = {}

    def follow(self, changed: Callable[[], None]) -> None:
        """Follow nothing."""

    def prepare(self, view: View) -> None:
        """Want nothing."""

    async def program(self, view: View) -> Forwarded:
        """Forward nothing."""
        return Forwarded(complaint=self._complaint)


class PeersOff(NoPeers):
    """For nodes that could forward and must not: takes away what an agent before left."""

    _swept = False

    async def program(self, view: View) -> Forwarded:
        """Forward nothing, from the first pass on."""
        if not self._swept:
            try:
                await remove()
            except errors.LbctlError as error:
                return Forwarded(complaint=f"peers may still be sent packets: {error}")
            self._swept = True
        return Forwarded()


@dataclass(frozen=True, slots=True)
class _Service:
    """The service interface as the kernel shows it."""

    networks: tuple[Network, ...]
    mtu: int
    index: int


class PeerForwarder:
    """Owns the tables `lbctl-peers` and the tunnel to peers on other links."""

    def __init__(
        self,
        node: str,
        service_interface: str,
        way: Way,
        *,
        everywhere: bool,
        others: Others | None = None,
    ) -> None:
        """Forward everywhere by weight, or only what this node has no members of."""
        self._others = others
        self._node, self._interface = node, service_interface
        self._way, self._everywhere = way, everywhere
        self._nodes = PeerNodes()
        self._service: _Service | None = None
        self._vxlan: vxlan.Vxlan | None = None
        self._filtered = False
        self.forwarding: Forwarding | None = None
        self._again_at, self._failed = 0.0, Forwarded()
        self._begin()

    def _begin(self) -> None:
        name = constants.TUNNEL_DEVICE if self._vxlan is not None else ""
        kept = KeptTable(layout.table(self._interface, name))
        self._table = KernelTable(kept, self._others)
        drawing = peering.ElementsDrawing()
        self._peering = Peering(kept.elements, drawing, everywhere=self._everywhere)

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
        """Want nothing: its tables are its own."""

    async def program(self, view: View) -> Forwarded:
        """Forward what peers have members for; see `Peers.program`.

        What failed is tried again after a while: a kernel may lack what it takes for ever.
        """
        clock = asyncio.get_running_loop().time
        if clock() < self._again_at:
            return self._failed
        try:
            changed = await self._program(view)
        except errors.LbctlError as error:
            self._service = self.forwarding = None
            self._table.distrust()
            self._again_at = clock() + RETRY_S
            self._failed = Forwarded(complaint=f"nothing new is forwarded to peers: {error}")
            return self._failed
        return Forwarded(changed, self._complaint())

    async def _program(self, view: View) -> int:
        nodes = self._nodes.now()
        service, legs = await self._look(), self._way.now()
        underlay = legs[0].version if legs else 0
        ground = Ground(self._node, service.networks, underlay, service.index)
        changed = await self._dig(peering.far(nodes, ground), legs, service.mtu)
        if self._vxlan is not None:
            ground = replace(ground, tunnel=self._vxlan.index)
        self._peering.update(self._nodes.known(view, nodes), nodes, ground)
        changed += await self._table.make_it_so()
        self.forwarding = Forwarding(self._everywhere, service.networks)
        return changed

    async def _look(self) -> _Service:
        """Return the service interface as it was at the last audit, or is when that is due."""
        known = self._service
        if known is not None and not self._table.audit_due():
            return known
        found = self._service = await _look(self._interface)
        if known is not None and known.index != found.index:
            # It was made anew: with the one before a kernel may have dropped the hook.
            self._table.distrust()
        if self._vxlan is not None:
            self._vxlan.distrust()
        return found

    async def _dig(self, far: tuple[peering.Far, ...], legs: tuple[Address, ...], mtu: int) -> int:
        """Have a tunnel to peers on other links; once there is one it stays."""
        if self._vxlan is None and far:
            self._vxlan = vxlan.Vxlan(self._interface, self._others)
            self._begin()
        if self._vxlan is None:
            return 0
        wanted = tunnel.device(peering.tunnel_mac(self._node), legs[0], mtu)
        before = self._vxlan.index
        changed = await self._vxlan.make_it_so(wanted, tunnel.entries(far, self._way.gateways()))
        if before not in (0, self._vxlan.index):
            self._table.distrust()
        self._filtered = vxlan.strictly_filtered()
        return changed

    def _complaint(self) -> str:
        if not self._filtered:
            return ""
        name = constants.TUNNEL_DEVICE
        return (
            "what peers on other links forward is dropped here by a strict reverse-path filter: "
            f"set net.ipv4.conf.{name}.rp_filter and net.ipv4.conf.all.rp_filter to 0 or 2"
        )


async def _look(interface: str) -> _Service:
    (found, *_) = json.loads(await commands.run("ip", "-j", "address", "show", "dev", interface))
    networks = (
        ipaddress.ip_network(f"{entry['local']}/{entry['prefixlen']}", strict=False)
        for entry in found.get("addr_info", ())
        if entry.get("scope") == "global"
    )
    return _Service(tuple(networks), int(found["mtu"]), int(found["ifindex"]))


async def remove() -> None:
    """Take away tables, routes and tunnel, whichever agent made them. Raises Unavailable."""
    names = (layout.NAME, layout.ANSWERS_NAME)
    # Adding first makes the deletion work whether or not there is a table.
    lines = (f"{verb} table {name}\n" for name in names for verb in ("add", "delete"))
    await commands.run("nft", "-f", "-", stdin="".join(lines))
    await vxlan.forget_routes()
    if (await vxlan.look()).there:
        await commands.run("ip", "link", "del", constants.TUNNEL_DEVICE)
