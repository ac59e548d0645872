"""Moments as API objects carry them: RFC 3339 UTC. Pure."""

import datetime


def render(moment: datetime.datetime) -> str:
    """Return a moment with microseconds, as Kubernetes' MicroTime."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def render_seconds(moment: datetime.datetime) -> str:
    """Return a moment in whole seconds, as Kubernetes' Time (conditions, events)."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> datetime.datetime:
    """Return the moment of either form. Raises ValueError."""
    return datetime.datetime.fromisoformat(text)
