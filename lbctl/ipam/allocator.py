"""Grant one address of one family, or say why not. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lbctl.ipam import sharing
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.pools import AddressPools
from lbctl.model.allocation import Allocation, AllocationState, Holder
from lbctl.model.pool import AddressPool, Subject
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Address


@dataclass(frozen=True, slots=True)
class AddressRequest:
    """One Service wants one address of one family."""

    holder: Holder
    """The Service as it would stand among the holders."""
    family: int
    """4 or 6."""
    wanted: Address | None = None
    """Asked for by the user: this one or a refusal."""
    shown: Address | None = None
    """Already in the Service's status: adopted when it can be had."""
    pool_wanted: str = ""
    """Asked for by the user: from this pool or a refusal."""
    sharing_key: str = ""
    """Empty: the address is for this Service alone."""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the Service."""

    @property
    def subject(self) -> Subject:
        """Return whom the address is for, as fences see it."""
        return Subject(self.holder.service.namespace, self.namespace_labels, self.labels)

    @property
    def service(self) -> str:
        """Return `<namespace>/<name>`."""
        return f"{self.holder.service.namespace}/{self.holder.service.name}"


@dataclass(frozen=True, slots=True)
class Grant:
    """An address that a Service may have."""

    allocation: Allocation
    """To be written: new, or (with a resourceVersion) in the place of the one that is there."""

    @property
    def address(self) -> Address:
        """Return the address."""
        return self.allocation.address

    @property
    def pool(self) -> str:
        """Return the pool that it is from."""
        return self.allocation.pool


@dataclass(frozen=True, slots=True)
class Awaited(Refused):
    """No address yet: the external IPAM of a pool is to be asked."""

    pool: str
    wanted: Address | None
    shown: Address | None


def allocate(request: AddressRequest, pools: AddressPools, ledger: Ledger) -> Grant | Refused:
    """Return the address for a request; the ledger is read, not changed.

    In this order: the one asked for, one reserved for this Service, the one it shows, one that it
    may share, the lowest free one. Cost: O(ranges · log addresses). The answer depends on pools
    and ledger alone, never on what was asked before.
    """
    choice = _Choice(request, pools, ledger)
    if request.wanted is not None:
        return choice.take(request.wanted)
    refused = choice.refused_pool()
    if refused is not None:
        return refused
    for address in choice.preferred():
        found = choice.take(address)
        if isinstance(found, Grant):
            return found
    return choice.lowest()


class _Choice:
    """The choice for one request: pools that may serve it are looked up once."""

    def __init__(self, request: AddressRequest, pools: AddressPools, ledger: Ledger) -> None:
        self._request = request
        self._pools = pools
        self._ledger = ledger
        self._serving = pools.serving(request.subject)

    def take(self, address: Address) -> Grant | Refused:
        """Return the grant of one address, or why it can't be had."""
        found = self._ledger.at(address)
        if found is not None and found.is_held_by(self._request.holder.service.uid):
            return self._joined(found, found.pool)  # what one holds one keeps
        refused = self.refused_pool()
        if refused is not None:
            return refused
        pool = self._pools.holding(address)
        if pool is None:
            names = ", ".join(pool.name for pool in self._pools) or "none exists"
            return Refused(Reason.ADDRESS_NOT_IN_POOL, f"{address} is in no pool ({names})")
        return self._barred(address, pool) or self._from(address, pool, found)

    def refused_pool(self) -> Refused | None:
        """Return why the pool asked for can't serve; None when it can, or none is asked for."""
        name = self._request.pool_wanted
        if not name:
            return None
        pool = self._pools.named(name)
        if pool is None:
            return Refused(Reason.POOL_NOT_FOUND, f"no pool called {name} gives addresses")
        return self._fenced(pool)

    def preferred(self) -> Sequence[Address]:
        """Return the addresses to try before any other, in order."""
        request, ledger = self._request, self._ledger
        reserved = [entry.address for entry in ledger.reserved(request.service, request.family)]
        shown = [request.shown] if request.shown is not None else []
        shared: list[Address] = []
        if request.sharing_key:
            entries = ledger.shared(request.sharing_key, request.family)
            shared = [entry.address for entry in entries]
        return (*reserved, *shown, *shared)

    def lowest(self) -> Grant | Refused:
        """Return the lowest free address of the pools that give automatically, in their order."""
        wanted, family = self._request.pool_wanted, self._request.family
        asked = [
            pool
            for pool in self._serving
            if (pool.name == wanted if wanted else pool.auto_assign)
            and self._pools.parts(pool.name, family)
        ]
        for pool in asked:
            if pool.external:
                return self._awaited(pool)
            for part in self._pools.parts(pool.name, family):
                address = self._ledger.lowest_free(part, avoid_buggy=pool.avoid_buggy)
                if address is not None:
                    return self._granted(address, pool)
        if not asked:
            return Refused(Reason.NO_POOL, self._no_pool())
        names = ", ".join(pool.name for pool in asked)
        return Refused(Reason.POOL_EXHAUSTED, f"no free IPv{family} address in {names}")

    # --- inside ---------------------------------------------------------------------------------

    def _no_pool(self) -> str:
        family, wanted = self._request.family, self._request.pool_wanted
        if wanted:
            return f"pool {wanted} has no IPv{family} addresses"
        if len(self._serving) < len(self._pools):
            return f"no pool that serves {self._request.service} has IPv{family} addresses"
        return f"no pool has IPv{family} addresses"

    def _fenced(self, pool: AddressPool) -> Refused | None:
        if pool in self._serving:
            return None
        if pool.fence.is_open or pool.fence.selects(self._request.subject):
            owners = [entry.name for entry in self._serving if entry.fence.exclusive]
            detail = (
                f"{self._request.service} gets addresses from pool {', '.join(owners)} alone, "
                f"not from {pool.name}"
            )
        else:
            detail = f"pool {pool.name} does not serve {self._request.service}"
        return Refused(Reason.POOL_NOT_ALLOWED, detail)

    def _barred(self, address: Address, pool: AddressPool) -> Refused | None:
        """Return why a pool does not give an address to this Service; None when it does."""
        wanted = self._request.pool_wanted
        if wanted and wanted != pool.name:
            detail = f"{address} is in pool {pool.name}, not in {wanted}"
            return Refused(Reason.ADDRESS_NOT_IN_POOL, detail)
        fenced = self._fenced(pool)
        if fenced is not None:
            return fenced
        if pool.bars(address):
            return Refused(Reason.ADDRESS_RESERVED, f"pool {pool.name} never gives {address}")
        return None

    def _from(
        self, address: Address, pool: AddressPool, found: Allocation | None
    ) -> Grant | Refused:
        request = self._request
        if found is None:
            return self._awaited(pool) if pool.external else self._granted(address, pool)
        if found.state is AllocationState.RELEASING:
            return Refused(Reason.ADDRESS_RESERVED, f"{address} is being given back to its IPAM")
        if found.state is AllocationState.RESERVED:
            if found.reserved_for == request.service:
                return self._joined(found, pool.name)
            owner = found.reserved_for or "nobody"
            return Refused(Reason.ADDRESS_RESERVED, f"{address} is reserved for {owner}")
        refused = sharing.refusal(request.holder, request.sharing_key, found)
        return refused or self._joined(found, found.pool)

    def _awaited(self, pool: AddressPool) -> Awaited:
        request = self._request
        detail = f"the IPAM of pool {pool.name} is asked for an IPv{request.family} address"
        return Awaited(Reason.ADDRESS_AWAITED, detail, pool.name, request.wanted, request.shown)

    def _granted(self, address: Address, pool: AddressPool) -> Grant:
        request = self._request
        return Grant(Allocation(address, pool.name, (request.holder,), request.sharing_key))

    def _joined(self, found: Allocation, pool: str) -> Grant:
        request = self._request
        others = sharing.others_than(request.holder.service.uid, found)
        holders = sorted((*others, request.holder), key=lambda holder: holder.service.uid)
        timed = bool(found.released_at)
        return Grant(
            replace(
                found,
                pool=pool,
                holders=tuple(holders),
                sharing_key=found.sharing_key if others else request.sharing_key,
                state=AllocationState.BOUND,
                reserved_for="" if timed else found.reserved_for,
                released_at="",
            )
        )
