"""The router role: VIP traffic of a Linux fabric goes to the nodes that can take it."""

import ipaddress
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from lbctl.kube import resources
from lbctl.kube.objects import Json, name_of
from lbctl.kube.resources import Resource
from lbctl.kube.store import Change, Store
from lbctl.settings import Settings
from lbctl_dataplane.backends import routes as kernel
from lbctl_dataplane.backends.port import Leg
from lbctl_dataplane.decisions import View
from lbctl_dataplane.roles import Programmed
from lbctl_dataplane.rules import frontend, legs, routes, spread
from lbctl_dataplane.rules.frontend import Claim, Place
from lbctl_dataplane.serving_node import Exemption

log = logging.getLogger(__name__)

NO_LEG = "NoLeg"


class Linux(Protocol):
    """The kernel of a router: see `lbctl_dataplane.backends.routes.LinuxRouter`."""

    async def observe(self) -> kernel.Kernel:
        """Return what is ours."""
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
    backend = "linux"

    def __init__(self, node: str, linux: Linux) -> None:
        self._node = node
        self._linux = linux
        self._nodes = Store(transform=_trim)
        self._fabrics = Store()
        self._checked: set[str] = set()

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return ServingNodes and Fabrics."""
        return {resources.SERVING_NODES: self._nodes, resources.FABRICS: self._fabrics}

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow ServingNodes of nodes and Fabrics (their watches run elsewhere)."""

        def on_node(change: Change) -> None:
            # Routers, ourselves among them, change nothing here.
            if any(obj and obj["spec"].get("role") == "node" for obj in (change.old, change.new)):
                changed()

        self._nodes.subscribe(on_node)
        self._fabrics.subscribe(lambda _: changed())

    def apply(self, settings: Settings) -> None:
        """Take nothing: what a router does stands in the Fabric."""

    def legs(self) -> tuple[Leg, ...]:
        """Return none: traffic comes to a router by routing."""
        return ()

    async def program(self, view: View) -> Programmed:
        """Spread every decision's traffic over the nodes that can take it."""
        found = await self._linux.observe()
        fabric = fabric_of(self._fabrics, self._node)
        claims = frontend.claims(view.services)
        if fabric is None:
            changed = await self._linux.apply(kernel.Wanted(None, {}), found)
            return Programmed(changed, _unserved(claims, view, {}, self._missing_fabric()))
        nodes = {name_of(obj): parse_node(obj) for obj in self._nodes if _is_node(obj)}
        numbers = legs.number_legs(nodes, routes.leg_addresses(found.entries))
        entries = routes.desired(
            {numbers[name]: nodes[name].legs for name in numbers},
            {claim.vip.address for claim in claims},
            found.links,
        )
        self._let_through(entries)
        reachable = _with_reachable_legs(nodes, numbers, entries)
        shares = _shares(claims, view, reachable, _before(found.ruleset, numbers))
        ruleset = _ruleset(claims, shares, numbers, fabric)
        changed = await self._linux.apply(kernel.Wanted(ruleset, entries), found)
        return Programmed(changed, _unserved(claims, view, shares, ""))

    def _missing_fabric(self) -> str:
        return f"no Fabric with driver linux names the router {self._node}"

    def _let_through(self, entries: routes.Entries) -> None:
        devices = {value.split()[-1] for key, value in entries.items() if key.kind == "route"}
        for device in devices - self._checked:
            self._linux.let_through(device)
        self._checked = devices


def _trim(obj: Json) -> Json:
    meta = obj["metadata"]
    return {
        "metadata": {key: meta.get(key) for key in ("name", "resourceVersion")},
        "spec": obj["spec"],
        "status": obj.get("status") or {},
    }


def _is_node(obj: Json) -> bool:
    return bool(obj["spec"].get("role") == "node")


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


def parse_node(obj: Json) -> legs.ServingNode:
    """Return a ServingNode of role node as the API server sent it."""
    status = obj.get("status") or {}
    return legs.ServingNode(
        name=name_of(obj),
        legs=tuple(
            legs.LegAddress(ipaddress.ip_address(leg["address"]), leg.get("mac") or "")
            for leg in obj["spec"].get("legs") or ()
        ),
        decisions=int(status.get("decisions") or 0),
        slices=int(status.get("slices") or 0),
        exempt=frozenset(entry["key"] for entry in status.get("exceptions") or ()),
    )


def _with_reachable_legs(
    nodes: Mapping[str, legs.ServingNode], numbers: Mapping[str, int], entries: routes.Entries
) -> dict[str, legs.ServingNode]:
    reachable: dict[str, legs.ServingNode] = {}
    for name, number in numbers.items():
        node = nodes[name]
        own = tuple(
            leg
            for leg in node.legs
            if routes.Key(leg.address.version, "route", str(number)) in entries
        )
        reachable[name] = legs.ServingNode(name, own, node.decisions, node.slices, node.exempt)
    return reachable


def _before(
    ruleset: spread.Ruleset | None, numbers: Mapping[str, int]
) -> dict[Place, frozenset[str]]:
    names = {number: name for name, number in numbers.items()}
    places = ruleset.places if ruleset is not None else {}
    return {
        place: frozenset(names[leg] for leg, _ in how.legs if leg in names)
        for place, how in places.items()
    }


def _knowledge(view: View, key: str) -> legs.Knowledge:
    behind = view.behind[key]
    return legs.Knowledge(behind.endpoints, behind.versions, view.spec_versions[key])


def _shares(
    claims: tuple[Claim, ...],
    view: View,
    nodes: Mapping[str, legs.ServingNode],
    before: Mapping[Place, frozenset[str]],
) -> dict[Place, legs.Shares]:
    return {
        claim.place: legs.shares(
            claim,
            _knowledge(view, claim.service.key),
            nodes,
            before.get(claim.place, frozenset()),
        )
        for claim in claims
    }


def _ruleset(
    claims: tuple[Claim, ...],
    shares: Mapping[Place, legs.Shares],
    numbers: Mapping[str, int],
    fabric: Fabric,
) -> spread.Ruleset:
    places: dict[Place, spread.Spread] = {}
    for claim in claims:
        weights = tuple(
            sorted((numbers[name], weight) for name, weight in shares[claim.place].items())
        )
        if weights:
            sticky = claim.service.policy.session_affinity == "ClientIP"
            places[claim.place] = spread.Spread(claim.vip.address.version, sticky, weights)
    return spread.Ruleset(
        fabric.client_interfaces, frozenset(claim.vip.address for claim in claims), places
    )


def _unserved(
    claims: tuple[Claim, ...], view: View, shares: Mapping[Place, legs.Shares], why: str
) -> tuple[Exemption, ...]:
    found: dict[str, str] = {}
    for claim in claims:
        key = claim.service.key
        reason = legs.without_leg(claim, _knowledge(view, key), shares)
        if reason:
            found.setdefault(key, why or reason)
    return tuple(Exemption(key, NO_LEG, message) for key, message in sorted(found.items()))
