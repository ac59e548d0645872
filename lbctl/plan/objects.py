"""Steps that keep objects of one kind in step with what they should say, conditions too. Pure."""

import datetime
from dataclasses import dataclass
from typing import Any, TypeAlias

from lbctl.model.reasons import Refused
from lbctl.plan import times

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Create:
    """Make an object."""

    body: Json


@dataclass(frozen=True, slots=True)
class Replace:
    """Let an object say something else."""

    body: Json
    """With the resourceVersion that was read."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Take an object away."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Write an object's status."""

    body: Json
    """With the resourceVersion that was read."""
    told: tuple[Json, ...] = ()
    """Conditions of it that somebody should be told of: they are others now."""


ObjectStep: TypeAlias = Create | Replace | Delete | WriteStatus


def shown(status: Json, kind: str) -> Json:
    """Return the condition of a type out of a status; empty when there is none."""
    found = (entry for entry in status.get("conditions") or () if entry["type"] == kind)
    return next(found, {})


def condition_of(
    kind: str,
    status: str,
    verdict: Refused,
    generation: int,
    before: Json,
    now: datetime.datetime,
) -> Json:
    """Return a condition as the API has it; its time stays while its status does."""
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    return {
        "type": kind,
        "status": status,
        "reason": verdict.reason.value,
        "message": verdict.detail,
        "lastTransitionTime": since or times.render_seconds(now),
        "observedGeneration": generation,
    }
