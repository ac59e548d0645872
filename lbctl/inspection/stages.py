"""The stages that a Service passes on its way to traffic, and what is said of each. Pure."""

import enum
from dataclasses import dataclass

from lbctl.model.reasons import MEANING, Reason


class Mark(enum.Enum):
    """How far a stage has come."""

    DONE = "done"
    WAITING = "waiting"
    """Somebody is at it; nobody has to change anything."""
    FAILING = "failing"
    """Somebody has to change something."""
    NOT_REACHED = "-"
    """A stage before it comes first, or it is not wanted."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of one Service."""

    name: str
    mark: Mark
    text: str
    """What there is, or what is wrong: names the object, field or value."""
    reason: Reason | None = None
    """From the one table that conditions and events use; None only where nothing is to be told."""
    since: str = ""
    """RFC 3339 UTC; empty where nobody noted it."""
    details: tuple[str, ...] = ()
    """One line for each thing that the stage is made of."""

    @property
    def meaning(self) -> str:
        """Return the reason in words, with the cure; empty without a reason."""
        return MEANING[self.reason] if self.reason else ""

    @property
    def open(self) -> bool:
        """Tell whether the Service waits for this stage."""
        return self.mark in (Mark.WAITING, Mark.FAILING)


@dataclass(frozen=True, slots=True)
class Explanation:
    """All stages of one Service, in the order in which they happen."""

    service: str
    """`<namespace>/<name>`."""
    stages: tuple[Stage, ...]
    served: tuple[str, ...] = ()
    """The addresses that clients can use now."""

    @property
    def waits_for(self) -> Stage | None:
        """Return the first stage that is open; None when there is nothing to wait for."""
        return next((stage for stage in self.stages if stage.open), None)
