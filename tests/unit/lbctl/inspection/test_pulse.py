"""Who is alive, judged from Leases by a clock that may be wrong."""

import datetime
from typing import Any

from lbctl.inspection import pulse
from lbctl.inspection.pulse import Beat
from lbctl.plan import times

NOW = times.parse("2026-11-21T12:00:00Z")
LEADER = "lbctl-controller"


def ago(seconds: float) -> datetime.datetime:
    return NOW - datetime.timedelta(seconds=seconds)


def beats(**ages: float) -> dict[str, Beat]:
    """Return Leases of 10 s that were renewed so many seconds ago."""
    return {f"lbctl-agent-{name}": Beat(name, ago(age), 10) for name, age in ages.items()}


def test_a_lease_renewed_in_time_is_life() -> None:
    found = pulse.judge(beats(a=5, b=11), NOW, LEADER)
    assert (found.live("a"), found.live("b"), found.live("c")) == (True, False, False)


def test_a_lease_that_was_given_up_is_not() -> None:
    found = pulse.judge({LEADER: Beat("", ago(1), 10)}, NOW, LEADER)
    assert not found.led


def test_a_lease_renewed_in_our_future_says_what_time_it_is() -> None:
    found = pulse.judge(beats(a=-100, b=-80), NOW, LEADER)
    assert found.now == ago(-100)
    assert (found.live("a"), found.live("b")) == (True, False)


def test_only_where_nobody_looks_alive_our_clock_is_in_doubt() -> None:
    assert pulse.doubtful(beats(a=3600, b=3601), NOW)
    assert not pulse.doubtful(beats(a=3600, b=9), NOW)
    assert not pulse.doubtful({}, NOW)
    assert not pulse.doubtful({LEADER: Beat("", ago(3600), 1)}, NOW)


def test_a_lease_that_moved_between_two_looks_is_life_whatever_our_clock_says() -> None:
    found = pulse.judge(beats(a=3600, b=3700), NOW, LEADER, before=beats(a=3603, b=3700))
    assert (found.live("a"), found.live("b")) == (True, False)


def test_leases_that_do_not_move_are_dead() -> None:
    found = pulse.judge(beats(a=3600), NOW, LEADER, before=beats(a=3600))
    assert not found.live("a")


def test_what_a_lease_says() -> None:
    spec = {"holderIdentity": "x", "leaseDurationSeconds": 8, "renewTime": "2026-11-21T12:00:00Z"}
    leases: list[dict[str, Any]] = [
        {"metadata": {"name": "l"}, "spec": spec},
        {"metadata": {"name": "empty"}},
    ]
    assert pulse.parse_beats(leases) == {"l": Beat("x", NOW, 8.0), "empty": Beat("", None, 1.0)}
