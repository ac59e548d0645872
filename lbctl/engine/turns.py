"""Who waits for an address, and whose turn it is when one may be free. No I/O."""

from collections.abc import Iterable

from lbctl.kube.objects import Json, metadata, uid_of
from lbctl.translate import service

Rank = tuple[str, str, str]
"""Since when it waits, creation, UID; who waits longest is the least."""
_NOT_YET = "~"
"""Stands for the start of a wait that has not begun: after every moment."""


class Turns:
    """Keys that were refused an address; the longest waiting one is called first."""

    def __init__(self) -> None:
        self._ranks: dict[str, Rank] = {}
        self._due: set[str] = set()
        """Called, and not looked at since."""

    def wait(self, key: str, rank: Rank) -> None:
        """Note that a key waits."""
        self._ranks[key] = rank

    def leave(self, key: str) -> None:
        """Note that a key waits no more."""
        self._ranks.pop(key, None)
        self._due.discard(key)

    def call(self) -> list[str]:
        """Return who waits, the longest waiting first: all of them are to be looked at."""
        self._due.update(self._ranks)
        return sorted(self._ranks, key=lambda key: self._ranks[key])

    def came(self, key: str) -> None:
        """Note that a key that was called has been looked at."""
        self._due.discard(key)

    def comes_later(self, key: str, rank: Rank) -> bool:
        """Tell whether somebody who waits longer has been called and not been looked at yet."""
        return any(self._ranks[other] < rank for other in self._due if other != key)


def rank(facts: service.ServiceFacts) -> Rank:
    """Return where a Service stands among those who wait; its condition keeps since when."""
    return (facts.waiting_since or _NOT_YET, facts.created, facts.uid)


def in_order(services: Iterable[Json]) -> list[Json]:
    """Return Services as they come after a start: who shows an address first, then who waits."""
    return sorted(services, key=_place)


def _place(obj: Json) -> tuple[bool, str, str, str]:
    status = obj.get("status") or {}
    shows = bool((status.get("loadBalancer") or {}).get("ingress"))
    since = service.waiting_since(status) or _NOT_YET
    return (not shows, since, str(metadata(obj).get("creationTimestamp") or ""), uid_of(obj))
