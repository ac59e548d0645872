"""`lbctl get vips`: one row per address that is given or reserved. Pure."""

from collections.abc import Mapping, Sequence

from lbctl.inspection import ages
from lbctl.inspection.listing import Branch, Column, Listing, Row
from lbctl.inspection.scene import Scene
from lbctl.kube import resources
from lbctl.kube.objects import Json, metadata, name_of
from lbctl.model.allocation import parse_allocation

COLUMNS = (
    Column("ADDRESS"),
    Column("POOL"),
    Column("STATE"),
    Column("SERVICES"),
    Column("PORTS"),
    Column("AGE"),
    Column("SHARING-KEY", wide=True),
    Column("RELEASED", wide=True),
)


def listing(scene: Scene) -> Listing:
    """Return the addresses, IPv4 first, lowest first."""
    found = sorted(scene.known.allocations, key=_order)
    return Listing(COLUMNS, tuple(_row(scene, obj) for obj in found))


def _order(obj: Json) -> tuple[int, int]:
    address = parse_allocation(obj).address
    return (address.version, int(address))


def _row(scene: Scene, obj: Json) -> Row:
    spec = obj["spec"]
    pool = spec.get("pool") or ""
    holders = spec.get("holders") or ()
    reserved = spec.get("reservedFor") or {}
    keys = [_key(holder) for holder in holders]
    ports = {key: _ports(scene, holder) for key, holder in zip(keys, holders, strict=True)}
    since = str(spec.get("boundAt") or metadata(obj).get("creationTimestamp") or "")
    item: dict[str, object] = {
        "address": spec["address"],
        "pool": pool,
        "state": spec.get("state", ""),
        "holders": [{"service": key, "ports": ports[key]} for key in keys],
        "reservedFor": _key(reserved) if reserved else "",
        "sharingKey": spec.get("sharingKey") or "",
        "since": since,
        "releasedAt": spec.get("releasedAt") or "",
    }
    return Row(
        cells=(
            spec["address"],
            pool or "<none>",
            spec.get("state", ""),
            ",".join(keys) or (f"for {_key(reserved)}" if reserved else "<none>"),
            ",".join(port for key in keys for port in ports[key]) or "<none>",
            ages.since(since, scene.now),
            str(item["sharingKey"]),
            ages.since(str(item["releasedAt"]), scene.now) if item["releasedAt"] else "",
        ),
        names=frozenset({spec["address"], name_of(obj), *keys}),
        reference=f"{resources.IP_ALLOCATIONS.plural}.{resources.GROUP}/{name_of(obj)}",
        item=item,
        namespaces=frozenset(entry["namespace"] for entry in (*holders, reserved) if entry),
        branch=lambda: Branch(
            f"{spec['address']}  pool {pool or '<none>'}, {spec.get('state', '')}",
            tuple(Branch(f"{key}  {','.join(ports[key])}".rstrip()) for key in keys),
        ),
    )


def _key(entry: Mapping[str, str]) -> str:
    return f"{entry['namespace']}/{entry['name']}"


def _ports(scene: Scene, holder: Mapping[str, object]) -> list[str]:
    """Return the ports that a holder has claimed; of those who claim all, the ones they use."""
    claimed = holder.get("ports")
    if isinstance(claimed, Sequence) and claimed:
        return [f"{port['port']}/{port['protocol']}" for port in claimed]
    key = f"{holder['namespace']}.{holder['name']}"
    decision = scene.known.decisions.get(key) or {}
    listeners = (decision.get("spec") or {}).get("listeners") or ()
    return [f"{entry['port']}/{entry['protocol']}" for entry in listeners]
