"""What the status of L4Policies should say: whether they count, and what nodes can't do. Pure."""

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from lbctl.model.policy import DeclaredPolicy
from lbctl.model.reasons import MEANING, Reason, Refused
from lbctl.plan import policies
from lbctl.plan.objects import ObjectStep, WriteStatus, condition_of, shown
from lbctl.translate.policies import translate_policy
from lbctl.translate.serving_nodes import AgentState

ACCEPTED, SUPPORTED = "Accepted", "Supported"
OURS = (ACCEPTED, SUPPORTED)
QUIET = (Reason.POLICY_ACCEPTED, Reason.POLICY_SUPPORTED, Reason.NO_BACKEND)
"""No event tells these of a new policy."""
LASTING = "until that is mended its last good spec counts (status.accepted)"
CLOSED = "its Services are not announced until that is mended; what they have already stays"
Json: TypeAlias = dict[str, Any]
Serves = Callable[[str], bool]
"""Tells whether a Service `<namespace>/<name>` is there and is ours."""


def plan_policies(
    objects: Iterable[Json],
    serves: Serves,
    agents: Iterable[AgentState],
    now: datetime.datetime,
) -> Iterator[ObjectStep]:
    """Yield what to write; nothing when all objects say what they should."""
    known = [(obj, translate_policy(obj)) for obj in objects]
    there = tuple(agents)
    first = policies.governors(policy for _, policy in known)
    for obj, policy in known:
        accepted = _accepted(policy, first, serves)
        verdicts = {ACCEPTED: accepted, SUPPORTED: _supported(policy, there)}
        status = _status(obj, policy, verdicts, now)
        if status != obj.get("status"):
            yield WriteStatus({**obj, "status": status}, _news(obj, status))


def _status(
    obj: Json,
    policy: DeclaredPolicy,
    verdicts: dict[str, tuple[str, Refused]],
    now: datetime.datetime,
) -> Json:
    known, generation = obj.get("status") or {}, obj["metadata"].get("generation", 0)
    others = [entry for entry in known.get("conditions") or () if entry["type"] not in OURS]
    ours = [
        condition_of(kind, status, verdict, generation, shown(known, kind), now)
        for kind, (status, verdict) in verdicts.items()
    ]
    found: Json = {
        "observedGeneration": generation,
        "targets": ",".join(sorted(policy.targets)),
        "conditions": [*others, *ours],
    }
    if not isinstance(policy.demand, Refused):
        return found | {"accepted": obj["spec"]}
    return found | ({"accepted": known["accepted"]} if policy.accepted else {})


def _accepted(
    policy: DeclaredPolicy, first: Mapping[str, DeclaredPolicy], serves: Serves
) -> tuple[str, Refused]:
    """Return status and reason of Accepted; `first` is the policy that counts, by Service."""
    if isinstance(policy.demand, Refused):
        rest = LASTING if policy.accepted else CLOSED
        return "False", Refused(Reason.POLICY_INVALID, f"{policy.demand.detail}; {rest}")
    keys = {target: f"{policy.namespace}/{target}" for target in sorted(policy.targets)}
    lost = [
        f"{name} (L4Policy {first[key].name})" for name, key in keys.items() if first[key] != policy
    ]
    if lost:
        detail = f"an older policy counts for Service {', '.join(lost)}"
        return "False", Refused(Reason.POLICY_CONFLICTED, detail)
    absent = [name for name, key in keys.items() if not serves(key)]
    if absent:
        detail = f"lbctl serves no Service {', '.join(absent)} in namespace {policy.namespace}"
        return "False", Refused(Reason.TARGET_NOT_FOUND, detail)
    return "True", Refused(Reason.POLICY_ACCEPTED, MEANING[Reason.POLICY_ACCEPTED])


def _supported(policy: DeclaredPolicy, agents: tuple[AgentState, ...]) -> tuple[str, Refused]:
    """Return status and reason of Supported: what the nodes' backends can't do is named."""
    if policy.counting is None:
        return "Unknown", Refused(Reason.POLICY_INVALID, MEANING[Reason.POLICY_INVALID])
    if not policies.backends(agents):
        return "Unknown", Refused(Reason.NO_BACKEND, MEANING[Reason.NO_BACKEND])
    lacks = policies.unsupported(policy.counting.rules, agents)
    if lacks:
        return "False", Refused(Reason.POLICY_UNSUPPORTED, policies.told(lacks))
    return "True", Refused(Reason.POLICY_SUPPORTED, MEANING[Reason.POLICY_SUPPORTED])


def _news(obj: Json, status: Json) -> tuple[Json, ...]:
    """Return the conditions that say something else than before; that all is well is none."""
    before = obj.get("status") or {}
    quiet = {reason.value for reason in QUIET}

    def is_news(kind: str) -> bool:
        was, now = shown(before, kind).get("reason"), shown(status, kind)["reason"]
        return bool(was != now and not (now in quiet and (was is None or was in quiet)))

    return tuple(shown(status, kind) for kind in OURS if is_news(kind))
