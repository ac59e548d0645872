"""The backend that moves no packet: kube-proxy, or what stands in for it, serves the VIPs.

The node's legs, acknowledgements and failing members are reported as by the other backends, so that
the fabric sends a VIP to the nodes with ready members. kube-proxy knows the VIP from the Service's
status, checks the Service's own source ranges and translates addresses both ways.
"""

from collections.abc import Callable, Sequence

from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import node_facts
from lbctl_dataplane.backends.node_facts import NodeFacts
from lbctl_dataplane.backends.port import Leg, Outcome
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.frontend import Frontend


class AnnounceOnly:
    """Owns nothing on the node."""

    def __init__(self, service_interface: str, legs: Callable[[], tuple[Address, ...]]) -> None:
        self._facts = NodeFacts(service_interface)
        self._legs = legs

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow the service interface, whose MAC is reported."""
        await self._facts.follow(changed)

    def legs(self) -> tuple[Leg, ...] | None:
        """Return the legs' addresses with the service interface's MAC."""
        return self._facts.legs(self._legs)

    async def program(self, frontends: Sequence[Frontend]) -> Outcome:
        """Change nothing; no member is missing, as kube-proxy reaches those that pods reach.

        Raises Unavailable, with the cure, without the interface or where packets can't get to pods.
        """
        await self._facts.now()
        node_facts.check_forwarding(frontend.served_versions(frontends))
        return Outcome(0)
