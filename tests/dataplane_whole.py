"""What a node should hold, worked out from nothing: what each step of a change must agree with."""

from collections.abc import Iterable, Sequence

from lbctl import delta
from lbctl.model.virtual_service import VirtualService
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.frontend import Endpoints, Frontend
from lbctl_dataplane.rules.ovs import limits, pipeline, refusals
from lbctl_dataplane.rules.ovs.openflow import Changes, FlowKey, Tables
from lbctl_dataplane.rules.ovs.pipeline import Ground
from lbctl_dataplane.rules.tables.elements import Element, Ends


def frontends(
    services: Iterable[VirtualService], endpoints: Endpoints, node: str
) -> tuple[Frontend, ...]:
    """Return what `node` programs for one view."""
    return tuple(
        frontend.frontend_of(claim, endpoints.get(claim.service.key, ()), node)
        for claim in frontend.claims(services)
    )


def desired(frontends: Sequence[Frontend], ground: Ground) -> Tables:
    """Return all flows and groups of ours. Members whose pod has no port are left out."""
    flows: dict[FlowKey, str] = dict(pipeline.frame(ground))
    groups: dict[int, str] = {}
    meters: dict[int, str] = {}
    numbers, counted = pipeline.group_numbers(), limits.numbers()
    for entry in frontends:
        meter = counted.of(entry.place) if pipeline.is_metered(entry, ground) else None
        part = pipeline.tables(entry, ground, numbers.of(entry.place), meter)
        flows.update(part.flows)
        groups.update(part.groups)
        meters.update(part.meters)
    return Tables(flows, groups, meters)


def refused(frontends: Sequence[Frontend], ground: Ground) -> dict[Element, Ends]:
    """Return all elements of the table beside a switch."""
    found: dict[Element, Ends] = {}
    for entry in frontends:
        found |= refusals.elements(entry)
    return found


def changes(desired: Tables, observed: Tables) -> Changes:
    """Return what to change so that `observed` becomes `desired`."""
    return Changes(
        delta.diff(desired.flows, observed.flows),
        delta.diff(desired.groups, observed.groups),
        frozenset(observed.groups),
        delta.diff(desired.meters, observed.meters),
        frozenset(observed.meters),
    )
