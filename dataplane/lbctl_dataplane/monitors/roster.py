"""Who is asked when, and what came of it. Pure: time and chance come in as arguments."""

import heapq
import itertools
from collections.abc import Callable, Set

from lbctl.model.monitors import Failure
from lbctl_dataplane.monitors import health
from lbctl_dataplane.monitors.health import Health, Target

KEPT_S = 60.0
"""What is known of a target that goes is kept so long: members come back, and addresses, too."""


class Turn:
    """One target on the roster, from when it comes until it goes."""

    __slots__ = ("began", "health", "target")

    def __init__(self, target: Target, known: Health) -> None:
        self.target = target
        self.health = known
        self.began = 0.0
        """When its last probe was due."""


class Roster:
    """All targets of one node; each is asked by one probe at a time.

    Times are seconds of any clock that never goes back.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        """Take chance from `draw`, at least 0 and below 1."""
        self._draw = draw
        self._turns: dict[Target, Turn] = {}
        self._due: list[tuple[float, int, Turn]] = []
        """A heap; those that went in the meantime are passed over."""
        self._numbers = itertools.count()
        self._gone: dict[Target, tuple[Health, float]] = {}
        """What is worth knowing of those that went, and until when."""
        self.changed: set[Target] = set()
        """Whose word is another one since somebody cleared this."""

    def __len__(self) -> int:
        """Return how many are asked."""
        return len(self._turns)

    def update(self, moved: Set[Target], wanted: Set[Target], now: float) -> None:
        """Ask those of `moved` that are `wanted`, and the rest of them no more.

        Who is new gets its first probe within its pause.
        """
        for target in moved:
            if target in wanted and target not in self._turns:
                self._begin(target, now)
            elif target not in wanted and target in self._turns:
                known = self._turns.pop(target).health
                if known != health.NEW:
                    self._gone[target] = (known, now + KEPT_S)
        self._gone = {target: kept for target, kept in self._gone.items() if now < kept[1]}

    def _begin(self, target: Target, now: float) -> None:
        known, until = self._gone.pop(target, (health.NEW, now))
        turn = Turn(target, known if now < until else health.NEW)
        self._turns[target] = turn
        if not turn.health.up:
            self.changed.add(target)
        self._put(turn, now + self._draw() * health.pause_s(turn.health, target.monitor))

    def recall(self, target: Target, why: Failure, now: float) -> None:
        """Let a target that comes soon be down at first, for a reason of old."""
        self._gone[target] = (Health(up=False, why=why), now + KEPT_S)

    def failure(self, target: Target) -> Failure | None:
        """Return why a target is down; None while it counts as up, or is not asked."""
        turn = self._turns.get(target)
        if turn is None or turn.health.up:
            return None
        return turn.health.why

    def next_at(self) -> float | None:
        """Return when the next probe is due; None while none is."""
        while self._due and not self._is_on(self._due[0][2]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def due(self, now: float, ahead_s: float, most: int) -> list[Turn]:
        """Return at most so many whose probe is due or nearly so, the longest overdue first.

        They are not due again before `told` or `untold` has been called for them.
        """
        found: list[Turn] = []
        while len(found) < most:
            at = self.next_at()
            if at is None or at > now + ahead_s:
                break
            turn = heapq.heappop(self._due)[2]
            turn.began = max(at, now)
            found.append(turn)
        return found

    def told(self, turn: Turn, failure: Failure | None) -> bool:
        """Take a probe's result; tell whether the target counts as other than before."""
        if not self._is_on(turn):
            return False
        before, turn.health = turn.health, health.after(turn.health, failure, turn.target.monitor)
        self.untold(turn)
        # Of one that stays down another reason is news as well.
        was = (before.up, None if before.up else before.why)
        if was == (turn.health.up, None if turn.health.up else turn.health.why):
            return False
        self.changed.add(turn.target)
        return True

    def untold(self, turn: Turn) -> None:
        """Ask again in time: a probe said nothing about its target."""
        if self._is_on(turn):
            monitor = turn.target.monitor
            shorter = 1 - monitor.jitter_percent / 100 * self._draw()
            self._put(turn, turn.began + shorter * health.pause_s(turn.health, monitor))

    def _put(self, turn: Turn, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), turn))

    def _is_on(self, turn: Turn) -> bool:
        return self._turns.get(turn.target) is turn
