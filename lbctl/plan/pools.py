"""What AddressPool objects should say: mirrors of the settings, counters of all. Pure."""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from lbctl.ipam.ledger import Ledger
from lbctl.ipam.pools import FAMILIES
from lbctl.ipam.resolve import Resolved
from lbctl.model.reasons import MEANING, Reason, Refused
from lbctl.plan.objects import (
    Create,
    Delete,
    ObjectStep,
    Replace,
    WriteStatus,
    condition_of,
    shown,
)
from lbctl.translate.pools import FROM_LABEL, FROM_SETTINGS, is_mirror

READY = "Ready"
LASTING = "until that is mended it gives addresses by its last good spec (status.accepted)"
Json: TypeAlias = dict[str, Any]


def plan_pools(
    mirrors: Mapping[str, Json],
    objects: Iterable[Json],
    resolved: Resolved,
    ledger: Ledger,
    now: datetime.datetime,
) -> tuple[ObjectStep, ...]:
    """Return what to write; nothing when all objects say what they should.

    `mirrors` are the specs of the settings' pools by name. An object of that name that is no
    mirror is somebody's: it stays, and its condition says why it gives nothing.
    """
    known = {obj["metadata"]["name"]: obj for obj in objects}
    todo: list[ObjectStep] = [
        Create(_body(name, spec)) for name, spec in mirrors.items() if name not in known
    ]
    for name, obj in known.items():
        step = _mirror_step(obj, mirrors.get(name)) if is_mirror(obj) else None
        status = _status(obj, resolved, ledger, now)
        if step is not None:
            todo.append(step)
        elif status != obj.get("status"):
            todo.append(WriteStatus({**obj, "status": status}, _news(obj, status)))
    return tuple(todo)


def _body(name: str, spec: Json) -> Json:
    return {"metadata": {"name": name, "labels": {FROM_LABEL: FROM_SETTINGS}}, "spec": spec}


def _mirror_step(obj: Json, spec: Json | None) -> ObjectStep | None:
    if spec is None:
        return Delete(obj["metadata"]["name"], obj["metadata"]["uid"])
    if obj["spec"] != spec:
        return Replace({**obj, "spec": spec})
    return None


def _status(obj: Json, resolved: Resolved, ledger: Ledger, now: datetime.datetime) -> Json:
    name, generation = obj["metadata"]["name"], obj["metadata"].get("generation", 0)
    serves = resolved.pools.named(name) is not None and resolved.gives(name)
    free = {
        family: resolved.pools.available(name, family, ledger) if serves else 0
        for family in FAMILIES
    }
    known = obj.get("status") or {}
    others = [entry for entry in known.get("conditions") or () if entry["type"] != READY]
    verdict = _verdict(name, resolved)
    serving = str(verdict.reason is Reason.POOL_SERVES)
    ready = condition_of(READY, serving, verdict, generation, shown(known, READY), now)
    return _accepted(obj, resolved) | {
        "observedGeneration": generation,
        "assigned": {f"ipv{family}": str(ledger.bound(name, family)) for family in FAMILIES},
        "available": {f"ipv{family}": str(count) for family, count in free.items()},
        "conditions": [*others, ready],
    }


def _accepted(obj: Json, resolved: Resolved) -> Json:
    """Return what an object gives addresses by; of a mirror the settings know it."""
    name = obj["metadata"]["name"]
    if is_mirror(obj) or not resolved.gives(name):
        return {}
    lasting = name in resolved.lasting
    return {"accepted": obj["status"]["accepted"] if lasting else obj["spec"]}


def _verdict(name: str, resolved: Resolved) -> Refused:
    refused = resolved.refused.get(name)
    if refused is None:
        return Refused(Reason.POOL_SERVES, MEANING[Reason.POOL_SERVES])
    rest = f"; {LASTING}" if name in resolved.lasting else ""
    return Refused(refused.reason, refused.detail + rest)


def _news(obj: Json, status: Json) -> tuple[Json, ...]:
    """Return Ready of a new status when it says something else; that a new pool serves is none."""
    before, ready = shown(obj.get("status") or {}, READY), shown(status, READY)
    told = before.get("reason", Reason.POOL_SERVES.value)
    return (ready,) if ready["reason"] != told else ()
