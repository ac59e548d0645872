"""What the status of L4Policies says, and when somebody is told."""

import datetime
from typing import Any

import pytest

import builders
import policy_builders as built
from lbctl.plan import policy_status
from lbctl.plan.objects import WriteStatus

OVS = (builders.agent(backend="ovs"),)
LATER = builders.NOW + datetime.timedelta(minutes=1)


def steps(
    *objects: Any,
    agents: Any = OVS,
    absent: tuple[str, ...] = (),
    now: datetime.datetime = builders.NOW,
) -> dict[str, WriteStatus]:
    """Return what is to be written, by the policy's name; Services are there unless `absent`."""
    found = policy_status.plan_policies(
        objects, lambda key: key.partition("/")[2] not in absent, agents, now
    )
    writes = [step for step in found if isinstance(step, WriteStatus)]
    return {step.body["metadata"]["name"]: step for step in writes}


def written(obj: dict[str, Any], *more: Any, **around: Any) -> dict[str, Any]:
    """Return a policy with the status that it should have."""
    found = steps(obj, *more, **around).get(obj["metadata"]["name"])
    return obj if found is None else found.body


def verdicts(obj: dict[str, Any]) -> dict[str, tuple[str, str]]:
    listed = obj["status"]["conditions"]
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in listed}


def message(obj: dict[str, Any], kind: str) -> str:
    found: str = {entry["type"]: entry for entry in obj["status"]["conditions"]}[kind]["message"]
    return found


def test_a_policy_that_counts_says_so_and_keeps_its_spec() -> None:
    obj = written(built.policy(algorithm="source-hash"))
    assert verdicts(obj) == {"Accepted": ("True", "Accepted"), "Supported": ("True", "Supported")}
    assert obj["status"]["accepted"] == obj["spec"]
    assert obj["status"]["targets"] == "kuard"
    assert obj["status"]["observedGeneration"] == 3
    assert steps(obj, now=LATER) == {}


def test_of_two_for_one_service_the_younger_one_is_conflicted_and_names_the_older() -> None:
    old = built.policy("z", "kuard", "web", created="2026-11-21T11:00:00Z")
    young = built.policy("a", "kuard")
    assert verdicts(written(old, young))["Accepted"] == ("True", "Accepted")
    lost = written(young, old)
    assert verdicts(lost)["Accepted"] == ("False", "Conflicted")
    assert message(lost, "Accepted") == ("an older policy counts for Service kuard (L4Policy z)")
    # It is right, only not first: when the older one goes, it counts.
    assert lost["status"]["accepted"] == young["spec"]
    assert verdicts(written(lost))["Accepted"] == ("True", "Accepted")


def test_policies_of_two_namespaces_do_not_meet() -> None:
    one, other = built.policy("a"), built.policy("b")
    other["metadata"]["namespace"] = "shop"
    for obj, beside in ((one, other), (other, one)):
        assert verdicts(written(obj, beside))["Accepted"] == ("True", "Accepted")


def test_a_service_that_is_not_there_is_named_until_it_is() -> None:
    obj = written(built.policy("p", "kuard", "late"), absent=("late",))
    assert verdicts(obj)["Accepted"] == ("False", "TargetNotFound")
    assert message(obj, "Accepted") == "lbctl serves no Service late in namespace default"
    assert verdicts(written(obj))["Accepted"] == ("True", "Accepted")


def test_a_bad_edit_is_told_and_the_last_good_spec_kept() -> None:
    good = written(built.policy())
    bad = written({**good, "spec": built.spec_of("other", **built.BAD)}, now=LATER)
    assert verdicts(bad)["Accepted"] == ("False", "Invalid")
    assert message(bad, "Accepted").endswith(policy_status.LASTING)
    assert bad["status"]["accepted"] == good["spec"]
    assert bad["status"]["targets"] == "kuard"
    times = {entry["type"]: entry["lastTransitionTime"] for entry in bad["status"]["conditions"]}
    assert times == {"Accepted": "2026-11-21T12:01:00Z", "Supported": "2026-11-21T12:00:00Z"}


def test_one_that_never_was_right_says_that_its_services_are_not_announced() -> None:
    obj = written(built.policy(**built.BAD))
    assert verdicts(obj)["Accepted"] == ("False", "Invalid")
    assert verdicts(obj)["Supported"] == ("Unknown", "Invalid")
    assert message(obj, "Accepted").endswith(policy_status.CLOSED)
    assert "accepted" not in obj["status"]


@pytest.mark.parametrize(
    ("spec", "lacks"),
    [
        ({"algorithm": "round-robin"}, "algorithm: round-robin"),
        ({"algorithm": "least-connections"}, "algorithm: least-connections"),
        (
            {"limits": {"connections": 1, "connectionsPerSecond": 1, "connectionsPerClient": 1}},
            "limits.connections, limits.connectionsPerClient",
        ),
    ],
)
def test_what_open_vswitch_does_not_do_is_said(spec: dict[str, Any], lacks: str) -> None:
    obj = written(built.policy(**spec))
    assert verdicts(obj)["Accepted"] == ("True", "Accepted")
    assert verdicts(obj)["Supported"] == ("False", "Unsupported")
    assert message(obj, "Supported") == f"backend ovs does not do {lacks}"


@pytest.mark.parametrize(
    "spec",
    [
        {"enabled": False},
        {"algorithm": "maglev"},
        {"algorithm": "source-hash"},
        {"persistence": {"type": "ClientIP"}},
        {"persistence": {"type": "ClientIP", "timeoutSeconds": 5}},
        {"limits": {"connectionsPerSecond": 1}},
        {"sourceRanges": ["192.0.2.0/24"]},
        {"monitor": {"type": "half-open"}},
        {"drainTimeoutSeconds": 5},
        {"memberWeights": [{"weight": 0, "node": "node-1"}]},
    ],
)
def test_what_open_vswitch_does_is_said(spec: dict[str, Any]) -> None:
    assert verdicts(written(built.policy(**spec)))["Supported"] == ("True", "Supported")


def test_where_kube_proxy_moves_packets_source_ranges_of_a_policy_do_not_hold() -> None:
    nodes = (builders.agent(backend="announce-only"),)
    closed = written(built.policy(sourceRanges=["192.0.2.0/24"]), agents=nodes)
    assert message(closed, "Supported") == "backend announce-only does not do sourceRanges"
    off = written(built.policy(enabled=False), agents=nodes)
    assert verdicts(off)["Supported"] == ("True", "Supported")


def test_without_any_node_nobody_knows_what_is_done() -> None:
    assert verdicts(written(built.policy(), agents=()))["Supported"] == ("Unknown", "NoBackend")


def test_people_are_told_once_of_what_is_wrong_and_once_that_it_is_right_again() -> None:
    def told(step: WriteStatus) -> list[tuple[str, str]]:
        return [(entry["type"], entry["reason"]) for entry in step.told]

    new = steps(built.policy())["web"]
    assert told(new) == []  # that a new policy counts is no news
    bad = steps({**new.body, "spec": built.spec_of(**built.BAD, enabled=False)})["web"]
    assert told(bad) == [("Accepted", "Invalid")]
    worse = steps({**bad.body, "spec": built.spec_of(sourceRanges=["rubbish"])})["web"]
    assert told(worse) == []  # the same, for another cause
    limited = steps({**worse.body, "spec": built.spec_of(limits={"connections": 1})})["web"]
    assert told(limited) == [("Accepted", "Accepted"), ("Supported", "Unsupported")]


def test_conditions_of_others_stay() -> None:
    theirs = {"type": "example.org/Seen", "status": "True", "reason": "Yes", "message": ""}
    obj = {**built.policy(), "status": {"conditions": [theirs]}}
    assert theirs in written(obj)["status"]["conditions"]
