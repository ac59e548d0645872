"""Build decisions, allocations and whole passes for tests of the controller's own rooms."""

import dataclasses
import datetime
from typing import Any

import builders
from lbctl.model.allocation import Allocation, Holder
from lbctl.model.reasons import Condition
from lbctl.model.virtual_service import ServiceRef, VirtualService
from lbctl.plan import conditions, decision, readiness
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate.service import ShownCondition

HOLDER = ServiceRef("default", "kuard", "uid-1")
SINCE = "2026-11-21T11:00:00Z"


def allocation(address: str = "192.0.2.1", holder: ServiceRef = HOLDER) -> Allocation:
    """Return an address of the default pool that kuard holds."""
    entry = Holder(holder, ((8080, "TCP"),), "Cluster")
    return Allocation(builders.address(address), "default", (entry,), uid=f"alloc-{address}")


def observed(virtual_service: VirtualService, **overrides: Any) -> ObservedDecision:
    """Return a decision as it stands in the API: version 30, generation 1, no status yet."""
    base = ObservedDecision(
        virtual_service,
        uid="vs-1",
        resource_version="30",
        generation=1,
        spec_version=30,
        status=None,
    )
    return dataclasses.replace(base, **overrides)


def decided(view: View, now: datetime.datetime = builders.NOW, **overrides: Any) -> View:
    """Return the view after the decision that follows from it was written."""
    assert view.service is not None
    wanted = decision.desired_decision(view, view.service, now)
    return dataclasses.replace(view, decision=observed(wanted, **overrides))


def rewritten(view: View, **spec: Any) -> View:
    """Return the view with parts of its decision's spec changed."""
    assert view.decision is not None
    changed = dataclasses.replace(view.decision.virtual_service, **spec)
    return dataclasses.replace(
        view, decision=dataclasses.replace(view.decision, virtual_service=changed)
    )


def reported(view: View) -> View:
    """Return the view after the decision's status was written."""
    assert view.decision is not None
    status = conditions.decision_status(
        view, view.decision, readiness.readiness(view, view.decision)
    )
    return dataclasses.replace(view, decision=dataclasses.replace(view.decision, status=status))


def shown(*entries: Condition, since: str = SINCE) -> tuple[ShownCondition, ...]:
    """Return conditions as they stand in a Service's status."""
    return tuple(
        ShownCondition(entry.type.value, entry.true, entry.reason.value, entry.message, since)
        for entry in entries
    )


def serving(*addresses: str, slices: tuple[Any, ...] = (), **overrides: Any) -> View:
    """Return a view of kuard with its finalizer, these addresses (one by default), decided."""
    held = tuple(allocation(text) for text in addresses or ("192.0.2.1",))
    families = [f"IPv{entry.address.version}" for entry in held]
    obj = builders.finalized(builders.service(ipFamilies=families))
    return decided(builders.view(obj, slices=slices, allocations=held, **overrides))
