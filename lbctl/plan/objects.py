"""Steps that keep cluster-scoped objects of one kind in step with what they should say. Pure."""

from dataclasses import dataclass
from typing import Any, TypeAlias

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
    told: Json | None = None
    """A condition of it that somebody should be told of: it is another now."""


ObjectStep: TypeAlias = Create | Replace | Delete | WriteStatus
