"""What a node backend is: the contract that the switch and the in-memory one both keep."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lbctl.model.virtual_service import Address
from lbctl_dataplane.rules.frontend import Frontend


@dataclass(frozen=True, slots=True)
class Leg:
    """One address that the fabric sends VIP traffic to."""

    address: Address
    mac: str
    """Empty where the fabric has to ask for it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call of `program` found and did."""

    changed: int
    """Single objects that were added, modified or deleted."""
    missing: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    """Members that could not be programmed, by virtual service."""
    complaint: str = ""
    """What is not as it was asked for although all is programmed, with the cure."""


class NodeBackend(Protocol):
    """Sole owner of VIP traffic on one node. `program` is idempotent and safe after a crash."""

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow the node's own facts for ever; call `changed` when `program` should run again."""
        ...

    async def program(self, frontends: Sequence[Frontend]) -> Outcome:
        """Make it so.

        What is the same object as in the call before has not changed: it costs next to nothing.
        Raises Retryable when the node is not (yet) as it must be, with the cure in the text.
        Connections to members that stay in `members` or `lingering` are never broken.
        """
        ...

    def legs(self) -> tuple[Leg, ...] | None:
        """Return where the fabric may send VIP traffic; None while that is not known.

        The difference counts: a leg that is taken back costs its connections.
        """
        ...
