"""The decision that a Service should have: addresses, listeners, policy and names. Pure."""

import dataclasses
import datetime

from lbctl.model import names
from lbctl.model.virtual_service import (
    Listener,
    NamePublication,
    Phase,
    ServiceRef,
    VirtualService,
)
from lbctl.plan import terms, times, vips
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
        vips=vips.desired_vips(view, service, now),
        listeners=tuple(
            Listener(
                port.name,
                port.protocol,
                port.port,
                names.pool_name(name, port.port, port.protocol),
            )
            for port in terms.served_ports(view, service)
        ),
        policy=dataclasses.replace(
            service.policy, external_traffic_policy=terms.traffic_policy(view, service)
        ),
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
