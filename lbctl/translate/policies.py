"""L4Policy objects, and annotations that say the same, become rules for traffic. Pure."""

import ipaddress
from collections.abc import Mapping
from typing import Any, Literal

import pydantic
from pydantic import Field

from lbctl.model.monitors import Monitor
from lbctl.model.policy import (
    ALGORITHMS,
    DeclaredPolicy,
    Demand,
    Limits,
    MemberWeight,
    Persistence,
    TrafficRules,
)
from lbctl.model.reasons import Reason, Refused
from lbctl.settings_parts import Section
from lbctl.translate import annotations as table
from lbctl.translate import durations
from lbctl.translate.faults import first_fault
from lbctl.translate.monitors import MonitorForm, monitor_of, parse_short

MAX_TARGETS = 16
LONGEST_DRAIN_S = 86_400
MAX_WEIGHTS = 64
HEAVIEST = 100


class _Target(Section):
    group: Literal[""] = ""
    kind: Literal["Service"] = "Service"
    name: str = Field(min_length=1)


class _Persistence(Section):
    type: Literal["None", "ClientIP"]
    timeout_seconds: int = Field(default=0, ge=0, le=86_400)


class _Limits(Section):
    connections: int = Field(default=0, ge=0)
    connections_per_second: int = Field(default=0, ge=0)
    connections_per_client: int = Field(default=0, ge=0)


class _MemberWeight(Section):
    weight: int = Field(ge=0, le=HEAVIEST)
    node: str = ""
    addresses: str = ""


class _Spec(Section):
    target_refs: tuple[_Target, ...] = Field(min_length=1, max_length=MAX_TARGETS)
    enabled: bool = True
    algorithm: Literal["", "maglev", "round-robin", "least-connections", "source-hash"] = ""
    persistence: _Persistence | None = None
    source_ranges: tuple[str, ...] = ()
    limits: _Limits | None = None
    drain_timeout_seconds: int | None = Field(default=None, ge=0, le=LONGEST_DRAIN_S)
    monitor: MonitorForm | None = None
    member_weights: tuple[_MemberWeight, ...] = Field(default=(), max_length=MAX_WEIGHTS)


def translate_policy(obj: Mapping[str, Any]) -> DeclaredPolicy:
    """Return what an L4Policy object asks for, or which field is wrong, and its last good."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    kept = (obj.get("status") or {}).get("accepted")
    accepted = _demand(kept) if kept else None
    return DeclaredPolicy(
        namespace=meta["namespace"],
        name=meta["name"],
        created=meta.get("creationTimestamp", ""),
        demand=_demand(spec),
        named=_named(spec),
        accepted=accepted if isinstance(accepted, Demand) else None,
    )


def read_rules(annotations: Mapping[str, str]) -> TrafficRules | Refused:
    """Return what annotations of a Service ask of its traffic, or which one can't be followed."""
    rules = TrafficRules()
    for key, text in table.ALGORITHM.said(annotations):
        if text not in ALGORITHMS:
            return _refused(f"annotation {key}: {text!r} is none of {', '.join(ALGORITHMS)}")
        rules = TrafficRules(algorithm=text).over(rules)
    for key, text in table.DRAIN_TIMEOUT.said(annotations):
        seconds = durations.parse_seconds(text)
        if seconds is None or seconds > LONGEST_DRAIN_S:
            return _refused(
                f"annotation {key}: {text!r} is neither seconds nor a duration such as 1m30s, "
                "of a day at most"
            )
        rules = TrafficRules(drain_timeout_s=seconds).over(rules)
    for key, text in table.HEALTH_MONITOR.said(annotations):
        monitor = parse_short(text)
        if monitor is None:
            return _refused(
                f"annotation {key}: {text!r} is no type tcp, half-open, udp, http or https with a "
                "port and a path where they are wanted, as http:8081/healthz"
            )
        rules = TrafficRules(monitor=monitor).over(rules)
    return rules


def _refused(detail: str) -> Refused:
    return Refused(Reason.POLICY_REFUSED, detail)


def _named(spec: Mapping[str, Any]) -> frozenset[str]:
    """Return the Services that a spec names, whatever else is wrong with it."""
    refs = spec.get("targetRefs")
    listed = refs if isinstance(refs, list) else ()
    found = (ref.get("name") for ref in listed if isinstance(ref, Mapping))
    return frozenset(name for name in found if isinstance(name, str))


def _demand(spec: Mapping[str, Any]) -> Demand | Refused:
    try:
        parsed = _Spec.model_validate(spec)
        return Demand(_rules(parsed), frozenset(target.name for target in parsed.target_refs))
    except pydantic.ValidationError as error:
        return Refused(Reason.POLICY_INVALID, first_fault(error))
    except ValueError as error:
        return Refused(Reason.POLICY_INVALID, str(error))


def _rules(spec: _Spec) -> TrafficRules:
    keeps = spec.persistence
    return TrafficRules(
        enabled=spec.enabled,
        algorithm=spec.algorithm,
        persistence=Persistence(keeps.type == "ClientIP", keeps.timeout_seconds) if keeps else None,
        source_ranges=_ranges(spec.source_ranges),
        limits=_limits(spec.limits) if spec.limits else None,
        drain_timeout_s=spec.drain_timeout_seconds,
        monitor=_monitor(spec.monitor) if spec.monitor else None,
        weights=tuple(map(_weight, spec.member_weights)),
    )


def _monitor(said: MonitorForm) -> Monitor:
    try:
        return monitor_of(said)
    except ValueError as error:
        raise ValueError(f"spec.monitor: {error}") from error


def _weight(said: _MemberWeight) -> MemberWeight:
    if not said.node and not said.addresses:
        raise ValueError("spec.memberWeights: an entry has neither node nor addresses")
    try:
        addresses = str(ipaddress.ip_network(said.addresses)) if said.addresses else ""
    except ValueError as error:
        raise ValueError(f"spec.memberWeights: {error}") from error
    return MemberWeight(said.weight, said.node, addresses)


def _limits(said: _Limits) -> Limits:
    return Limits(said.connections, said.connections_per_second, said.connections_per_client)


def _ranges(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(str(ipaddress.ip_network(text)) for text in texts))
    except ValueError as error:
        raise ValueError(f"spec.sourceRanges: {error}") from error
