"""`lbctl get nodes`: one row per agent, on nodes and routers. Pure."""

from lbctl.inspection import ages
from lbctl.inspection.listing import Branch, Column, Listing, Row
from lbctl.inspection.scene import Scene
from lbctl.kube import resources
from lbctl.kube.objects import Json, metadata, name_of
from lbctl.plan import times

COLUMNS = (
    Column("NAME"),
    Column("ROLE"),
    Column("BACKEND"),
    Column("LEGS"),
    Column("ALIVE"),
    Column("DECISIONS"),
    Column("SLICES"),
    Column("EXCEPTIONS"),
    Column("AGE"),
    Column("LAST-SEEN", wide=True),
    Column("BACKEND-REASON", wide=True),
    Column("MESSAGE", wide=True),
)


def listing(scene: Scene) -> Listing:
    """Return the agents by name."""
    found = sorted(scene.known.serving_nodes, key=name_of)
    return Listing(COLUMNS, tuple(_row(scene, obj) for obj in found))


def _row(scene: Scene, obj: Json) -> Row:
    name, spec, status = name_of(obj), obj.get("spec") or {}, obj.get("status") or {}
    exceptions = status.get("exceptions") or []
    beat = scene.pulse.agent(name)
    seen = times.render_seconds(beat.renewed) if beat and beat.renewed else ""
    item: dict[str, object] = {
        "name": name,
        "role": spec.get("role", "node"),
        "backend": spec.get("backend", ""),
        "backendReason": spec.get("backendReason", ""),
        "legs": [leg["address"] for leg in spec.get("legs") or ()],
        "alive": scene.pulse.live(name),
        "decisions": status.get("decisions", ""),
        "slices": status.get("slices", ""),
        "exceptions": exceptions,
        "allFailing": bool(status.get("allFailing")),
        "message": status.get("message", ""),
        "lastSeen": seen,
        "created": str(metadata(obj).get("creationTimestamp") or ""),
    }
    lines = [
        f"{entry['key']}  {entry['reason']}: {entry.get('message', '')}" for entry in exceptions
    ]
    return Row(
        cells=(
            name,
            str(item["role"]),
            str(item["backend"]),
            ",".join(leg["address"] for leg in spec.get("legs") or ()) or "<none>",
            "yes" if item["alive"] else "no",
            str(item["decisions"]),
            str(item["slices"]),
            "all" if item["allFailing"] else str(len(exceptions)),
            ages.since(str(item["created"]), scene.now),
            ages.since(seen, scene.now) if seen else "never",
            str(item["backendReason"]),
            str(item["message"]),
        ),
        names=frozenset({name}),
        reference=f"{resources.SERVING_NODES.plural}.{resources.GROUP}/{name}",
        item=item,
        branch=lambda: Branch(
            f"{name}  {item['role']}, {'alive' if item['alive'] else 'lost'}", _leaves(lines)
        ),
    )


def _leaves(lines: list[str]) -> tuple[Branch, ...]:
    return tuple(Branch(line) for line in lines)
