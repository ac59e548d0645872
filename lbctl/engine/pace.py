"""How often the same thing is written again, when somebody else keeps undoing it. No I/O.

The first time it is made good at once, then after 1 s, 2 s, 4 s … up to a minute. What was written
differently meanwhile, or left in peace for `FORGET_S`, is no quarrel.
"""

from dataclasses import dataclass

from lbctl.plan import steps

FIRST_S = 1.0
CAP_S = 60.0
FORGET_S = 300.0
KINDS: dict[type[object], str] = {
    steps.WriteServiceStatus: "status",
    steps.ClearServiceStatus: "status",
    steps.AddFinalizer: "finalizer",
    steps.RemoveFinalizer: "finalizer",
    steps.WriteDecision: "decision",
    steps.DeleteDecision: "decision",
}
"""What others may have written to between two steps; other steps are never put off."""


@dataclass(slots=True)
class _Last:
    content: int
    at: float
    again: int = 0
    """How often it has been written again."""


class Pace:
    """The last writes of each key, told apart by what they touch."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], _Last] = {}

    def wait_s(self, key: str, step: steps.Step, now: float) -> float:
        """Return for how long a step has to wait; 0: it may be done."""
        last = self._known(key, step, now)
        if last is None or not last.again:
            return 0.0
        pause_s = min(FIRST_S * float(1 << min(last.again - 1, 16)), CAP_S)
        return max(last.at + pause_s - now, 0.0)

    def wrote(self, key: str, step: steps.Step, now: float) -> None:
        """Note that a step was done."""
        kind = KINDS.get(type(step))
        if kind is None:
            return
        last = self._known(key, step, now)
        again = last.again + 1 if last is not None else 0
        self._last[key, kind] = _Last(_content(step), now, again)

    def forget(self, key: str) -> None:
        """Note that nothing is left of a key."""
        for kind in {*KINDS.values()}:
            self._last.pop((key, kind), None)

    def _known(self, key: str, step: steps.Step, now: float) -> _Last | None:
        """Return the last write when it is the same as the step, and not long ago."""
        last = self._last.get((key, KINDS.get(type(step), "")))
        if last is None or last.content != _content(step) or now - last.at > FORGET_S:
            return None
        return last


def _content(step: steps.Step) -> int:
    match step:
        case steps.WriteServiceStatus(service, ingress, conditions):
            return hash((type(step), service.uid, ingress, conditions))
        case steps.AddFinalizer(service) | steps.RemoveFinalizer(service):
            return hash((type(step), service.uid))
        case steps.WriteDecision(wanted):
            return hash((type(step), wanted))
        case _:
            return hash(type(step))
