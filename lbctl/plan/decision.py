"""The decision that a Service should have: addresses, listeners, policy and names. Pure."""

import datetime

from lbctl.model import names
from lbctl.model.allocation import Allocation
from lbctl.model.virtual_service import (
    Listener,
    NamePublication,
    Phase,
    ServiceRef,
    Vip,
    VipRole,
    VirtualService,
)
from lbctl.plan import times
from lbctl.plan.view import View
from lbctl.translate.endpoints import usable
from lbctl.translate.service import ServiceFacts


def desired_decision(view: View, service: ServiceFacts, now: datetime.datetime) -> VirtualService:
    """Return what the L4VirtualService of a Service that is ours should say."""
    name = _name(view, service)
    empty_since = _empty_since(view, now)
    return VirtualService(
        service=ServiceRef(service.namespace, service.name, service.uid),
        name=name,
        phase=Phase.SERVING,
        vips=_vips(view, service),
        listeners=tuple(
            Listener(
                port.name,
                port.protocol,
                port.port,
                names.pool_name(name, port.port, port.protocol),
            )
            for port in service.ports
        ),
        policy=service.policy,
        names=_names(view, service, empty_since, now),
        empty_since=empty_since,
    )


def grace_ends(view: View) -> datetime.datetime | None:
    """Return when the names of a Service without usable endpoints go; None when nothing runs."""
    if view.decision is None or not view.decision.virtual_service.empty_since:
        return None
    since = times.parse(view.decision.virtual_service.empty_since)
    return since + datetime.timedelta(seconds=view.naming.empty_grace_s)


def is_published(decision: VirtualService) -> bool:
    """Tell whether DNS answers any name of a decision."""
    return any(name.published for name in decision.names)


def _name(view: View, service: ServiceFacts) -> str:
    if view.decision is not None and view.decision.virtual_service.service.uid == service.uid:
        return view.decision.virtual_service.name
    return names.virtual_service_name(
        view.naming.cluster, service.namespace, service.name, taken=view.name_taken
    )


def _vips(view: View, service: ServiceFacts) -> tuple[Vip, ...]:
    held = _chosen(view)
    return tuple(
        Vip(held[family].address, VipRole.CURRENT, held[family].name, held[family].uid)
        for family in sorted(service.families)
        if family in held
    )


def _chosen(view: View) -> dict[int, Allocation]:
    """Return the allocation of each family: the one decided for already, else the lowest.

    There may be two of one family when two writers met, such as the last leader's write arriving
    late; the other one is surplus.
    """
    decided = view.decision.virtual_service.vips if view.decision is not None else ()
    addresses = {vip.address for vip in decided}
    chosen: dict[int, Allocation] = {}
    for allocation in view.allocations:
        family = allocation.address.version
        if family not in chosen or allocation.address in addresses:
            chosen[family] = allocation
    return chosen


def _empty_since(view: View, now: datetime.datetime) -> str:
    """Return since when there are endpoints but none usable; the start is kept in the decision.

    Only a published name has a grace to lose.
    """
    if not view.endpoints or usable(view.endpoints) or view.decision is None:
        return ""
    before = view.decision.virtual_service
    if before.empty_since:
        return before.empty_since
    return times.render(now) if is_published(before) else ""


def _names(
    view: View, service: ServiceFacts, empty_since: str, now: datetime.datetime
) -> tuple[NamePublication, ...]:
    naming = view.naming
    if not naming.subdomain:
        return ()
    host = names.host_name(service.namespace, service.name, naming.subdomain, flat=naming.flat)
    published = bool(usable(view.endpoints))
    if empty_since:
        age = now - times.parse(empty_since)
        published = age < datetime.timedelta(seconds=naming.empty_grace_s)
    return (NamePublication(host, naming.ttl_s, published),)
