"""What ServingNodes say about who has programmed what."""

import pytest

import builders
from lbctl.translate.serving_nodes import parse_agent


def test_an_agent_that_has_not_reported_yet_has_programmed_nothing() -> None:
    found = parse_agent({"metadata": {"name": "node-1"}}, live=False)
    assert (found.node, found.role, found.live) == ("node-1", "node", False)
    assert (found.decisions, found.slices, dict(found.exceptions)) == (0, 0, {})


def test_versions_and_exceptions_are_read() -> None:
    obj = {
        "metadata": {"name": "r"},
        "spec": {"role": "router", "excluded": "label x"},
        "status": {
            "decisions": "12",
            "slices": "34",
            "exceptions": [
                {"key": "default.kuard", "reason": "NoLeg", "message": "node-1"},
                {"key": "default.nginx", "reason": "Full"},
            ],
            "failing": [
                {
                    "key": "default.kuard",
                    "address": "10.0.0.1",
                    "protocol": "TCP",
                    "port": 80,
                    "reason": "TimedOut",
                }
            ],
        },
    }
    found = parse_agent(obj, live=True)
    assert (found.role, found.decisions, found.slices) == ("router", 12, 34)
    assert found.excluded == "label x"
    assert [(member.key, str(member.address), member.reason) for member in found.failing] == [
        ("default.kuard", "10.0.0.1", "TimedOut")
    ]
    assert found.exceptions == {"default.kuard": "NoLeg: node-1", "default.nginx": "Full"}


@pytest.mark.parametrize(
    ("decision", "slices", "key", "has"),
    [
        (10, 20, "default.kuard", True),
        (11, 20, "default.kuard", False),
        (10, 21, "default.kuard", False),
        (10, 20, "default.bad", False),
    ],
    ids=["both versions", "a later decision", "later slices", "an exception"],
)
def test_an_agent_has_what_both_its_versions_cover(
    decision: int, slices: int, key: str, has: bool
) -> None:
    agent = builders.agent(decisions=10, slices=20, exceptions={"default.bad": "Full"})
    assert agent.has(key, decision, slices) is has
