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

    name: str
    resource_version: str
    status: Json


ObjectStep: TypeAlias = Create | Replace | Delete | WriteStatus
