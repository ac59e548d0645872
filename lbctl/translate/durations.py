"""Spans of time as users write them in annotations. Pure."""

import re

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_seconds(text: str) -> int | None:
    """Return the seconds in a number or in a duration as Go writes them, whole units only.

    >>> parse_seconds("90"), parse_seconds("1m30s"), parse_seconds("soon")
    (90, 90, None)
    """
    if text.isascii() and text.isdecimal():
        return int(text[:10])  # far beyond anything that makes sense, and not for ever
    found = _DURATION.fullmatch(text) if text else None
    if found is None:
        return None
    hours, minutes, seconds = (int((part or "0")[:10]) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds
