"""Frontends without the members that fail their monitor, at a cost that grows with changes. Pure.

What a failing member loses, `lbctl_dataplane.rules.frontend.without` says.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from lbctl.model.monitors import Failure, Monitor
from lbctl.translate.failing import FailingMember
from lbctl_dataplane.monitors.health import Target
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.frontend import Frontend, Member

_REASONS = {failure.value for failure in Failure}
Failures = Callable[[Target], Failure | None]
"""Tells why a target is down; None: it is not."""


def targets_of(given: Frontend, monitor: Monitor) -> dict[Member, Target]:
    """Return whom a monitor asks about each member that gets connections."""
    if not monitor.asks(given.place.protocol):
        return {}
    return {
        member: Target(member.address, monitor.port or member.port, monitor)
        for member in given.members
    }


@dataclass(frozen=True, slots=True)
class _Judged:
    given: Frontend
    """Kept, so that nothing else gets its identity."""
    monitor: Monitor
    targets: Mapping[Member, Target]
    made: Frontend
    failing: tuple[FailingMember, ...] = ()


class Judge:
    """Frontends by views that follow each other. What did not change stays the same object."""

    def __init__(self) -> None:
        self._judged: dict[int, _Judged] = {}
        """By identity of the frontend that was given."""
        self._asked: dict[Target, set[int]] = {}
        """Which frontends depend on what is said of a target."""
        self._given: Sequence[Frontend] = ()
        self._monitors: Mapping[str, Monitor] = {}
        self._fresh: set[int] = set()
        """What came since the last judgement."""
        self._made: tuple[Frontend, ...] = ()
        self._stale = False

    @property
    def targets(self) -> Set[Target]:
        """Return whom all monitors ask."""
        return self._asked.keys()

    @property
    def failing(self) -> tuple[FailingMember, ...]:
        """Return the failing members of all frontends, also where all of one fail; sorted."""
        found = {member for entry in self._judged.values() for member in entry.failing}
        return tuple(sorted(found, key=FailingMember.order))

    def targets_of(self, failing: Iterable[FailingMember]) -> dict[Target, Failure]:
        """Return whom to ask about failing members, of those taken, and why these fail."""
        reasons = {
            (member.key, member.address, member.protocol, member.port): member.reason
            for member in failing
        }
        found: dict[Target, Failure] = {}
        for entry in self._judged.values() if reasons else ():
            key, protocol = entry.given.key, entry.given.place.protocol
            for member, target in entry.targets.items():
                why = reasons.get((key, member.address, protocol, member.port))
                if why in _REASONS:
                    found[target] = Failure(why)
        return found

    def take(self, frontends: Sequence[Frontend], monitors: Mapping[str, Monitor]) -> set[Target]:
        """Take what is to be judged, and by which monitor, by key of the virtual service.

        Returns the targets that may have come or gone: `targets` tells which.
        """
        if frontends is self._given and monitors == self._monitors:
            return set()
        moved: set[Target] = set()
        watched = {id(entry): entry for entry in frontends if entry.key in monitors}
        for known in self._judged.keys() - watched.keys():
            moved |= self._drop(known)
        for known, entry in watched.items():
            monitor = monitors[entry.key]
            judged = self._judged.get(known)
            if judged is None or (judged.monitor is not monitor and judged.monitor != monitor):
                moved |= self._drop(known) | self._put(known, entry, monitor)
        self._given, self._monitors, self._stale = frontends, monitors, True
        return moved

    def judge(self, changed: Iterable[Target], failures: Failures) -> tuple[Frontend, ...]:
        """Return what was taken without who fails; `changed` fail or pass unlike before."""
        dirty = {known for target in changed for known in self._asked.get(target, ())}
        for known in dirty | self._fresh:
            self._judged[known] = _judge(self._judged[known], failures)
            self._stale = True
        self._fresh.clear()
        if self._stale:
            self._made = tuple(map(self._made_of, self._given) if self._judged else self._given)
            self._stale = False
        return self._made

    def _made_of(self, given: Frontend) -> Frontend:
        judged = self._judged.get(id(given))
        return judged.made if judged is not None else given

    def _drop(self, known: int) -> set[Target]:
        judged = self._judged.pop(known, None)
        self._fresh.discard(known)
        targets = set(judged.targets.values()) if judged is not None else set()
        for target in targets:
            self._asked[target].discard(known)
            if not self._asked[target]:
                del self._asked[target]
        return targets

    def _put(self, known: int, given: Frontend, monitor: Monitor) -> set[Target]:
        targets = targets_of(given, monitor)
        self._judged[known] = _Judged(given, monitor, targets, given)
        self._fresh.add(known)
        for target in targets.values():
            self._asked.setdefault(target, set()).add(known)
        return set(targets.values())


def _judge(judged: _Judged, failures: Failures) -> _Judged:
    given = judged.given
    found = {member: failures(target) for member, target in judged.targets.items()}
    failing = {member: why for member, why in found.items() if why is not None}
    made = frontend.without(given, failing.keys())
    told = tuple(
        FailingMember(given.key, member.address, given.place.protocol, member.port, why.value)
        for member, why in failing.items()
    )
    # The same again would cost the switch a look.
    return dataclasses.replace(
        judged, made=judged.made if made == judged.made else made, failing=told
    )
