"""The port for those who have an IPAM of their own: it chooses, lbctl keeps and serves. Pure.

A pool may name one. Its addresses are then given by nobody else; an answer becomes an IPAllocation
that is reserved for the Service, and from there on everything goes as with any other address.
"""

from dataclasses import dataclass
from typing import Protocol

from lbctl.model.reasons import Refused
from lbctl.model.virtual_service import Address


@dataclass(frozen=True, slots=True)
class Claim:
    """One Service's claim to one address of one family."""

    cluster: str
    pool: str
    service: str
    """`<namespace>/<name>`; with cluster and family the owner, for the IPAM."""
    family: int
    """4 or 6."""
    wanted: Address | None = None
    """Asked for by the user: this one or a refusal."""
    shown: Address | None = None
    """What the Service shows already: this one if that can be."""


class ExternalIpam(Protocol):
    """An IPAM outside of lbctl.

    Both calls are repeated after a crash, an outage or by a second controller, so they must be
    idempotent: an owner that claims again is told the address that it has.
    """

    async def claim(self, claim: Claim) -> Address | Refused:
        """Return the address of an owner, or why there is none. Raises Retryable."""
        ...

    async def release(self, claim: Claim, address: Address) -> None:
        """Take an address back; nothing happens when the owner has none. Raises Retryable."""
        ...
