"""`lbctl get pools`: one row per address pool, those of the settings included. Pure.

The leader keeps an AddressPool object for each pool, also for those of its settings, and counts in
their status.
"""

from lbctl.inspection import ages
from lbctl.inspection.listing import Branch, Column, Listing, Row
from lbctl.inspection.scene import Scene
from lbctl.kube import resources
from lbctl.kube.objects import Json, metadata, name_of
from lbctl.translate import pools

MANY = 10**9
"""Counts from here on are rounded in tables; `-o json` has every digit."""
COLUMNS = (
    Column("NAME"),
    Column("PRIORITY"),
    Column("AUTO"),
    Column("IPV4"),
    Column("IPV6"),
    Column("READY"),
    Column("FROM"),
    Column("AGE"),
    Column("ADDRESSES", wide=True),
    Column("MESSAGE", wide=True),
)


def listing(scene: Scene) -> Listing:
    """Return the pools in the order in which addresses are taken from them."""
    found = sorted(scene.known.address_pools, key=_order)
    return Listing(COLUMNS, tuple(_row(scene, obj) for obj in found))


def _order(obj: Json) -> tuple[int, str]:
    return ((obj.get("spec") or {}).get("priority", pools.PRIORITY), name_of(obj))


def _row(scene: Scene, obj: Json) -> Row:
    name, spec, status = name_of(obj), obj.get("spec") or {}, obj.get("status") or {}
    given, free = status.get("assigned") or {}, status.get("available") or {}
    ready = _ready(status)
    source = (metadata(obj).get("labels") or {}).get(pools.FROM_LABEL) or "object"
    ranges = [*(spec.get("addresses") or ()), *(spec.get("staticAddresses") or ())]
    item: dict[str, object] = {
        "name": name,
        "priority": spec.get("priority", pools.PRIORITY),
        "autoAssign": spec.get("autoAssign", True),
        "assigned": given,
        "available": free,
        "ready": ready.get("status", "Unknown"),
        "reason": ready.get("reason", ""),
        "message": ready.get("message", ""),
        "from": source,
        "addresses": ranges,
        "created": str(metadata(obj).get("creationTimestamp") or ""),
    }
    told = str(ready.get("reason") or "") if ready.get("status") == "False" else ""
    return Row(
        cells=(
            name,
            str(item["priority"]),
            str(item["autoAssign"]).lower(),
            _counted(given.get("ipv4"), free.get("ipv4")),
            _counted(given.get("ipv6"), free.get("ipv6")),
            told or str(item["ready"]),
            source,
            ages.since(str(item["created"]), scene.now),
            ",".join(ranges),
            str(item["message"]),
        ),
        names=frozenset({name}),
        reference=f"{resources.ADDRESS_POOLS.plural}.{resources.GROUP}/{name}",
        item=item,
        branch=lambda: Branch(f"{name}  {told or item['ready']}", _holders(scene, name)),
    )


def _ready(status: Json) -> Json:
    found = (entry for entry in status.get("conditions") or () if entry["type"] == "Ready")
    return next(found, {})


def _counted(given: object, free: object) -> str:
    """Return `given/all` of one family; a dash where the pool has none of it."""
    if given is None and free is None:
        return "-"
    used, left = int(str(given or 0)), int(str(free or 0))
    return f"{used}/{_short(used + left)}" if used + left else "-"


def _short(count: int) -> str:
    """Return a count that fits into a column: an IPv6 network has more than anybody reads."""
    return str(count) if count < MANY else f"{count:.1e}".replace("e+", "e")


def _holders(scene: Scene, pool: str) -> tuple[Branch, ...]:
    """Return a leaf for each address of a pool that is given or reserved."""
    return tuple(
        Branch(
            f"{obj['spec']['address']}  {obj['spec'].get('state', '')}  "
            + ",".join(
                f"{holder['namespace']}/{holder['name']}"
                for holder in obj["spec"].get("holders") or ()
            )
        )
        for obj in sorted(scene.known.allocations, key=name_of)
        if obj["spec"].get("pool") == pool
    )
