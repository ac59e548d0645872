"""Which rules hold for a Service, who wins, and what becomes of a Service without valid ones."""

import dataclasses
from typing import Any

import pytest

import builders
import policy_builders as built
from lbctl.ipam.allocator import Grant
from lbctl.model.policy import Aspect, DeclaredPolicy, Limits
from lbctl.model.reasons import ConditionType, Reason, Refused
from lbctl.model.virtual_service import Policy
from lbctl.plan import conditions, decision, order, policies, readiness, steps
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate import endpoints


def service(notes: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    obj = builders.finalized(builders.service(**spec))
    obj["metadata"] |= {"annotations": notes or {}}
    return obj


def resolved(obj: dict[str, Any], *found: Any) -> Policy:
    policy = policies.resolve(builders.facts(obj), found)
    assert isinstance(policy, Policy), policy
    return policy


def test_a_policy_counts_before_annotations_and_those_before_fields() -> None:
    notes = {"lbctl.io/algorithm": "round-robin", "lbctl.io/drain-timeout": "9"}
    obj = service(notes, sessionAffinity="ClientIP")
    alone = resolved(obj)
    assert (alone.algorithm, alone.drain_timeout_s) == ("round-robin", 9)
    governed = resolved(obj, built.declared(algorithm="source-hash"))
    assert (governed.algorithm, governed.drain_timeout_s) == ("source-hash", 9)
    assert governed.session_affinity == "ClientIP"
    off = built.declared(persistence={"type": "None"}, limits={"connections": 3})
    assert resolved(obj, off).session_affinity == "None"
    assert resolved(obj, off).limits == Limits(connections=3)


@pytest.mark.parametrize(
    ("own", "asked", "timeout_s"),
    [
        ({}, {"type": "ClientIP"}, 10_800),
        ({}, {"type": "ClientIP", "timeoutSeconds": 7}, 7),
        (
            {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}},
            {"type": "ClientIP"},
            5,
        ),
        ({"sessionAffinity": "ClientIP"}, {"type": "None"}, 0),
    ],
)
def test_persistence_has_a_timeout_where_it_is_on(
    own: dict[str, Any], asked: dict[str, Any], timeout_s: int
) -> None:
    found = resolved(service(**own), built.declared(persistence=asked))
    assert found.session_affinity_timeout_s == timeout_s


@pytest.mark.parametrize(
    ("own", "asked", "left"),
    [
        ([], ["192.0.2.0/24"], ("192.0.2.0/24",)),
        (["192.0.2.0/24"], [], ("192.0.2.0/24",)),
        (["192.0.2.0/24"], ["192.0.2.8/29", "198.51.100.0/24"], ("192.0.2.8/29",)),
        (["192.0.2.8/29"], ["0.0.0.0/0"], ("192.0.2.8/29",)),
        (["192.0.2.0/24"], ["2001:db8::/32"], (policies.NOBODY,)),
        (["nonsense"], ["192.0.2.0/24"], (policies.NOBODY,)),
    ],
)
def test_a_client_must_be_in_the_ranges_of_both(
    own: list[str], asked: list[str], left: tuple[str, ...]
) -> None:
    found = built.declared(sourceRanges=asked)
    assert resolved(service(loadBalancerSourceRanges=own), found).source_ranges == left


def test_the_oldest_policy_counts_and_of_one_second_the_first_by_name() -> None:
    old = built.declared("z", created="2026-11-21T11:00:00Z", algorithm="source-hash")
    young = built.declared("a", algorithm="round-robin")
    other = built.declared("b", algorithm="least-connections")
    assert resolved(service(), young, old, other).algorithm == "source-hash"
    assert resolved(service(), other, young).algorithm == "round-robin"


def test_policies_of_other_services_and_namespaces_do_not_count() -> None:
    elsewhere = dataclasses.replace(built.declared(enabled=False), namespace="shop")
    assert resolved(service(), built.declared("web", "other", enabled=False), elsewhere).enabled


def test_what_a_backend_cannot_do_is_told_of_live_nodes_alone() -> None:
    rules = built.declared(limits={"connections": 3}, algorithm="source-hash").counting
    assert rules is not None
    agents = (
        builders.agent("a", backend="ovs"),
        builders.agent("b", backend="new"),
        builders.agent("c", backend="gone", live=False),
        builders.agent("d", role="router", backend="linux"),
        builders.agent("e"),
        builders.agent("f", backend="nft"),
    )
    found = policies.unsupported(rules.rules, agents)
    assert found == (
        ("new", (Aspect.SOURCE_HASH, Aspect.CONNECTIONS)),
        ("ovs", (Aspect.CONNECTIONS,)),
    )
    assert policies.told(found[1:]) == "backend ovs does not do limits.connections"


# --- what becomes of the Service -----------------------------------------------------------------

WRONG = built.declared(**built.BAD)
SLICE = builders.endpoint_slice(builders.endpoint("10.244.1.1"))


def born(obj: dict[str, Any] | None = None, **fields: Any) -> View:
    """Return the view of a Service that has its address, and no decision yet."""
    made = obj or service()
    offers = builders.view(made).offers.values()
    held = tuple(offer.allocation for offer in offers if isinstance(offer, Grant))
    return builders.view(made, allocations=held, slices=(SLICE,), **fields)


def decided(view: View, **fields: Any) -> View:
    """Return the view after the decision was written."""
    wanted = decision.desired_decision(view, _service(view), builders.NOW)
    return dataclasses.replace(
        view, decision=ObservedDecision(wanted, "uid-d", "30", 1, 30, None), **fields
    )


def unweighed(addresses: str) -> DeclaredPolicy:
    """Return a policy by which members in a network get no new connections."""
    return built.declared(memberWeights=[{"addresses": addresses, "weight": 0}])


def _service(view: View) -> Any:
    assert view.service is not None
    return view.service


def test_a_policy_that_never_was_right_keeps_its_service_from_being_announced() -> None:
    plan = order.plan_service(born(policies=(WRONG,)), builders.NOW)
    (step,) = plan.steps
    assert isinstance(step, steps.WriteServiceStatus)
    assert step.ingress == ()
    told = {condition.type: condition for condition in step.conditions}
    closed = told[ConditionType.DATAPLANE_READY]
    assert (closed.true, closed.reason) == (False, Reason.POLICY_REFUSED)
    assert closed.message == (
        "L4Policy web: spec.sourceRanges: 'nonsense' does not appear to be an IPv4 or IPv6 "
        "network; until that is mended the Service is not announced"
    )
    assert told[ConditionType.ADDRESS_ALLOCATED].true


def test_what_is_announced_keeps_what_was_decided_when_a_policy_comes_that_is_wrong() -> None:
    limited = built.declared(limits={"connections": 3})
    before = decided(born(policies=(limited,)))
    view = dataclasses.replace(before, policies=(WRONG,))
    wanted = decision.desired_decision(view, _service(view), builders.NOW)
    assert before.decision is not None
    assert wanted == before.decision.virtual_service
    (condition, _) = readiness.dataplane_conditions(
        view, _service(view), readiness.Readiness(Reason.PROGRAMMED, Reason.PROGRAMMED)
    )
    assert condition.reason is Reason.POLICY_REFUSED
    assert "what was decided before stays" in condition.message


@pytest.mark.parametrize(
    ("before", "now", "left"),
    [
        ([], ["192.0.2.0/24"], ("192.0.2.0/24",)),
        (["192.0.2.0/24", "192.0.2.8/29"], ["192.0.2.8/29"], ("192.0.2.8/29",)),
        (
            ["10.0.0.0/8", "192.0.2.0/24", "10.1.0.0/16"],
            ["10.0.0.0/8", "192.0.2.0/24", "10.1.0.0/16"],
            ("10.0.0.0/8", "192.0.2.0/24", "10.1.0.0/16"),
        ),
        (["192.0.2.0/24"], [], ("192.0.2.0/24",)),
    ],
)
def test_while_a_policy_is_wrong_its_service_can_be_closed_further_and_not_opened(
    before: list[str], now: list[str], left: tuple[str, ...]
) -> None:
    held = decided(born(obj=service(loadBalancerSourceRanges=before)))
    facts = builders.facts(service(loadBalancerSourceRanges=now))
    view = dataclasses.replace(held, service=facts, policies=(WRONG,))
    for _ in range(2):  # and comes to rest
        wanted = decision.desired_decision(view, facts, builders.NOW)
        assert wanted.policy.source_ranges == left
        view = dataclasses.replace(
            view, decision=ObservedDecision(wanted, "uid-d", "31", 2, 31, None)
        )


def test_a_bad_edit_of_a_policy_changes_nothing() -> None:
    kept = built.spec_of(sourceRanges=["192.0.2.0/24"])
    view = born(policies=(built.declared(accepted=kept, **built.BAD),))
    wanted = decision.desired_decision(view, _service(view), builders.NOW)
    assert wanted.policy.source_ranges == ("192.0.2.0/24",)
    assert readiness.refused_policy(view, _service(view)) is None


def test_without_traffic_there_are_no_members_and_no_name_is_answered() -> None:
    view = decided(born(policies=(built.declared(enabled=False),)))
    assert view.decision is not None
    wanted = view.decision.virtual_service
    assert readiness.members_of(view, wanted) == ()
    assert [name.published for name in wanted.names] == [False]
    assert wanted.empty_since == ""
    found = readiness.readiness(view, view.decision)
    assert (found.dataplane, found.state) == (Reason.TRAFFIC_OFF, ("Down", "TrafficOff"))


def test_a_service_whose_members_all_have_weight_zero_is_down_and_says_why() -> None:
    view = decided(born(policies=(unweighed("10.0.0.0/8"),)))
    assert view.decision is not None
    wanted = view.decision.virtual_service
    assert readiness.members_of(view, wanted) == ()
    assert [name.published for name in wanted.names] == [False]
    found = readiness.readiness(view, view.decision)
    assert (found.dataplane, found.state) == (Reason.WEIGHTS_ZERO, ("Down", "WeightsZero"))


def test_names_go_after_the_grace_when_the_last_member_gets_weight_zero() -> None:
    before = decided(born())
    view = dataclasses.replace(before, policies=(unweighed("10.244.1.1/32"),))
    wanted = decision.desired_decision(view, _service(view), builders.NOW)
    assert [name.published for name in wanted.names] == [True]
    assert wanted.empty_since
    view = decided(view)
    ends = decision.grace_ends(view)
    assert ends is not None
    wanted = decision.desired_decision(view, _service(view), ends)
    assert [name.published for name in wanted.names] == [False]


def test_who_stands_in_for_members_with_weight_zero_counts_among_all() -> None:
    leaving = {"ready": False, "serving": True, "terminating": True}
    ends = (builders.endpoint("10.244.1.1"), builders.endpoint("10.244.2.1", **leaving))
    found = endpoints.parse_endpoints([builders.endpoint_slice(*ends)])
    policy = unweighed("10.244.1.0/24")
    view = decided(dataclasses.replace(born(policies=(policy,)), endpoints=found))
    assert view.decision is not None
    ready = readiness.readiness(view, view.decision)
    shown = conditions.decision_status(view, view.decision, ready)
    assert (shown.members_up, shown.members_total) == (1, 2)


@pytest.mark.parametrize("ready", [True, False])
def test_members_with_weight_zero_are_not_up_and_others_are(ready: bool) -> None:
    state = {"ready": ready, "serving": True, "terminating": not ready}
    ends = (builders.endpoint("10.244.1.1"), builders.endpoint("10.244.2.1", **state))
    found = endpoints.parse_endpoints([builders.endpoint_slice(*ends)])
    policy = unweighed("10.244.1.0/24")
    view = decided(dataclasses.replace(born(policies=(policy,)), endpoints=found))
    assert view.decision is not None
    up = readiness.members_of(view, view.decision.virtual_service)
    assert [str(end.address) for end in up] == ["10.244.2.1"]
    assert readiness.without_members(view, view.decision.virtual_service) is None


def test_the_condition_names_what_backends_do_not_do() -> None:
    view = born(
        policies=(built.declared(algorithm="least-connections"),),
        agents=(builders.agent(backend="ovs"),),
    )
    (condition, _) = readiness.dataplane_conditions(
        view, _service(view), readiness.Readiness(Reason.PROGRAMMED, Reason.PROGRAMMED)
    )
    assert condition.true
    assert condition.message.endswith("; backend ovs does not do algorithm: least-connections")


def test_a_refused_annotation_is_told_like_a_policy() -> None:
    found = policies.resolve(
        builders.facts(service({"lbctl.io/algorithm": "fastest"})), [built.declared()]
    )
    assert isinstance(found, Refused)
    assert found.reason is Reason.POLICY_REFUSED
