"""Moments in API objects are UTC, whatever zone they were made in."""

import datetime

import pytest

from lbctl.plan import times

EAST = datetime.timezone(datetime.timedelta(hours=2))
MOMENT = datetime.datetime(2026, 11, 21, 14, 0, 0, 123456, tzinfo=EAST)


def test_a_micro_time_keeps_microseconds() -> None:
    assert times.render(MOMENT) == "2026-11-21T12:00:00.123456Z"


def test_a_time_has_whole_seconds() -> None:
    assert times.render_seconds(MOMENT) == "2026-11-21T12:00:00Z"


def test_what_is_rendered_parses_to_the_same_moment() -> None:
    assert times.parse(times.render(MOMENT)) == MOMENT
    assert times.parse(times.render_seconds(MOMENT)) == MOMENT.replace(microsecond=0)


def test_what_is_no_time_is_an_error() -> None:
    with pytest.raises(ValueError, match="soon"):
        times.parse("soon")
