"""Who is looked at again when an agent has come further."""

import dataclasses
import ipaddress
from typing import Any

import pytest

import builders
from lbctl.engine.awaited import Awaited, keys_of_failures
from lbctl.translate.failing import FailingMember
from lbctl.translate.serving_nodes import AgentState

AGENT = dataclasses.replace(builders.agent(), decisions=10, slices=100, exceptions={})


@pytest.fixture
def awaited() -> Awaited:
    found = Awaited()
    found.wait("default/a", 11, 90)
    found.wait("default/b", 12, 120)
    found.wait("default/c", 20, 0)
    return found


MOVED = {
    "nothing": ({}, []),
    "a decision": ({"decisions": 11}, ["default/a"]),
    "decisions, several at once": ({"decisions": 15}, ["default/a", "default/b"]),
    "slices": ({"slices": 130}, ["default/b"]),
    "back again": ({"slices": 80}, ["default/a"]),
    "an exception": ({"exceptions": {"default.c": "NoLeg: none"}}, ["default/c"]),
    "an exception of nobody who waits": ({"exceptions": {"default.x": "NoLeg: none"}}, []),
    "another role": ({"role": "router"}, ["default/a", "default/b", "default/c"]),
}


@pytest.mark.parametrize("what", MOVED)
def test_only_who_waits_for_what_came_is_looked_at(awaited: Awaited, what: str) -> None:
    changes, moved = MOVED[what]
    assert awaited.moved_by(AGENT, dataclasses.replace(AGENT, **changes)) == moved


@pytest.mark.parametrize(("before", "now"), [(None, AGENT), (AGENT, None)])
def test_all_are_looked_at_when_an_agent_comes_or_goes(
    awaited: Awaited, before: Any, now: Any
) -> None:
    assert awaited.moved_by(before, now) == ["default/a", "default/b", "default/c"]


def test_who_waits_no_more_is_left_alone(awaited: Awaited) -> None:
    awaited.leave("default/a")
    assert awaited.moved_by(AGENT, dataclasses.replace(AGENT, decisions=11)) == []


def test_who_fails_otherwise_than_before_is_looked_at_again() -> None:
    def told(*keys: str) -> AgentState:
        at = ipaddress.ip_address("10.0.0.1")
        failing = tuple(FailingMember(key, at, "TCP", 80, "Refused") for key in keys)
        return dataclasses.replace(AGENT, failing=failing)

    assert keys_of_failures(told("a.x", "a.y"), told("a.y", "b.z.w")) == ["a/x", "b/z.w"]
    assert keys_of_failures(None, told("a.x")) == ["a/x"]
    assert keys_of_failures(told("a.x"), None) == ["a/x"]
