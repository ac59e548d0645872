"""Condition, event and `lbctl explain` tell the same reason: each one, beside a real controller."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import controller_bed
import event_loops
import inspect_bed
from controller_bed import Bed
from inspect_reasons import LEAVING, TOLD, UNTOLD, Story, annotated
from lbctl.engine import executor
from lbctl.inspection import explain
from lbctl.inspection.stages import Explanation, Mark, Stage
from lbctl.kube import resources
from lbctl.model import reasons
from lbctl.model.reasons import MEANING, ConditionType, Reason
from lbctl.plan import readiness

QUIET_TURNS = 200
"""Turns of the loop in which a controller that had anything to write would have written it."""
LOOKS = 50
"""Far more than a controller needs to come to rest."""
EMPTY = {reason.value for reason in readiness.EMPTY}


def play(folder: Path, story: Story, body: Callable[[Bed], Coroutine[Any, Any, None]]) -> None:
    """Run a body after a story, beside a controller; its waits are short."""

    async def within() -> None:
        async with controller_bed.controlled(folder, story.settings) as bed:
            await story.act(bed)
            await body(bed)

    event_loops.run(within(), event_loops.Hurried)


def conditions(bed: Bed) -> list[dict[str, str]]:
    return ((bed.service() or {}).get("status") or {}).get("conditions") or []


def stage_of(found: Explanation, condition: dict[str, str]) -> Stage:
    """Return the stage that a condition is about."""
    if condition["reason"] == Reason.POLICY_REFUSED.value:
        return inspect_bed.stage(found, "policy")
    empty = condition["reason"] in EMPTY
    dataplane = "members" if empty else "nodes"
    names = {
        ConditionType.ADDRESS_ALLOCATED: "address",
        ConditionType.DATAPLANE_READY: dataplane,
        # Without members the fabric has nothing to do: the cause is told once.
        ConditionType.FABRIC_PROGRAMMED: dataplane if empty else "fabric",
        ConditionType.NAME_REGISTERED: "name",
    }
    return inspect_bed.stage(found, names[ConditionType(condition["type"])])


def differences(found: Explanation, told: list[dict[str, str]]) -> list[str]:
    """Return where an explanation says something else than the conditions."""
    wrong = []
    for condition in told:
        stage = stage_of(found, condition)
        said = (stage.reason.value if stage.reason else "", stage.mark is Mark.DONE)
        if said != (condition["reason"], condition["status"] == "True"):
            wrong.append(f"{condition} is {stage}")
        # Members say since when there are none, which may be before the condition was written.
        if stage.name != "members" and stage.since != condition["lastTransitionTime"]:
            wrong.append(f"{condition} since {stage.since}")
    return wrong


def other_cause(found: Explanation, state: tuple[str, str, str] | None) -> bool:
    """Tell whether an explanation gives another cause than the decision's state."""
    if state is None:  # no address, or no policy, so no decision
        return found.waits_for is None or found.waits_for.name not in ("address", "policy")
    if state[0] == "Up":
        return not found.served
    # A wish that is refused comes first in explain; it keeps no traffic away.
    causes = [entry.reason for entry in found.stages if entry.open and entry.name != "address"]
    return found.served != () or causes[:1] != [Reason(state[1])]


@pytest.mark.parametrize("reason", TOLD)
def test_explain_says_what_conditions_and_decision_say(reason: Reason, tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        await bed.until(lambda: reason.value in {entry["reason"] for entry in conditions(bed)})
        wrong = ["not looked yet"]
        for _ in range(LOOKS):  # what is read while the controller writes may be half of a change
            await event_loops.turns(QUIET_TURNS)
            told, state = conditions(bed), bed.state()
            found = await inspect_bed.explained(bed, TOLD[reason].settings)
            wrong = differences(found, told)
            wrong += [f"{state} is {found}"] if other_cause(found, state) else []
            if not wrong:
                break
        assert wrong == []
        assert reason.value in {entry["reason"] for entry in told}

    play(tmp_path, TOLD[reason], body)


@pytest.mark.parametrize("reason", TOLD)
def test_an_event_says_what_the_condition_says(reason: Reason, tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        def shown() -> list[dict[str, str]]:
            return [entry for entry in conditions(bed) if entry["reason"] == reason.value]

        await bed.until(lambda: bool(shown()))
        (condition, *_) = shown()
        if reason not in executor.TOLD.get(ConditionType(condition["type"]), ()):
            return  # `docs/how-to/why-is-it-pending.md` says which have no event

        def events() -> list[str]:
            return [
                event["message"]
                for event in bed.all(resources.EVENTS)
                if event["reason"] == reason.value and event["involvedObject"]["name"] == "kuard"
            ]

        await bed.until(lambda: bool(events()))
        assert events()[0] == condition["message"]

    play(tmp_path, TOLD[reason], body)


@pytest.mark.parametrize("reason", LEAVING)
def test_what_is_leaving_says_what_it_waits_for(reason: Reason, tmp_path: Path) -> None:
    async def body(bed: Bed) -> None:
        await bed.until(lambda: (bed.state() or ("", "", ""))[1] == reason.value)
        found = await inspect_bed.explained(bed, LEAVING[reason].settings)
        waits = found.waits_for
        assert waits is not None
        assert (waits.name, waits.reason) == ("withdrawal", reason)
        assert waits.since == (bed.decision() or {})["spec"]["drainStart"]

    play(tmp_path, LEAVING[reason], body)


@pytest.mark.parametrize("reason", UNTOLD)
def test_where_nobody_writes_a_condition_explain_says_why(reason: Reason, tmp_path: Path) -> None:
    async def within() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            await UNTOLD[reason].act(bed)
            found = await inspect_bed.explained(bed, UNTOLD[reason].settings)
            assert found.waits_for is not None
            assert found.waits_for.reason is reason
            assert MEANING[reason] in explain.sentence(found)
            assert conditions(bed) == []

    event_loops.run(within())


def test_an_annotation_that_means_nothing_is_told_in_an_event_and_beside_the_address(
    tmp_path: Path,
) -> None:
    async def body(bed: Bed) -> None:
        await bed.until(lambda: bool(bed.ingress()))
        found = await inspect_bed.explained(bed)
        address = inspect_bed.stage(found, "address")
        assert (address.mark, "lbctl.io/nonsense" in address.text) == (Mark.DONE, True)
        reason = Reason.UNKNOWN_ANNOTATION.value
        await bed.until(lambda: reason in {event["reason"] for event in bed.all(resources.EVENTS)})

    play(tmp_path, Story(annotated(nonsense="1")), body)


def test_every_reason_has_a_story() -> None:
    told = {*TOLD, *LEAVING, *UNTOLD, Reason.UNKNOWN_ANNOTATION}
    assert told == set(Reason) - reasons.OF_POOLS - reasons.OF_POLICIES
    assert frozenset(LEAVING) == reasons.LEAVING
    assert frozenset(UNTOLD) == reasons.EXPLAINED_ONLY
