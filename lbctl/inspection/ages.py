"""How long ago something was, as kubectl writes it. Pure.

Source: k8s.io/apimachinery/pkg/util/duration, HumanDuration.
"""

import datetime

from lbctl.plan import times

UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def since(moment: str, now: datetime.datetime) -> str:
    """Return how long ago an RFC 3339 moment was; `<unknown>` where it is none.

    >>> since("2026-11-21T12:00:00Z", times.parse("2026-11-21T12:03:09Z"))
    '3m9s'
    """
    try:
        passed = now - times.parse(moment)
    except ValueError:
        return UNKNOWN
    return shown(int(passed.total_seconds()))


def shown(seconds: int) -> str:
    """Return a time span in two units at most, the second one only while the first is small.

    >>> shown(125), shown(7 * 3600 + 60), shown(3 * 86400)
    ('2m5s', '7h1m', '3d')
    """
    if seconds < 0:
        return "0s"
    for limit, unit, part in (
        (2 * _MINUTE, 1, 0),
        (10 * _MINUTE, _MINUTE, 1),
        (3 * _HOUR, _MINUTE, 0),
        (8 * _HOUR, _HOUR, _MINUTE),
        (2 * _DAY, _HOUR, 0),
        (8 * _DAY, _DAY, _HOUR),
        (2 * _YEAR, _DAY, 0),
        (8 * _YEAR, _YEAR, _DAY),
    ):
        if seconds < limit:
            return _in_units(seconds, unit, part)
    return _in_units(seconds, _YEAR, 0)


def _in_units(seconds: int, unit: int, part: int) -> str:
    whole, rest = divmod(seconds, unit)
    smaller = rest // part if part else 0
    tail = f"{smaller}{_LETTERS[part]}" if smaller else ""
    return f"{whole}{_LETTERS[unit]}{tail}"


_LETTERS = {1: "s", _MINUTE: "m", _HOUR: "h", _DAY: "d", _YEAR: "y"}
