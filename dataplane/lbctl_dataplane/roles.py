"""What an agent's role is: a node that serves, or a router that spreads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl.settings import Settings
from lbctl.translate.failing import FailingMember
from lbctl_dataplane.backends.choice import Choice
from lbctl_dataplane.backends.port import Leg
from lbctl_dataplane.decisions import View
from lbctl_dataplane.rules.draining import Drain
from lbctl_dataplane.rules.router.legs import Forwarding
from lbctl_dataplane.serving_node import Exemption


@dataclass(frozen=True, slots=True)
class Programmed:
    """What one pass of a role did."""

    changed: int
    """Single objects of the switch or kernel."""
    exceptions: tuple[Exemption, ...] = ()
    complaint: str = ""
    """What is wrong with this machine although everything is programmed; with the cure."""
    failing: tuple[FailingMember, ...] = ()
    """Members that fail their health monitor; sorted."""
    drains: tuple[Drain, ...] = ()
    """Members that drain; sorted."""


class Role(Protocol):
    """What an agent does with a view."""

    name: str
    """`node` or `router`, as in ServingNode.spec.role."""
    backend: Choice

    @property
    def relays(self) -> bool:
        """Tell whether it serves members on nodes without an agent."""
        ...

    @property
    def stores(self) -> Mapping[Resource, Store]:
        """Return what it watches beside decisions and endpoints."""
        ...

    async def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever something else than decisions and endpoints asks for a pass."""
        ...

    def restore(self, failing: tuple[FailingMember, ...], drains: tuple[Drain, ...]) -> None:
        """Take which members failed or drained when this agent ran before, on the same boot."""
        ...

    async def program(self, view: View) -> Programmed:
        """Make it so; idempotent. Raises Retryable with the cure in its text."""
        ...

    def apply(self, settings: Settings) -> None:
        """Let new settings count from the next pass on."""
        ...

    def legs(self) -> tuple[Leg, ...] | None:
        """Return where the fabric may send VIP traffic; None while that is not known."""
        ...

    def excluded(self) -> str:
        """Return why the fabric should spare this machine; empty: it need not."""
        ...

    def forwarding(self) -> Forwarding | None:
        """Return how it passes packets on to its peers; None where it does not."""
        ...
