"""What IPAM offers one Service: what it lacks, or asks for in the place of what it has. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbctl.ipam import allocator
from lbctl.ipam.allocator import AddressRequest, Grant
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.pools import AddressPools
from lbctl.model.allocation import Allocation, Holder, traffic_of
from lbctl.model.reasons import Refused
from lbctl.model.virtual_service import Address, ServiceRef, VipRole, VirtualService
from lbctl.translate.service import ServiceFacts


@dataclass(frozen=True, slots=True)
class Stock:
    """What addresses are given from, and to whom they were given."""

    pools: AddressPools
    ledger: Ledger
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    """Of the Service's namespace: fences look at them."""


def offers(
    stock: Stock,
    service: ServiceFacts | None,
    allocations: Iterable[Allocation],
    decided: VirtualService | None,
) -> dict[int, Grant | Refused]:
    """Return IPAM's answer for each family in which a Service does not hold what it asks for."""
    if service is None or not service.ours or service.deleting:
        return {}
    if isinstance(service.wanted, Refused):
        return dict.fromkeys(service.families, service.wanted)
    own = [entry for entry in allocations if entry.is_held_by(service.uid)]
    shown = _shown(service, decided)
    found: dict[int, Grant | Refused] = {}
    for family in service.families:
        held = [entry for entry in own if entry.address.version == family]
        if any(is_fit(stock.pools, service, entry) for entry in held):
            continue
        # Who moves does not want what it shows already.
        adopts = None if held else shown.get(family)
        found[family] = allocator.allocate(
            _request(stock, service, family, adopts), stock.pools, stock.ledger
        )
    return found


def unfit(
    stock: Stock, service: ServiceFacts | None, allocations: Iterable[Allocation]
) -> frozenset[Address]:
    """Return the addresses among those held that are not what the Service asks for now."""
    if service is None:
        return frozenset()
    return frozenset(
        entry.address for entry in allocations if not is_fit(stock.pools, service, entry)
    )


def is_fit(pools: AddressPools, service: ServiceFacts, allocation: Allocation) -> bool:
    """Tell whether an address is what a Service asks for; who asks for nothing takes any.

    The pool that it was given from counts as well as the one that has it now: pools may be cut
    anew under an address, which moves nobody.
    """
    if isinstance(service.wanted, Refused):
        return True
    wanted = service.wanted.get(allocation.address.version)
    if wanted is not None and wanted != allocation.address:
        return False
    if service.pool_wanted in ("", allocation.pool):
        return True
    pool = pools.holding(allocation.address)
    return pool is not None and pool.name == service.pool_wanted


def holder_of(service: ServiceFacts) -> Holder:
    """Return a Service as it stands among the holders of an address."""
    return Holder(
        ServiceRef(service.namespace, service.name, service.uid),
        tuple(sorted((port.port, port.protocol) for port in service.ports)),
        traffic_of(service.policy.external_traffic_policy, service.selector),
        service.sharing.namespaces if service.sharing else frozenset(),
    )


def _request(
    stock: Stock, service: ServiceFacts, family: int, shown: Address | None
) -> AddressRequest:
    wanted = {} if isinstance(service.wanted, Refused) else service.wanted
    return AddressRequest(
        holder_of(service),
        family,
        wanted=wanted.get(family),
        shown=shown,
        pool_wanted=service.pool_wanted,
        sharing_key=service.sharing.key if service.sharing else "",
        labels=service.labels,
        namespace_labels=stock.namespace_labels,
    )


def _shown(service: ServiceFacts, decided: VirtualService | None) -> dict[int, Address]:
    """Return the addresses that are out there already, by family: they are adopted if free."""
    shown: dict[int, Address] = {entry.version: entry for entry in service.ingress}
    if decided is not None and decided.service.uid == service.uid:
        current = (vip.address for vip in decided.vips if vip.role is VipRole.CURRENT)
        shown |= {address.version: address for address in current}
    return shown
