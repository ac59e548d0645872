"""Grant one address of one family, or say why not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from lbctl.ipam.ledger import Ledger
from lbctl.ipam.ranges import AddressPool
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Address


@dataclass(frozen=True, slots=True)
class AddressRequest:
    """One Service wants one address of one family."""

    holder: str
    """UID of the Service."""
    family: int
    """4 or 6."""
    wanted: Address | None = None
    """Asked for by the user: this one or a refusal."""
    shown: Address | None = None
    """Already in the Service's status: adopted when it is in a pool and free."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An address of a pool that nobody else holds."""

    address: Address
    pool: str


def allocate(
    request: AddressRequest, pools: Sequence[AddressPool], ledger: Ledger
) -> Grant | Refused:
    """Return the address for a request; the ledger is read, not changed.

    Cost: O(ranges). The answer depends on the ledger alone, never on what was asked before.
    """
    if request.wanted is not None:
        return _requested(request.wanted, request.holder, pools, ledger)
    if request.shown is not None:
        adopted = _requested(request.shown, request.holder, pools, ledger)
        if isinstance(adopted, Grant):
            return adopted
    return _lowest(request.family, pools, ledger)


def _requested(
    address: Address, holder: str, pools: Sequence[AddressPool], ledger: Ledger
) -> Grant | Refused:
    for pool in pools:
        if any(address in pool_range for pool_range in pool.ranges):
            if ledger.holder(address) in ("", holder):
                return Grant(address, pool.name)
            return Refused(Reason.ADDRESS_TAKEN, f"{address} is held by another Service")
    names = ", ".join(pool.name for pool in pools) or "none exists"
    return Refused(Reason.ADDRESS_NOT_IN_POOL, f"{address} is in no pool ({names})")


def _lowest(family: int, pools: Sequence[AddressPool], ledger: Ledger) -> Grant | Refused:
    tried = []
    for pool in pools:
        ranges = [pool_range for pool_range in pool.ranges if pool_range.family == family]
        for pool_range in ranges:
            address = ledger.lowest_free(pool_range)
            if address is not None:
                return Grant(address, pool.name)
        if ranges:
            tried.append(pool.name)
    if not tried:
        return Refused(Reason.NO_POOL, f"no pool has IPv{family} addresses")
    return Refused(Reason.POOL_EXHAUSTED, f"no free IPv{family} address in {', '.join(tried)}")
