"""What Zone objects should say: the serial of the content that decisions give a zone. Pure."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from lbctl.model import zones
from lbctl.model.zones import Digests
from lbctl.plan.objects import Create, Delete, ObjectStep, Replace

Json: TypeAlias = dict[str, Any]


def plan_zones(
    digests: Digests, objects: Iterable[Json], version: int, now_s: int
) -> tuple[ObjectStep, ...]:
    """Return what to write; nothing where each object's digest is that of the decisions.

    `version` is the resourceVersion up to which decisions were seen. A serial is the time of its
    write, and raised at most once a second: it never goes back, also when an older state of the
    API server is restored.
    """
    known = {obj["metadata"]["name"]: obj for obj in objects}
    todo: list[ObjectStep] = []
    for origin in sorted(digests.origins):
        obj = known.get(origin)
        digest = digests.of(origin)
        if obj is None:
            spec = _spec(zones.later_serial(0, now_s), digest, version)
            todo.append(Create({"metadata": {"name": origin}, "spec": spec}))
        elif obj["spec"]["digest"] != digest:
            serial = zones.later_serial(obj["spec"]["serial"], now_s)
            todo.append(Replace({**obj, "spec": _spec(serial, digest, version)}))
    gone = [obj["metadata"] for name, obj in known.items() if name not in digests.origins]
    return (*todo, *(Delete(meta["name"], meta["uid"]) for meta in gone))


def _spec(serial: int, digest: str, version: int) -> Json:
    return {"serial": serial, "digest": digest, "resourceVersion": str(version)}
