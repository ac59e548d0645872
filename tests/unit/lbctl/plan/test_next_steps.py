"""What a pass does next, case by case; the sequences at large are property tests."""

import dataclasses
import datetime
from typing import Any

import pytest

import builders
from controller_builders import (
    allocation,
    decided,
    observed,
    reported,
    rewritten,
    serving,
    shown,
)
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Phase, ServiceRef
from lbctl.plan import conditions, decision, order, readiness, steps
from lbctl.plan.view import View
from lbctl.translate.service import ServiceFacts

READY = builders.endpoint_slice(builders.endpoint("10.244.1.1"))
SICK = builders.endpoint_slice(builders.endpoint("10.244.1.1", ready=False))
OTHER = ServiceRef("default", "kuard", "uid-0")


def plan(view: View, after_s: float = 0) -> order.Plan:
    return order.plan_service(view, builders.NOW + datetime.timedelta(seconds=after_s))


def kinds(view: View, after_s: float = 0) -> list[str]:
    return [type(step).__name__ for step in plan(view, after_s).steps]


def told(view: View) -> View:
    """Return the view after the Service's status was written as planned."""
    step = next(step for step in plan(view).steps if isinstance(step, steps.WriteServiceStatus))
    assert view.service is not None
    service = dataclasses.replace(
        view.service, ingress=step.ingress, conditions=shown(*step.conditions)
    )
    return dataclasses.replace(view, service=service)


# --- not ours -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "obj",
    [None, builders.service(type="ClusterIP"), builders.service(loadBalancerClass="other.io/lb")],
    ids=["gone", "another type", "another's class"],
)
def test_what_is_not_ours_and_untouched_is_left_alone(obj: dict[str, Any] | None) -> None:
    assert plan(builders.view(obj)) == order.Plan()


def test_anothers_finalizer_of_the_same_name_is_left_alone() -> None:
    obj = builders.finalized(builders.service(loadBalancerClass="other.io/lb"))
    assert plan(builders.view(obj)) == order.Plan()


# --- up -----------------------------------------------------------------------------------------


def test_a_new_service_gets_an_address_of_each_family() -> None:
    view = builders.view(builders.service(ipFamilies=["IPv4", "IPv6"]))
    assert kinds(view) == ["CreateAllocation", "CreateAllocation"]


def test_where_members_are_the_finalizer_comes_before_any_decision() -> None:
    view = builders.view(builders.service(), slices=(READY,), allocations=(allocation(),))
    assert kinds(view) == ["AddFinalizer"]


@pytest.mark.parametrize("slices", [(), (SICK,)], ids=["no endpoint", "none ready"])
def test_where_nobody_has_to_acknowledge_the_finalizer_comes_with_the_address(slices: Any) -> None:
    view = builders.view(builders.service(), slices=slices, allocations=(allocation(),))
    (step,) = plan(view).steps
    assert isinstance(step, steps.WriteServiceStatus)
    assert step.finalizes
    assert step.ingress == (builders.address("192.0.2.1"),)
    after = dataclasses.replace(told(view), service=finalized(told(view)))
    (decided_,) = plan(after).steps
    assert isinstance(decided_, steps.WriteDecision)
    assert not decided_.awaited
    assert kinds(reported(decided(after))) == []


def finalized(view: View) -> ServiceFacts:
    assert view.service is not None
    return dataclasses.replace(view.service, finalized=True)


def test_a_name_that_is_to_be_published_is_not_told_before_the_decision() -> None:
    elsewhere = builders.endpoint_slice(builders.endpoint("10.244.1.1"))
    elsewhere["ports"][0]["name"] = "another"
    view = builders.view(builders.service(), slices=(elsewhere,), allocations=(allocation(),))
    assert kinds(view) == ["AddFinalizer"]


def test_nothing_is_shown_while_the_first_slice_may_come_in_a_moment() -> None:
    view = builders.view(builders.service(), allocations=(allocation(),), settling=True)
    assert kinds(view) == ["AddFinalizer"]
    settling = serving(settling=True)
    (step,) = plan(dataclasses.replace(settling, decision=None)).steps
    assert isinstance(step, steps.WriteDecision)
    assert step.awaited
    assert plan(settling).waiting
    assert all(steps.is_patient(step) for step in plan(settling).steps)
    (shown_, _) = plan(dataclasses.replace(settling, settling=False)).steps
    assert isinstance(shown_, steps.WriteServiceStatus)
    assert shown_.ingress
    assert not steps.is_patient(shown_)


def test_a_decision_with_members_is_waited_for() -> None:
    view = dataclasses.replace(serving(slices=(READY,)), decision=None)
    (step,) = plan(view).steps
    assert isinstance(step, steps.WriteDecision)
    assert step.awaited


def test_a_finalizer_that_somebody_took_away_comes_back() -> None:
    view = reported(told(serving()))
    assert view.service is not None
    view = dataclasses.replace(view, service=dataclasses.replace(view.service, finalized=False))
    assert kinds(view) == ["AddFinalizer"]


def test_a_service_that_gets_no_address_gets_no_finalizer_either() -> None:
    view = builders.view(builders.service(loadBalancerIP="203.0.113.1"))
    assert kinds(view) == ["WriteServiceStatus"]


def test_an_address_that_an_earlier_service_of_the_name_held_is_given_back_first() -> None:
    view = builders.view(builders.service(), allocations=(allocation(holder=OTHER),))
    assert plan(view).steps == (steps.ReleaseAllocation(allocation(holder=OTHER)),)


def test_a_service_that_gets_no_address_is_told_why_once() -> None:
    view = builders.view(builders.service(loadBalancerIP="203.0.113.1"))
    (step,) = plan(view).steps
    assert isinstance(step, steps.WriteServiceStatus)
    assert step.ingress == ()
    assert [entry.reason for entry in step.conditions] == [Reason.ADDRESS_NOT_IN_POOL]
    assert plan(told(view)) == order.Plan()


def test_one_refused_family_does_not_keep_the_other_from_being_served() -> None:
    refused = Refused(Reason.POOL_EXHAUSTED, "full")
    obj = builders.finalized(builders.service(ipFamilies=["IPv4", "IPv6"]))
    view = builders.view(obj, allocations=(allocation(),), offers={6: refused})
    assert kinds(view) == ["WriteDecision"]


def test_a_first_decision_is_created_and_a_changed_one_replaces_the_version_read() -> None:
    view = serving()
    (created,) = plan(dataclasses.replace(view, decision=None)).steps
    (replaced,) = plan(rewritten(view, listeners=())).steps
    assert isinstance(created, steps.WriteDecision)
    assert isinstance(replaced, steps.WriteDecision)
    assert (created.replaces, replaced.replaces) == ("", "30")
    assert created.wanted == replaced.wanted


def test_where_nobody_is_to_be_waited_for_the_status_is_written_at_once() -> None:
    found = plan(serving(slices=(READY,)))
    service_status, own_status = found.steps
    assert isinstance(service_status, steps.WriteServiceStatus)
    assert service_status.ingress == (builders.address("192.0.2.1"),)
    assert isinstance(own_status, steps.WriteDecisionStatus)
    assert own_status.status.reason == "NoAgent"
    assert not found.waiting


def test_where_an_agent_is_to_be_waited_for_the_service_shows_nothing_yet() -> None:
    found = plan(serving(slices=(READY,), agents=(builders.agent(decisions=0),)))
    service_status, own_status = found.steps
    assert isinstance(service_status, steps.WriteServiceStatus)
    assert service_status.ingress == ()
    assert [entry.reason.value for entry in service_status.conditions][:2] == [
        "Allocated",
        "WaitingForAgent",
    ]
    assert isinstance(own_status, steps.WriteDecisionStatus)
    assert own_status.status.state == "Pending"
    assert found.waiting
    assert all(steps.is_patient(step) for step in found.steps)


def test_a_refused_address_is_told_at_once() -> None:
    refused = Refused(Reason.POOL_EXHAUSTED, "no free IPv4 address in default")
    (step,) = plan(builders.view(builders.service(), offers={4: refused})).steps
    assert isinstance(step, steps.WriteServiceStatus)
    assert not steps.is_patient(step)


def test_an_address_once_shown_stays_shown_while_a_change_is_acknowledged() -> None:
    view = told(serving(slices=(READY,), agents=(builders.agent(),)))
    behind = dataclasses.replace(view, agents=(builders.agent(decisions=0),))
    assert kinds(reported(behind)) == []


def test_when_all_is_told_there_is_nothing_to_be_done() -> None:
    assert plan(reported(told(serving(slices=(READY,))))) == order.Plan()


def test_the_end_of_the_names_grace_is_a_time_to_look_again() -> None:
    healthy = reported(told(serving(slices=(READY,))))
    sick = dataclasses.replace(healthy, endpoints=builders.view(None, slices=(SICK,)).endpoints)
    sick = decided(sick)
    ends = builders.NOW + datetime.timedelta(seconds=10)
    assert plan(sick).wake_at == ends
    assert kinds(sick, 10) == ["WriteDecision"]
    after = decided(sick, ends)
    assert plan(after, 10).wake_at is None


def surplus(**overrides: Any) -> View:
    """Return a view of a Service that gave IPv6 up and whose decision says so already."""
    view = serving("192.0.2.1", **overrides)
    both = (allocation("192.0.2.1"), allocation("2001:db8::1"))
    return dataclasses.replace(view, allocations=both, offers={})


def test_the_address_of_a_family_given_up_goes_back_once_nobody_serves_it() -> None:
    released = steps.ReleaseAllocation(allocation("2001:db8::1"))
    assert released in plan(surplus()).steps
    assert released not in plan(surplus(agents=(builders.agent(decisions=0),))).steps


def test_a_second_address_of_a_family_goes_back() -> None:
    both = (allocation("192.0.2.1"), allocation("192.0.2.2"))
    view = dataclasses.replace(serving(), allocations=both)
    assert steps.ReleaseAllocation(allocation("192.0.2.2")) in plan(view).steps
    assert steps.ReleaseAllocation(allocation("192.0.2.1")) not in plan(view).steps


# --- down ---------------------------------------------------------------------------------------


def leaving(phase: Phase = Phase.SERVING, *, slices: tuple[Any, ...] = (), **spec: Any) -> View:
    """Return a view of kuard being deleted with its decision in a phase."""
    view = serving(slices=slices)
    service = builders.facts(builders.deleting(builders.finalized(builders.service())))
    return rewritten(dataclasses.replace(view, service=service, offers={}), phase=phase, **spec)


def leaving_told(phase: Phase, **spec: Any) -> View:
    """Return the same after the decision's status was written."""
    view = leaving(phase, **spec)
    assert view.decision is not None
    status = conditions.leaving_status(view.decision)
    return dataclasses.replace(view, decision=dataclasses.replace(view.decision, status=status))


@pytest.mark.parametrize(("slices", "phase"), [((READY,), Phase.DRAINING), ((), Phase.WITHDRAWN)])
def test_a_published_name_is_drained_and_one_that_was_not_needs_no_time(
    slices: tuple[Any, ...], phase: Phase
) -> None:
    (step,) = plan(leaving(slices=slices)).steps
    assert isinstance(step, steps.WriteDecision)
    assert step.wanted.phase is phase
    assert step.wanted.drain_start == "2026-11-21T12:00:00.000000Z"
    assert not decision.is_published(step.wanted)
    assert step.replaces == "30"


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.WITHDRAWN])
def test_what_a_decision_on_its_way_out_waits_for_is_told(phase: Phase) -> None:
    behind = (builders.agent(decisions=0),)
    view = leaving(phase, drain_start="2026-11-21T12:00:00Z")
    waiting = dataclasses.replace(view, agents=behind)
    assert kinds(waiting) == ["WriteDecisionStatus"]


def test_a_decision_that_nobody_waits_for_goes_without_a_word() -> None:
    assert kinds(leaving(Phase.WITHDRAWN, drain_start="2026-11-21T12:00:00Z")) == ["DeleteDecision"]


def test_draining_lasts_for_the_names_ttl() -> None:
    view = leaving_told(Phase.DRAINING, drain_start="2026-11-21T12:00:00Z")
    assert plan(view, 4).steps == ()
    assert plan(view, 4).wake_at == builders.NOW + datetime.timedelta(seconds=5)
    (step,) = plan(view, 5).steps
    assert isinstance(step, steps.WriteDecision)
    assert step.wanted.phase is Phase.WITHDRAWN
    assert step.wanted.drain_start == "2026-11-21T12:00:00Z"


def test_draining_without_a_start_starts_now() -> None:
    (step,) = plan(leaving_told(Phase.DRAINING)).steps
    assert isinstance(step, steps.WriteDecision)
    assert step.wanted.phase is Phase.DRAINING
    assert step.wanted.drain_start == "2026-11-21T12:00:00.000000Z"


def test_draining_without_names_takes_no_time() -> None:
    view = leaving_told(Phase.DRAINING, drain_start="2026-11-21T12:00:00Z", names=())
    assert kinds(view) == ["WriteDecision"]


def test_a_withdrawn_decision_is_deleted_once_every_agent_has_removed_it() -> None:
    view = leaving_told(Phase.WITHDRAWN)
    behind = dataclasses.replace(view, agents=(builders.agent(decisions=0),))
    assert plan(behind) == order.Plan(waiting=True)
    assert plan(view).steps == (steps.DeleteDecision("default.kuard", "vs-1"),)


@pytest.mark.parametrize(
    "service",
    [
        None,
        builders.service(type="ClusterIP"),
        builders.service(loadBalancerClass="other.io/lb"),
        {**builders.service(), "metadata": {**builders.service()["metadata"], "uid": "uid-2"}},
    ],
    ids=["gone", "another type", "another's class", "created again"],
)
def test_a_decision_without_its_service_is_withdrawn(service: dict[str, Any] | None) -> None:
    known = builders.facts(service) if service else None
    view = dataclasses.replace(serving(), service=known)
    (step,) = plan(view).steps
    assert isinstance(step, steps.WriteDecision)
    assert step.wanted.phase is Phase.WITHDRAWN


def test_after_the_decision_the_addresses_go_then_the_finalizer() -> None:
    obj = builders.deleting(builders.finalized(builders.service()))
    held = (allocation("192.0.2.1"), allocation("192.0.2.2"))
    assert kinds(builders.view(obj, allocations=held)) == ["ReleaseAllocation"] * 2
    assert kinds(builders.view(obj)) == ["RemoveFinalizer"]
    assert plan(builders.view(builders.deleting(builders.service()))) == order.Plan()


def touched(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the Service with a condition of ours."""
    conditions_ = [{"type": "lbctl.io/AddressAllocated", "status": "True"}]
    return {**obj, "status": {"loadBalancer": {}, "conditions": conditions_}}


def test_a_service_that_is_no_longer_ours_loses_the_finalizer_then_our_conditions() -> None:
    obj = touched(builders.service(type="ClusterIP"))
    assert kinds(builders.view(builders.finalized(obj))) == ["RemoveFinalizer"]
    assert kinds(builders.view(obj)) == ["ClearServiceStatus"]
    assert kinds(builders.view(builders.deleting(obj))) == []


def test_where_no_status_was_written_the_addresses_tell_that_the_finalizer_is_ours() -> None:
    obj = builders.finalized(builders.service(type="ClusterIP"))
    assert kinds(builders.view(obj, allocations=(allocation(),))) == ["RemoveFinalizer"]


def test_an_address_without_any_service_goes_back() -> None:
    view = builders.view(None, allocations=(allocation(),))
    assert plan(view).steps == (steps.ReleaseAllocation(allocation()),)


def test_a_first_status_says_what_readiness_found() -> None:
    view = serving(slices=(READY,))
    assert view.decision is not None
    wanted = conditions.decision_status(
        view, view.decision, readiness.readiness(view, view.decision)
    )
    written = dataclasses.replace(
        view, decision=observed(view.decision.virtual_service, status=wanted)
    )
    assert kinds(written) == ["WriteServiceStatus"]
