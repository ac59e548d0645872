"""The ServingNodes of a cluster and views of it, as the rules about shares take them."""

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import replace

from lbctl.kube.objects import Json, name_of
from lbctl.kube.store import Change, Store
from lbctl.translate.failing import parse_failing
from lbctl.translate.serving_nodes import is_relay
from lbctl_dataplane.decisions import View
from lbctl_dataplane.rules.router import legs
from lbctl_dataplane.rules.router.sharing import Known


def trim(obj: Json) -> Json:
    """Return a ServingNode with what is read here only."""
    meta = obj["metadata"]
    return {
        "metadata": {key: meta.get(key) for key in ("name", "resourceVersion")},
        "spec": obj["spec"],
        "status": obj.get("status") or {},
    }


def follow(store: Store, changed: Callable[[], None]) -> None:
    """Call `changed` whenever a node of a store says something else; routers change nothing."""
    store.subscribe(lambda change: changed() if concerns(change) else None)


def concerns(change: Change) -> bool:
    """Tell whether a change is about a node."""
    return any(obj and _is_node(obj) for obj in (change.old, change.new))


def acknowledges(change: Change) -> bool:
    """Tell whether a node says nothing new but how far it has come."""
    if change.old is None or change.new is None:
        return False
    before, now = parse_node(change.old), parse_node(change.new)
    return replace(before, decisions=now.decisions, slices=now.slices) == now


def parse_nodes(objects: Iterable[Json]) -> dict[str, legs.ServingNode]:
    """Return the ServingNodes of role node by name."""
    return {name_of(obj): parse_node(obj) for obj in objects if _is_node(obj)}


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
        excluded=bool(obj["spec"].get("excluded")),
        failing=parse_failing(status),
        backend=obj["spec"].get("backend") or "",
        forwarding=_forwarding(obj["spec"]),
        relay=is_relay(obj["spec"]),
    )


def _forwarding(spec: Json) -> legs.Forwarding | None:
    mode = spec.get("peers")
    networks = tuple(ipaddress.ip_network(text) for text in spec.get("networks") or ())
    return legs.Forwarding(mode == "always", networks) if mode else None


def render_forwarding(forwarding: legs.Forwarding | None) -> Json:
    """Return what the `spec` of a ServingNode says of it."""
    if forwarding is None:
        return {"peers": "", "networks": []}
    mode = "always" if forwarding.everywhere else "auto"
    return {"peers": mode, "networks": list(map(str, forwarding.networks))}


def known(view: View) -> Known:
    """Return a view as shares are worked out from it."""

    def knowledge(key: str) -> legs.Knowledge:
        behind = view.behind[key]
        return legs.Knowledge(behind.endpoints, behind.versions, view.spec_versions[key])

    return Known(view.services, view.behind, view.spec_versions, knowledge)


def _is_node(obj: Json) -> bool:
    return bool(obj["spec"].get("role") == "node")
