"""`lbctl get members`: one row per endpoint of a Service that has a decision. Pure."""

from lbctl.inspection import parties
from lbctl.inspection.listing import Branch, Column, Listing, Row
from lbctl.inspection.scene import Scene
from lbctl.model.virtual_service import Listener
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate.endpoints import Endpoint

COLUMNS = (
    Column("NAMESPACE"),
    Column("SERVICE"),
    Column("ADDRESS"),
    Column("PORTS"),
    Column("NODE"),
    Column("USABLE"),
    Column("HEALTH"),
    Column("PROGRAMMED"),
    Column("READY", wide=True),
    Column("SERVING", wide=True),
    Column("TERMINATING", wide=True),
)


def listing(scene: Scene) -> Listing:
    """Return the endpoints, by Service and address."""
    services = (obj["spec"]["service"] for obj in scene.known.decisions)
    keys = sorted(f"{service['namespace']}/{service['name']}" for service in services)
    return Listing(COLUMNS, tuple(row for key in keys for row in _rows(scene, scene.view(key))))


def _rows(scene: Scene, view: View) -> tuple[Row, ...]:
    decision = view.decision
    if decision is None:
        return ()
    found = parties.usability(view, decision.virtual_service)
    health = parties.health(view, decision.virtual_service)
    return tuple(
        _row(scene, view, decision, end, (usable, health.get(end, "")))
        for end, usable in found.items()
    )


def _row(
    scene: Scene, view: View, decision: ObservedDecision, end: Endpoint, said: tuple[str, str]
) -> Row:
    usable, health = said
    service = decision.virtual_service.service
    ports = [
        f"{number}/{listener.protocol}"
        for listener in decision.virtual_service.listeners
        if (number := end.port_for(listener)) is not None
    ]
    programmed = _programmed(scene, view, decision, end, usable)
    item: dict[str, object] = {
        "namespace": service.namespace,
        "service": service.name,
        "address": str(end.address),
        "ports": ports,
        "node": end.node,
        "usable": usable.startswith(parties.YES),
        "reason": "" if usable.startswith(parties.YES) else usable,
        "health": health,
        "programmed": programmed,
        "ready": end.ready,
        "serving": end.serving,
        "terminating": end.terminating,
    }
    flags = (str(flag).lower() for flag in (end.ready, end.serving, end.terminating))
    text = (
        ",".join(ports) or "<none>",
        end.node or "<none>",
        usable,
        health or "-",
        programmed or "-",
        *flags,
    )
    key = f"{service.namespace}/{service.name}"
    return Row(
        cells=(service.namespace, service.name, str(end.address), *text),
        names=frozenset({key, service.name, str(end.address)}),
        reference=f"{key}/{end.address}",
        item=item,
        namespaces=frozenset({service.namespace}),
        branch=lambda: Branch(_label(end, usable, programmed)),
    )


def branches(
    scene: Scene, view: View, decision: ObservedDecision, listener: Listener
) -> tuple[Branch, ...]:
    """Return a leaf for each endpoint behind a listener."""
    found = parties.usability(view, decision.virtual_service)
    return tuple(
        Branch(
            _label(
                end, usable, _programmed(scene, view, decision, end, usable), end.port_for(listener)
            )
        )
        for end, usable in found.items()
    )


def _label(end: Endpoint, usable: str, programmed: str, port: int | None = None) -> str:
    place = str(end.address)
    if port is not None:
        place = f"[{place}]:{port}" if end.address.version == 6 else f"{place}:{port}"
    state = f"usable, {programmed}" if programmed else usable
    return f"{place}  {end.node or 'no node'}  {state}"


def _programmed(
    scene: Scene, view: View, decision: ObservedDecision, end: Endpoint, usable: str
) -> str:
    """Return what the agents that serve an endpoint say; empty where nothing is to be done."""
    if not usable.startswith(parties.YES):
        return ""
    agents = {entry.node: entry for entry in view.agents}
    if end.remote is None:
        return parties.agent_word(agents.get(end.node), view, decision, scene.pulse)
    words = (
        f"{name}: {parties.agent_word(agents.get(name), view, decision, scene.pulse)}"
        for name in view.crew.relays
    )
    return f"{parties.way_to(end, decision.virtual_service)} from {', '.join(words)}"
