"""The decision that a Service should have: addresses, listeners, policy and names. Pure."""

import dataclasses
import datetime

from lbctl.model import names
from lbctl.model.hostnames import AtZero
from lbctl.model.reasons import Refused
from lbctl.model.virtual_service import (
    Listener,
    NamePublication,
    Phase,
    Policy,
    ServiceRef,
    VirtualService,
)
from lbctl.plan import policies, terms, times, vips
from lbctl.plan.hostnames import WantedNames, wanted_names
from lbctl.plan.view import View
from lbctl.translate.endpoints import usable, weighed
from lbctl.translate.service import ServiceFacts, ServicePort


def desired_decision(view: View, service: ServiceFacts, now: datetime.datetime) -> VirtualService:
    """Return what the L4VirtualService of a Service that is ours should say."""
    name = _name(view, service)
    asked = wanted_names(view.naming, service, view.namespace_labels)
    policy = _policy(view, service)
    empty_since = _empty_since(view, asked, policy, now)
    return VirtualService(
        service=ServiceRef(service.namespace, service.name, service.uid),
        name=name,
        phase=Phase.SERVING,
        vips=vips.desired_vips(view, service, now),
        listeners=tuple(_listener(view, name, port) for port in terms.served_ports(view, service)),
        policy=policy,
        names=_publications(view, asked, policy, empty_since, now),
        empty_since=empty_since,
    )


def _listener(view: View, name: str, port: ServicePort) -> Listener:
    """Return what serves a port; its node port is told where somebody asks there.

    Else it would cost each decision a write that changes nothing.
    """
    pool = names.pool_name(name, port.port, port.protocol)
    node_port = port.node_port if view.crew.relays else 0
    return Listener(port.name, port.protocol, port.port, pool, node_port)


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


def _policy(view: View, service: ServiceFacts) -> Policy:
    """Return the policy; what was decided stays while what is asked for can't be followed."""
    found = policies.resolve(service, view.policies)
    if isinstance(found, Refused):
        decided = view.decision.virtual_service.policy if view.decision else service.policy
        found = _closed_further(decided, service)
    return dataclasses.replace(found, external_traffic_policy=terms.traffic_policy(view, service))


def _closed_further(decided: Policy, service: ServiceFacts) -> Policy:
    """Return what was decided, without the clients that the Service lets in no more.

    Who narrows the ranges of a Service may not have to mend its policy first.
    """
    ranges = policies.narrowed(decided.source_ranges, service.policy.source_ranges)
    if {*ranges} == {*decided.source_ranges}:
        return decided
    return dataclasses.replace(decided, source_ranges=ranges)


def _empty_since(view: View, names: WantedNames, policy: Policy, now: datetime.datetime) -> str:
    """Return since when there are endpoints but none gets new connections; the decision keeps it.

    Only a published name has a grace to lose.
    """
    if not view.endpoints or _taken(view, policy) or view.decision is None:
        return ""
    if names.at_zero is AtZero.KEEP or not policy.enabled:
        return ""
    before = view.decision.virtual_service
    if before.empty_since:
        return before.empty_since
    return times.render(now) if is_published(before) else ""


def _taken(view: View, policy: Policy) -> bool:
    """Tell whether any endpoint gets new connections."""
    return bool(usable(weighed(view.endpoints, policy.weights)))


def _publications(
    view: View, names: WantedNames, policy: Policy, empty_since: str, now: datetime.datetime
) -> tuple[NamePublication, ...]:
    answered = names.at_zero is AtZero.KEEP or (policy.enabled and _taken(view, policy))
    if empty_since:
        age = now - times.parse(empty_since)
        answered = age < datetime.timedelta(seconds=view.naming.empty_grace_s)
    found = []
    for host in names.hosts:
        taken_by = view.rivals.get(host, "")
        no_data = names.at_zero is AtZero.NODATA and not answered and not taken_by
        published = answered and not taken_by
        found.append(NamePublication(host, names.ttl_s, published, no_data, taken_by))
    return tuple(found)
