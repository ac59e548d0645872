"""The stage of `lbctl explain` that tells whose rules hold for a Service's traffic. Pure."""

from collections.abc import Iterator

from lbctl.inspection.stages import Mark, Stage
from lbctl.model.policy import DeclaredPolicy, TrafficRules, aspects
from lbctl.model.reasons import Refused
from lbctl.plan import policies, readiness
from lbctl.plan.policies import Ruling
from lbctl.plan.view import View
from lbctl.translate.service import ServiceFacts


def stage_of(view: View, service: ServiceFacts) -> Stage | None:
    """Return the stage; None where neither a policy nor an annotation asks for anything."""
    found = policies.ruling(service, view.policies)
    refused = readiness.refused_policy(view, service)
    if refused is not None:
        since = (
            entry.since for entry in service.conditions if entry.reason == refused.reason.value
        )
        lines = tuple(_lines(view, found))
        return Stage(
            "policy", Mark.FAILING, refused.message, refused.reason, next(since, ""), lines
        )
    if isinstance(found.rules, Refused) or (found.governing is None and not aspects(found.rules)):
        return None
    source = f"L4Policy {found.governing.name}" if found.governing else "annotations"
    return Stage(
        "policy", Mark.DONE, f"{source}: {_asked(found.rules)}", details=(*_lines(view, found),)
    )


def _asked(rules: TrafficRules) -> str:
    return ", ".join(aspect.value for aspect in aspects(rules)) or "nothing"


def _lines(view: View, found: Ruling) -> Iterator[str]:
    """Yield what else is to be known: what does not count, and what is not done."""
    if found.governing is not None:
        yield from _lasting(found.governing)
        for other in sorted(view.policies, key=lambda policy: policy.age):
            if other != found.governing and _is_for(other, view):
                yield f"L4Policy {other.name} does not count: {found.governing.name} is older"
    lacks = policies.told(policies.unsupported(found.rules, view.agents))
    if lacks:
        yield lacks


def _is_for(policy: DeclaredPolicy, view: View) -> bool:
    return view.key.partition("/")[2] in policy.targets


def _lasting(policy: DeclaredPolicy) -> Iterator[str]:
    if isinstance(policy.demand, Refused) and policy.accepted is not None:
        yield f"its last good spec counts, as what it says now is wrong: {policy.demand.detail}"
