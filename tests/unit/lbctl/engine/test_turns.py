"""Whose turn it is when an address may be free, and how often one thing is written again."""

from typing import Any

import builders
from controller_builders import serving
from lbctl.engine import pace, turns
from lbctl.plan import steps

EARLY, MIDDLE, NEVER = ("2026-01-01", "c", "1"), ("2026-01-02", "c", "2"), ("~", "c", "0")


def test_all_are_called_the_longest_waiting_first() -> None:
    found = turns.Turns()
    for key, rank in (("new", NEVER), ("b", MIDDLE), ("a", EARLY)):
        found.wait(key, rank)
    assert found.call() == ["a", "b", "new"]


def test_nobody_goes_before_who_was_called_and_waits_longer() -> None:
    found = turns.Turns()
    found.wait("a", EARLY)
    assert not found.comes_later("b", MIDDLE)
    found.call()
    assert found.comes_later("b", MIDDLE)
    assert not found.comes_later("a", EARLY)
    found.came("a")
    assert not found.comes_later("b", MIDDLE)


def test_who_waits_no_more_is_in_nobodys_way() -> None:
    found = turns.Turns()
    found.wait("a", EARLY)
    found.call()
    found.leave("a")
    assert not found.comes_later("b", MIDDLE)
    assert found.call() == []


def service(name: str, *, shows: bool = False, since: str = "", created: str = "") -> Any:
    obj = builders.service()
    obj["metadata"] |= {"name": name, "creationTimestamp": created}
    refused = {"type": "lbctl.io/AddressAllocated", "status": "False", "lastTransitionTime": since}
    ingress = [{"ip": "192.0.2.1"}] if shows else []
    obj["status"] = {
        "loadBalancer": {"ingress": ingress},
        "conditions": [refused] if since else [],
    }
    return obj


def test_after_a_start_who_shows_an_address_comes_first_and_then_who_waits_longest() -> None:
    found = turns.in_order(
        [
            service("young", created="2026-02-02"),
            service("old", created="2026-01-01"),
            service("later", since="2026-03-02", created="2026-01-01"),
            service("long", since="2026-03-01", created="2026-02-01"),
            service("shows", shows=True, created="2026-04-01"),
        ]
    )
    names = [obj["metadata"]["name"] for obj in found]
    assert names == ["shows", "long", "later", "old", "young"]


def test_a_place_is_by_the_wait_that_the_condition_keeps() -> None:
    waiting = builders.facts(service("a", since="2026-03-01", created="2026-01-01"))
    fresh = builders.facts(service("b", created="2026-01-01"))
    assert turns.rank(waiting) < turns.rank(fresh)


STATUS = steps.WriteServiceStatus(builders.facts(builders.service()), (), ())


def test_the_same_thing_is_made_good_at_once_and_then_ever_more_slowly() -> None:
    found, now, waits = pace.Pace(), 0.0, []
    for _ in range(10):
        waits.append(found.wait_s("k", STATUS, now))
        now += waits[-1]
        found.wrote("k", STATUS, now)
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_something_else_in_between_or_a_long_peace_is_no_quarrel() -> None:
    found = pace.Pace()
    for _ in range(3):
        found.wrote("k", STATUS, 0)
    assert found.wait_s("k", STATUS, 0) > 0
    assert found.wait_s("other", STATUS, 0) == 0
    assert found.wait_s("k", STATUS, pace.FORGET_S + 1) == 0
    found.wrote("k", steps.ClearServiceStatus(STATUS.service), 0)
    assert found.wait_s("k", STATUS, 0) == 0


def test_what_is_forgotten_is_new() -> None:
    found = pace.Pace()
    decided = serving().decision
    assert decided is not None
    step = steps.WriteDecision(decided.virtual_service, "1")
    for _ in range(3):
        found.wrote("k", step, 0)
    assert found.wait_s("k", step, 0) > 0
    found.forget("k")
    assert found.wait_s("k", step, 0) == 0
    assert found.wait_s("k", steps.DeleteDecision("k", "u"), 0) == 0
