"""Who is asked when."""

import pytest

import monitor_builders as build
from lbctl.model.monitors import Failure
from lbctl_dataplane.monitors.health import Target
from lbctl_dataplane.monitors.roster import KEPT_S, Roster

ONE, TWO = build.target(1, fall=1, rise=2), build.target(2, fall=1, rise=2)


def roster(*targets: Target, chance: float = 0.0) -> Roster:
    made = Roster(lambda: chance)
    made.update(set(targets), set(targets), 0.0)
    return made


def test_first_probes_are_spread_over_the_pause() -> None:
    chances = iter([0.25, 0.75])
    made = Roster(lambda: next(chances))
    made.update({ONE}, {ONE}, 0.0)
    made.update({TWO}, {ONE, TWO}, 0.0)
    pause_s = 3.0  # an interval less the timeout, as one failure is enough
    assert [turn.target for turn in made.due(0.25 * pause_s, 0, 10)] == [ONE]
    assert made.next_at() == 0.75 * pause_s


def test_jitter_only_shortens() -> None:
    made = roster(ONE, chance=0.5)
    (turn,) = made.due(2.0, 0, 1)
    made.told(turn, None)
    assert made.next_at() == pytest.approx(2.0 + 3.0 * 0.95)


def test_who_starts_a_moment_early_keeps_its_pace_and_who_is_late_does_not_hurry() -> None:
    made = roster(ONE)
    for starts, then in ((0.0, 3.0), (2.995, 6.0), (7.0, 10.0)):
        (turn,) = made.due(starts, 0.01, 1)
        made.told(turn, None)
        assert made.next_at() == then


def test_no_more_are_due_than_there_is_room_for() -> None:
    made = roster(ONE, TWO)
    assert len(made.due(0.0, 0, 0)) == 0
    assert len(made.due(0.0, 0, 1)) == 1
    assert len(made.due(0.0, 0, 5)) == 1


def test_a_probe_that_said_nothing_is_made_again() -> None:
    made = roster(ONE)
    (turn,) = made.due(0.0, 0, 1)
    made.untold(turn)
    assert made.next_at() == 3.0
    assert made.failure(ONE) is None


def test_another_reason_of_one_that_is_down_is_news() -> None:
    made = roster(ONE)
    said = []
    row = (Failure.REFUSED, Failure.REFUSED, Failure.TIMED_OUT, None, None, None)
    for number, failure in enumerate(row):
        (turn,) = made.due(10.0 * number, 0, 1)
        said.append(made.told(turn, failure))
    assert said == [True, False, True, False, True, False]
    assert made.failure(ONE) is None


def come_and_go(away_s: float) -> Roster:
    made = roster(ONE)
    (turn,) = made.due(0.0, 0, 1)
    made.told(turn, Failure.REFUSED)
    made.update({ONE}, set(), 1.0)
    assert made.failure(ONE) is None
    made.update({ONE}, {ONE}, 1.0 + away_s)
    return made


def test_who_comes_back_soon_is_known() -> None:
    made = come_and_go(away_s=KEPT_S - 1)
    assert made.failure(ONE) is Failure.REFUSED
    assert made.changed == {ONE}


def test_who_comes_back_late_is_new() -> None:
    assert come_and_go(away_s=KEPT_S + 1).failure(ONE) is None


def test_a_result_of_one_that_went_says_nothing_about_who_came() -> None:
    made = roster(ONE)
    (turn,) = made.due(0.0, 0, 1)
    made.update({ONE}, set(), 1.0)
    made.update({ONE}, {ONE}, 1.0)
    assert not made.told(turn, Failure.REFUSED)
    assert made.failure(ONE) is None
    assert len(made) == 1
