"""On what terms a Service holds its addresses: the ports and the consent that others rely on. Pure.

Who shares an address must not take a port that another sharer has. So a port is entered with the
address first and served then, and it is entered no more only when nobody serves it any more. A
holder that changes counts as a newcomer: what the others do not allow is refused, and what it had
before goes on.
"""

from collections.abc import Iterator
from dataclasses import replace

from lbctl.ipam import sharing
from lbctl.model.allocation import Allocation, Holder
from lbctl.model.reasons import Reason, Refused
from lbctl.plan import offers, steps
from lbctl.plan.view import View
from lbctl.translate.service import ServiceFacts, ServicePort


def widened(view: View, service: ServiceFacts) -> tuple[steps.Step, ...]:
    """Return what has to be entered with addresses that are or may be shared, before it is done."""
    return tuple(
        steps.ChangeAllocation(after)
        for before, after in _entered(view, service, keeping=True)
        if (before.sharing_key or after.sharing_key) and after != before
    )


def settled(view: View, service: ServiceFacts) -> tuple[steps.Step, ...]:
    """Return what is to be entered once everybody serves what was decided."""
    return tuple(
        steps.ChangeAllocation(after)
        for before, after in _entered(view, service, keeping=False)
        if after != before
    )


def refusals(view: View, service: ServiceFacts) -> tuple[Refused, ...]:
    """Return what other holders of its addresses do not allow a Service."""
    found = (_refusal(service, entry) for entry in _held(view, service))
    return tuple(entry for entry in found if entry is not None)


def served_ports(view: View, service: ServiceFacts) -> tuple[ServicePort, ...]:
    """Return the ports that may be served: where addresses are shared, those entered with them."""
    entered = [set(_own(service, e).ports) for e in _held(view, service) if e.sharing_key]
    return tuple(
        port
        for port in service.ports
        if port.carried and all((port.port, port.protocol) in ports for ports in entered)
    )


def traffic_policy(view: View, service: ServiceFacts) -> str:
    """Return the externalTrafficPolicy: where an address is shared, the one that all have."""
    for entry in _held(view, service):
        own = _own(service, entry)
        if own.traffic and sharing.others_than(service.uid, entry):
            return own.traffic.partition("/")[0]
    return service.policy.external_traffic_policy


def _held(view: View, service: ServiceFacts) -> tuple[Allocation, ...]:
    return tuple(entry for entry in view.allocations if entry.is_held_by(service.uid))


def _own(service: ServiceFacts, entry: Allocation) -> Holder:
    return next(holder for holder in entry.holders if holder.service.uid == service.uid)


def _key(service: ServiceFacts) -> str:
    return service.sharing.key if service.sharing else ""


def _refusal(service: ServiceFacts, entry: Allocation) -> Refused | None:
    others = sharing.others_than(service.uid, entry)
    if not others:
        return None
    if _key(service) != entry.sharing_key:
        first = others[0].service
        detail = (
            f"{entry.address} is shared with {first.namespace}/{first.name} under the key "
            f"{entry.sharing_key}, which the Service no longer has: ask for another address to part"
        )
        return Refused(Reason.ADDRESS_KEPT, detail)
    return sharing.refusal(offers.holder_of(service), _key(service), entry)


def _entered(
    view: View, service: ServiceFacts, *, keeping: bool
) -> Iterator[tuple[Allocation, Allocation]]:
    """Yield each address before and after the Service's present terms are entered.

    `keeping` leaves the ports there that it does not have any more: they may still be served.
    """
    for entry in _held(view, service):
        if _refusal(service, entry) is not None:
            continue
        own, wanted = _own(service, entry), offers.holder_of(service)
        if keeping:
            ports = tuple(sorted({*own.ports, *wanted.ports}))
            wanted = replace(wanted, ports=ports)
        others = sharing.others_than(service.uid, entry)
        holders = sorted((*others, wanted), key=lambda holder: holder.service.uid)
        key = entry.sharing_key if others else _key(service)
        yield entry, replace(entry, holders=tuple(holders), sharing_key=key)
