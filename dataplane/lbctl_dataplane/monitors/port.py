"""What a node's role asks of its monitors. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lbctl.model.virtual_service import VirtualService
from lbctl.translate.failing import FailingMember
from lbctl_dataplane.rules.frontend import Frontend


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be programmed by the word of the monitors."""

    frontends: tuple[Frontend, ...]
    """What did not change is the same object as the time before."""
    failing: tuple[FailingMember, ...] = ()
    """Sorted; those as well that stay because all fail."""


class Monitors(Protocol):
    """Who knows which members work."""

    async def follow(self, changed: Callable[[], None]) -> None:
        """Ask members for ever; call `changed` when `judge` would answer otherwise."""
        ...

    def restore(self, failing: tuple[FailingMember, ...]) -> None:
        """Take who failed when this agent ran before: they fail until they are proved to work."""
        ...

    def judge(self, services: Sequence[VirtualService], frontends: tuple[Frontend, ...]) -> Verdict:
        """Return the frontends without members that fail; from now on these members are asked."""
        ...


class NoMonitors:
    """Asks nobody: readiness alone counts."""

    async def follow(self, changed: Callable[[], None]) -> None:
        """Return: nothing ever changes."""

    def restore(self, failing: tuple[FailingMember, ...]) -> None:
        """Take nothing: nobody fails."""

    def judge(self, services: Sequence[VirtualService], frontends: tuple[Frontend, ...]) -> Verdict:
        """Return what was given."""
        return Verdict(frontends)
