"""When a member counts as down, when it comes back, and how soon that is known."""

import itertools

import pytest

import monitor_builders as build
from lbctl.model.monitors import Failure, Monitor
from lbctl_dataplane.monitors import health
from lbctl_dataplane.monitors.health import NEW, Health

DOWN = Failure.REFUSED


def known_after(monitor: Monitor, *results: Failure | None) -> Health:
    found = NEW
    for failure in results:
        found = health.after(found, failure, monitor)
    return found


def test_a_member_is_down_after_so_many_failures_in_a_row() -> None:
    monitor = build.monitor(fall=3)
    assert known_after(monitor, DOWN, DOWN).up
    assert known_after(monitor, DOWN, DOWN, None, DOWN, DOWN).up
    assert not known_after(monitor, DOWN, DOWN, DOWN).up


def test_it_is_back_after_so_many_good_probes_in_a_row() -> None:
    monitor = build.monitor(fall=1, rise=2)
    assert not known_after(monitor, DOWN, None).up
    assert not known_after(monitor, DOWN, None, DOWN, None).up
    assert known_after(monitor, DOWN, None, None) == NEW


def test_the_last_failure_says_why() -> None:
    monitor = build.monitor(fall=2)
    assert known_after(monitor, DOWN, Failure.TIMED_OUT).why is Failure.TIMED_OUT
    assert known_after(monitor, DOWN, DOWN, Failure.CLOSED).why is Failure.CLOSED
    assert known_after(monitor, DOWN, DOWN, None).why is DOWN


@pytest.mark.parametrize("fall", [1, 2, 3, 10])
@pytest.mark.parametrize("share", [0.5, 0.4, 0.1])
def test_a_member_that_hangs_is_down_within_so_many_intervals(fall: int, share: float) -> None:
    """It hangs from right after the start of a good probe on: the worst moment."""
    monitor = build.monitor(fall=fall, interval_ms=1000, timeout_ms=int(1000 * share))
    at, found = 0.0, NEW
    while found.up:
        at += health.pause_s(found, monitor)
        found = health.after(found, Failure.TIMED_OUT, monitor)
    assert at + share == pytest.approx(fall * 1.0)


def test_no_probe_starts_before_the_one_before_must_have_ended() -> None:
    for fall, share in itertools.product((1, 2, 3), (0.5, 0.1)):
        monitor = build.monitor(fall=fall, interval_ms=1000, timeout_ms=int(1000 * share))
        for known in (NEW, Health(against=1), Health(up=False)):
            assert health.pause_s(known, monitor) >= share
