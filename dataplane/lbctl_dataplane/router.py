"""The router role: VIP traffic of a Linux fabric goes to the nodes that can take it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from lbctl.kube import resources
from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl.settings import Settings
from lbctl.translate.failing import FailingMember
from lbctl_dataplane import serving_nodes
from lbctl_dataplane.backends.choice import Choice
from lbctl_dataplane.backends.port import Leg
from lbctl_dataplane.backends.router import kernel
from lbctl_dataplane.decisions import View
from lbctl_dataplane.placing import Placing
from lbctl_dataplane.roles import Programmed
from lbctl_dataplane.router_table import RouterTable
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.draining import Drain
from lbctl_dataplane.serving_node import Exemption
from lbctl_dataplane.working import Working

log = logging.getLogger(__name__)

NO_LEG = "NoLeg"


class Linux(Protocol):
    """The kernel of a router: see `lbctl_dataplane.backends.routes.LinuxRouter`."""

    async def observe(self) -> kernel.Kernel:
        """Return what is ours; the same object while nothing changed but what was applied."""
        ...

    async def apply(self, wanted: kernel.Wanted, found: kernel.Kernel) -> int:
        """Make it so; return the number of changes."""
        ...

    def let_through(self, device: str) -> None:
        """Let answers from VIPs in by a leg's device."""
        ...


@dataclass(frozen=True, slots=True)
class Fabric:
    """What the Fabric object says to this router."""

    client_interfaces: frozenset[str]


class RouterRole:
    """Programs one Linux router."""

    name = "router"
    relays = False
    backend = Choice("linux", "role router")

    def __init__(self, node: str, linux: Linux, *, answer_pings: bool = True) -> None:
        self._node = node
        self._linux = linux
        self._nodes = Store(transform=serving_nodes.trim)
        self._fabrics = Store()
        self._checked: frozenset[str] = frozenset()
        self._table = RouterTable(answer_pings=answer_pings)
        self._placing = Placing()
        self._working = Working()

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return ServingNodes and Fabrics."""
        return {resources.SERVING_NODES: self._nodes, resources.FABRICS: self._fabrics}

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow ServingNodes of nodes and Fabrics (their watches run elsewhere)."""
        serving_nodes.follow(self._nodes, changed)
        self._fabrics.subscribe(lambda _: changed())

    def apply(self, settings: Settings) -> None:
        """Take nothing: what a router does stands in the Fabric."""

    def restore(self, failing: tuple[FailingMember, ...], drains: tuple[Drain, ...]) -> None:
        """Take nothing: a router asks no members."""

    def legs(self) -> tuple[Leg, ...]:
        """Return none: traffic comes to a router by routing."""
        return ()

    def excluded(self) -> str:
        """Return nothing: who sends traffic to a router is not ours to say."""
        return ""

    def forwarding(self) -> None:
        """Return None: a router has no peers."""

    async def program(self, view: View) -> Programmed:
        """Spread every decision's traffic over the nodes that can take it."""
        found = await self._linux.observe()
        fabric = fabric_of(self._fabrics, self._node)
        self._table.read_back(found)
        if fabric is None:
            self._table.want_nothing()
        else:
            nodes = serving_nodes.parse_nodes(self._nodes)
            view = self._working.of(self._placing.of(view, nodes), nodes.values())
            self._table.want(serving_nodes.known(view), nodes, fabric.client_interfaces)
            self._let_through(self._table.devices)
        wanted, part = self._table.parts()
        changed = await self._linux.apply(wanted, part)
        self._table.took()
        return Programmed(changed, self._unserved(view, fabric))

    def _unserved(self, view: View, fabric: Fabric | None) -> tuple[Exemption, ...]:
        unserved = self._table.unserved
        if fabric is None:
            why = self._missing_fabric()
            claims = frontend.claims(view.services)
            unserved = {
                claim.service.key: why
                for claim in claims
                if frontend.usable_at(claim, view.behind[claim.service.key].endpoints)
            }
        return tuple(Exemption(key, NO_LEG, unserved[key]) for key in sorted(unserved))

    def _missing_fabric(self) -> str:
        return f"no Fabric with driver linux names the router {self._node}"

    def _let_through(self, devices: frozenset[str]) -> None:
        for device in devices - self._checked:
            self._linux.let_through(device)
        self._checked = devices


def fabric_of(fabrics: Store, node: str) -> Fabric | None:
    """Return what Fabrics say to the router of that name, None when none names it."""
    specs = [obj["spec"] for obj in fabrics]
    ours = [
        spec["linux"]
        for spec in specs
        if spec.get("driver") == "linux" and spec.get("linux", {}).get("router") == node
    ]
    if not ours:
        return None
    return Fabric(frozenset(name for linux in ours for name in linux["clientInterfaces"]))
