"""`lbctl get vs`: one row per LoadBalancer Service of ours. Pure."""

from collections.abc import Callable

from lbctl.inspection import ages, members
from lbctl.inspection.listing import Branch, Column, Listing, Row
from lbctl.inspection.scene import Scene
from lbctl.kube import resources
from lbctl.kube.objects import key_of, metadata
from lbctl.model.reasons import ConditionType, Reason
from lbctl.model.virtual_service import NamePublication
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate.service import ServiceFacts

COLUMNS = (
    Column("NAMESPACE"),
    Column("NAME"),
    Column("VIP"),
    Column("STATE"),
    Column("REASON"),
    Column("MEMBERS"),
    Column("HOST"),
    Column("AGE"),
    Column("PHASE", wide=True),
    Column("PORTS", wide=True),
    Column("VIRTUAL-SERVICE", wide=True),
)


def listing(scene: Scene) -> Listing:
    """Return every decision, and every Service of ours that has none yet, by key."""
    decided = {_key(obj) for obj in scene.known.decisions}
    keys = sorted(decided | {key_of(obj) for obj in scene.known.services})
    rows = (_row(scene, key) for key in keys)
    return Listing(COLUMNS, tuple(row for row in rows if row is not None))


def _key(obj: dict[str, dict[str, dict[str, str]]]) -> str:
    return "{namespace}/{name}".format(**obj["spec"]["service"])


def _row(scene: Scene, key: str) -> Row | None:
    view = scene.view(key)
    if view.decision is not None:
        return _decided(scene, key, view, view.decision)
    if view.service is None or not view.service.ours:
        return None
    created = str(metadata(scene.known.services.get(key) or {}).get("creationTimestamp") or "")
    item: dict[str, object] = {
        "namespace": view.service.namespace,
        "name": view.service.name,
        "virtualService": "",
        "vips": [],
        "state": "Pending",
        "reason": _why_undecided(view.service),
        "membersUp": 0,
        "membersTotal": 0,
        "hosts": [],
        "phase": "",
        "ports": [f"{port.port}/{port.protocol}" for port in view.service.ports],
        "created": created,
    }
    return _made(scene, item, lambda: Branch(f"{key}  Pending {item['reason']}"))


def _why_undecided(service: ServiceFacts) -> str:
    kept_back = (ConditionType.ADDRESS_ALLOCATED.value, ConditionType.DATAPLANE_READY.value)
    for entry in service.conditions:
        if entry.type in kept_back and not entry.true:
            return entry.reason
    return Reason.WAITING_FOR_CONTROLLER.value


def _decided(scene: Scene, key: str, view: View, decision: ObservedDecision) -> Row:
    found, status = decision.virtual_service, decision.status
    obj = scene.known.decisions.get(found.key) or {}
    item: dict[str, object] = {
        "namespace": found.service.namespace,
        "name": found.service.name,
        "virtualService": found.name,
        "vips": [str(vip.address) for vip in found.vips],
        "state": status.state if status else "Pending",
        "reason": status.reason if status else Reason.WAITING_FOR_CONTROLLER.value,
        "membersUp": status.members_up if status else 0,
        "membersTotal": status.members_total if status else 0,
        "hosts": [name.host for name in found.names if not name.taken_by],
        "phase": found.phase.value,
        "ports": [f"{entry.port}/{entry.protocol}" for entry in found.listeners],
        "created": str(metadata(obj).get("creationTimestamp") or ""),
    }
    return _made(scene, item, lambda: _tree(scene, key, view, decision))


def _made(scene: Scene, item: dict[str, object], branch: Callable[[], Branch]) -> Row:
    namespace, name = str(item["namespace"]), str(item["name"])
    undecided = not item["virtualService"]
    owner = resources.SERVICES if undecided else resources.L4_VIRTUAL_SERVICES
    reference = f"{owner.plural}/{name}" if undecided else f"{_full(owner)}/{namespace}.{name}"
    return Row(
        cells=(
            namespace,
            name,
            _joined(item["vips"]) or "<pending>",
            str(item["state"]),
            str(item["reason"]),
            f"{item['membersUp']}/{item['membersTotal']}",
            _joined(item["hosts"]),
            ages.since(str(item["created"]), scene.now),
            str(item["phase"]),
            _joined(item["ports"]),
            str(item["virtualService"]),
        ),
        names=frozenset({name, f"{namespace}/{name}", f"{namespace}.{name}"}),
        reference=reference,
        item=item,
        namespaces=frozenset({namespace}),
        branch=branch,
    )


def _full(resource: resources.Resource) -> str:
    return f"{resource.plural}.{resource.group}"


def _joined(values: object) -> str:
    return ",".join(map(str, values)) if isinstance(values, list) else ""


def _tree(scene: Scene, key: str, view: View, decision: ObservedDecision) -> Branch:
    found, status = decision.virtual_service, decision.status
    state = f"{status.state} {status.reason}".rstrip() if status else "Pending"
    pools = {entry.address: entry.pool for entry in view.allocations}
    vips = (
        Branch(f"vip {vip.address}  {vip.role.value}, pool {pools.get(vip.address, '<none>')}")
        for vip in found.vips
    )
    listeners = (
        Branch(
            f"{entry.protocol} {entry.port}  {entry.pool}",
            members.branches(scene, view, decision, entry),
        )
        for entry in found.listeners
    )
    names = (Branch(f"name {name.host}  {_answered(name)}") for name in found.names)
    return Branch(f"{key}  {found.name}  {state}", (*vips, *listeners, *names))


def _answered(name: NamePublication) -> str:
    if name.taken_by:
        return f"answered for {name.taken_by}"
    return "published" if name.published else "not published"
