"""Which agents are alive, judged by when *we* saw their Lease move: clocks are never compared."""

import asyncio
from collections.abc import Callable

from lbctl.kube.objects import Json, name_of
from lbctl.kube.store import Change

PREFIX = "lbctl-agent-"


class Liveness:
    """Agents by node name and until when each counts as alive."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever an agent came to life or is given up."""
        self._listeners.append(listener)

    def live(self, node: str) -> bool:
        """Tell whether the agent of a node has renewed its Lease in time."""
        return node in self._timers

    def seen(self, change: Change) -> None:
        """Take a change of a Lease."""
        if not change.key.partition("/")[2].startswith(PREFIX):
            return
        node = change.key.partition("/")[2].removeprefix(PREFIX)
        if change.new is None:
            self._expire(node)
        elif change.old is None or _renewal(change.old) != _renewal(change.new):
            self._renew(node, float(change.new["spec"].get("leaseDurationSeconds") or 1))

    def _renew(self, node: str, duration_s: float) -> None:
        known = self._timers.pop(node, None)
        if known is not None:
            known.cancel()
        loop = asyncio.get_running_loop()
        self._timers[node] = loop.call_later(duration_s, self._expire, node)
        if known is None:
            self._notify()

    def _expire(self, node: str) -> None:
        known = self._timers.pop(node, None)
        if known is not None:
            known.cancel()
            self._notify()

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()


def _renewal(lease: Json) -> str:
    return f"{name_of(lease)}@{(lease.get('spec') or {}).get('renewTime')}"
