"""What L4Policies and annotations ask for, and what is wrong with them."""

from typing import Any

import pytest

import policy_builders as built
from lbctl.model.monitors import Kind, Monitor
from lbctl.model.policy import (
    Aspect,
    Demand,
    Limits,
    MemberWeight,
    Persistence,
    TrafficRules,
    aspects,
)
from lbctl.model.reasons import Reason, Refused
from lbctl.translate.policies import read_rules, translate_policy


def rules(**spec: Any) -> TrafficRules:
    found = built.declared(**spec).demand
    assert isinstance(found, Demand)
    return found.rules


def fault(obj: dict[str, Any]) -> Refused:
    found = translate_policy(obj).demand
    assert isinstance(found, Refused)
    return found


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        ({}, TrafficRules()),
        ({"enabled": True}, TrafficRules()),
        ({"enabled": False}, TrafficRules(enabled=False)),
        ({"algorithm": "source-hash"}, TrafficRules(algorithm="source-hash")),
        (
            {"persistence": {"type": "ClientIP", "timeoutSeconds": 60}},
            TrafficRules(persistence=Persistence(True, 60)),
        ),
        ({"persistence": {"type": "None"}}, TrafficRules(persistence=Persistence(False))),
        (
            {"sourceRanges": ["192.0.2.0/24", "2001:DB8::/32", "192.0.2.0/24"]},
            TrafficRules(source_ranges=("192.0.2.0/24", "2001:db8::/32")),
        ),
        (
            {"limits": {"connections": 9, "connectionsPerClient": 2}},
            TrafficRules(limits=Limits(connections=9, connections_per_client=2)),
        ),
        ({"drainTimeoutSeconds": 0}, TrafficRules(drain_timeout_s=0)),
        (
            {
                "memberWeights": [
                    {"weight": 0, "node": "n"},
                    {"weight": 3, "addresses": "FD00::/16"},
                ]
            },
            TrafficRules(weights=(MemberWeight(0, "n"), MemberWeight(3, "", "fd00::/16"))),
        ),
        (
            {"monitor": {"type": "http", "path": "/ok", "fall": 5, "codes": ["200"]}},
            TrafficRules(monitor=Monitor(Kind.HTTP, fall=5, path="/ok", codes=((200, 200),))),
        ),
    ],
)
def test_each_field_is_one_rule(spec: dict[str, Any], asked: TrafficRules) -> None:
    assert rules(**spec) == asked


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (built.spec_of(algorithm="fastest"), "spec.algorithm"),
        (built.spec_of(sourceRanges=["192.0.2.1/24"]), "spec.sourceRanges: 192.0.2.1/24"),
        (built.spec_of(sourceRanges=["nonsense"]), "spec.sourceRanges: 'nonsense'"),
        (built.spec_of(limits={"connections": -1}), "spec.limits.connections"),
        (built.spec_of(drainTimeoutSeconds=86_401), "spec.drainTimeoutSeconds"),
        (built.spec_of(persistence={"type": "Cookie"}), "spec.persistence.type"),
        (built.spec_of(memberWeights=[{"weight": 1}]), "spec.memberWeights: an entry has neither"),
        (built.spec_of(memberWeights=[{"node": "n"}]), "spec.memberWeights.0.weight"),
        (
            built.spec_of(memberWeights=[{"weight": 101, "node": "n"}]),
            "spec.memberWeights.0.weight",
        ),
        (
            built.spec_of(memberWeights=[{"weight": 1, "addresses": "10.0.0.1/8"}]),
            "spec.memberWeights: 10.0.0.1/8",
        ),
        (built.spec_of(trafic="off"), "spec.trafic"),
        (built.spec_of(monitor={}), "spec.monitor.type"),
        (built.spec_of(monitor={"type": "ping"}), "spec.monitor.type"),
        (
            built.spec_of(monitor={"type": "tcp", "timeoutMilliseconds": 9000}),
            "spec.monitor: the timeout is longer",
        ),
        (built.spec_of(monitor={"type": "http", "codes": ["ok"]}), "spec.monitor.codes.0"),
        ({"targetRefs": [{"kind": "Gateway", "name": "kuard"}]}, "spec.targetRefs.0.kind"),
        ({"targetRefs": []}, "spec.targetRefs"),
        ({"targetRefs": "kuard"}, "spec.targetRefs"),
        ({}, "spec.targetRefs"),
    ],
)
def test_what_is_wrong_names_its_field(spec: dict[str, Any], said: str) -> None:
    found = fault({**built.policy(), "spec": spec})
    assert found.reason is Reason.POLICY_INVALID
    assert found.detail.startswith(said)


def test_a_policy_that_never_was_right_is_for_the_services_that_it_names() -> None:
    found = built.declared("web", "a", "b", **built.BAD)
    assert found.counting is None
    assert found.targets == {"a", "b"}


def test_a_bad_edit_leaves_the_last_good_spec_with_its_services() -> None:
    kept = built.spec_of("a", enabled=False)
    found = built.declared("web", "b", accepted=kept, **built.BAD)
    assert found.counting == Demand(TrafficRules(enabled=False), frozenset({"a"}))
    assert found.targets == {"a"}
    assert found.named == {"b"}


def test_a_last_good_spec_that_is_none_counts_for_nothing() -> None:
    found = built.declared("web", accepted={"targetRefs": []}, **built.BAD)
    assert found.counting is None


@pytest.mark.parametrize(
    ("notes", "asked"),
    [
        ({}, TrafficRules()),
        ({"lbctl.io/algorithm": " round-robin "}, TrafficRules(algorithm="round-robin")),
        ({"lbctl.io/drain-timeout": "1m30s"}, TrafficRules(drain_timeout_s=90)),
        ({"lbctl.io/drain-timeout": ""}, TrafficRules()),
        ({"lbctl.io/health-monitor": "tcp"}, TrafficRules(monitor=Monitor(Kind.TCP))),
        (
            {"lbctl.io/health-monitor": "half-open:8081"},
            TrafficRules(monitor=Monitor(Kind.HALF_OPEN, port=8081)),
        ),
        (
            {"lbctl.io/health-monitor": "https/healthz"},
            TrafficRules(monitor=Monitor(Kind.HTTPS, path="/healthz")),
        ),
        (
            {"lbctl.io/algorithm": "maglev", "lbctl.io/drain-timeout": "0"},
            TrafficRules(algorithm="maglev", drain_timeout_s=0),
        ),
    ],
)
def test_annotations_ask_for_the_same(notes: dict[str, str], asked: TrafficRules) -> None:
    assert read_rules(notes) == asked


@pytest.mark.parametrize(
    "notes",
    [
        {"lbctl.io/algorithm": "Maglev"},
        {"lbctl.io/drain-timeout": "soon"},
        {"lbctl.io/drain-timeout": "86401"},
        {"lbctl.io/health-monitor": "ping"},
        {"lbctl.io/health-monitor": "tcp:0"},
        {"lbctl.io/health-monitor": "tcp:65536"},
        {"lbctl.io/health-monitor": "tcp/healthz"},
        {"lbctl.io/health-monitor": "http:80/a b"},
    ],
)
def test_an_annotation_that_cannot_be_followed_is_named(notes: dict[str, str]) -> None:
    found = read_rules(notes)
    assert isinstance(found, Refused)
    (key,) = notes
    assert found.reason is Reason.POLICY_REFUSED
    assert f"annotation {key}: {notes[key]!r}" in found.detail


def test_everything_that_may_be_asked_has_a_name() -> None:
    whole = TrafficRules(
        enabled=False,
        persistence=Persistence(True, 60),
        source_ranges=("192.0.2.0/24",),
        limits=Limits(1, 1, 1),
        drain_timeout_s=1,
        monitor=Monitor(Kind.TCP),
        weights=(MemberWeight(2, "node-1"),),
    )
    algorithms = ("maglev", "round-robin", "least-connections", "source-hash")
    named = {aspect for name in algorithms for aspect in aspects(TrafficRules(algorithm=name))}
    assert named | {*aspects(whole)} == set(Aspect)
    assert aspects(TrafficRules()) == ()
