"""Members and monitors come and go, probes end in any order: the word of the monitors is that of a
naive model, nobody is forgotten and nobody is asked twice at a time."""

import dataclasses
import itertools
from collections.abc import Mapping

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import dataplane_builders as build
import monitor_builders
from lbctl.model.monitors import Failure, Kind, Monitor
from lbctl_dataplane.monitors import judging
from lbctl_dataplane.monitors.health import Target
from lbctl_dataplane.monitors.judging import Judge
from lbctl_dataplane.monitors.roster import KEPT_S, Roster, Turn
from lbctl_dataplane.rules import frontend as frontend_rules
from lbctl_dataplane.rules.frontend import Frontend

KEYS = ("default.a", "default.b", "default.c")
PODS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
MONITORS = (
    Monitor(Kind.TCP, fall=2, rise=1),
    Monitor(Kind.TCP, fall=1, rise=2, interval_ms=1000, timeout_ms=500),
    Monitor(Kind.UDP, port=53, fall=2, rise=2),
)
frontends = st.builds(
    lambda key, protocol, pods: Frontend(
        key, build.place(f"198.18.0.{KEYS.index(key) + 1}", protocol), build.members(*sorted(pods))
    ),
    st.sampled_from(KEYS),
    st.sampled_from(["TCP", "UDP"]),
    st.sets(st.sampled_from(PODS), min_size=1),
)
LONGEST_S = 5.0


@dataclasses.dataclass
class Known:
    """What the model knows of one target: the results of its probes, and when it went."""

    up: bool = True
    row: int = 0
    left_at: float | None = None

    def take(self, good: bool, monitor: Monitor) -> None:
        self.row = 0 if good is self.up else self.row + 1
        if self.row >= (monitor.fall if self.up else monitor.rise):
            self.up, self.row = not self.up, 0


class Monitoring(RuleBasedStateMachine):
    """Roster and judge as the prober drives them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.roster, self.judge = Roster(lambda: 0.5), Judge()
        self.given: tuple[Frontend, ...] = ()
        self.monitors: Mapping[str, Monitor] = {}
        self.running: list[tuple[Turn, bool]] = []
        """Probes under way, and whether their target has not gone since."""
        self.model: dict[Target, Known] = {}
        self.judged: tuple[Frontend, ...] = ()
        self._look()

    def _look(self) -> None:
        moved = self.judge.take(self.given, self.monitors)
        self.roster.update(moved, self.judge.targets, self.now)
        self.judged = self.judge.judge(self.roster.changed, self.roster.failure)
        self.roster.changed.clear()

    @rule(
        chosen=st.lists(frontends, max_size=4, unique_by=lambda entry: entry.place),
        monitors=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(MONITORS)),
    )
    def members_and_monitors_change(
        self, chosen: list[Frontend], monitors: dict[str, Monitor]
    ) -> None:
        # What is equal stays the same object, as from one view to the next.
        before = {entry: entry for entry in self.given}
        self.given = tuple(before.get(entry, entry) for entry in chosen)
        self.monitors = monitors
        wanted = {
            target
            for entry in self.given
            if entry.key in monitors
            for target in judging.targets_of(entry, monitors[entry.key]).values()
        }
        for target in wanted:
            known = self.model.setdefault(target, Known())
            if known.left_at is not None and self.now >= known.left_at + KEPT_S:
                self.model[target] = known = Known()
            known.left_at = None
        for target in self.model.keys() - wanted:
            known = self.model[target]
            known.left_at = self.now if known.left_at is None else known.left_at
        self.running = [(turn, on and turn.target in wanted) for turn, on in self.running]
        self._look()
        assert self.judge.targets == wanted

    @rule(seconds=st.sampled_from([0.1, 1.0, LONGEST_S, KEPT_S]), most=st.integers(0, 3))
    def time_passes(self, seconds: float, most: int) -> None:
        self.now += seconds
        found = self.roster.due(self.now, 0.01, most)
        assert len(found) <= most
        self.running += [(turn, True) for turn in found]

    @rule(choice=st.integers(0, 20), failure=monitor_builders.RESULTS, told=st.booleans())
    def a_probe_ends(self, choice: int, failure: Failure | None, told: bool) -> None:
        if not self.running:
            return
        turn, on = self.running.pop(choice % len(self.running))
        if not told:
            self.roster.untold(turn)
            return
        news = self.roster.told(turn, failure)
        assert on or not news
        if on:
            self.model[turn.target].take(failure is None, turn.target.monitor)

    @rule()
    def a_pass_comes(self) -> None:
        self._look()

    @invariant()
    def it_judges_as_the_model_does(self) -> None:
        self._look()
        expected = tuple(map(self._expected, self.given))
        assert self.judged == expected
        told = {
            (entry.key, entry.address, entry.protocol, entry.port) for entry in self.judge.failing
        }
        assert told == {
            (entry.key, member.address, entry.place.protocol, member.port)
            for entry in self.given
            for member in self._down(entry)
        }

    @invariant()
    def what_is_judged_alike_is_the_same_object(self) -> None:
        before = {id(entry) for entry in self.judged}
        self._look()
        assert {id(entry) for entry in self.judged} == before

    @invariant()
    def everybody_waits_for_a_probe_or_has_one(self) -> None:
        running = [turn.target for turn, on in self.running if on]
        assert len(running) == len(set(running))
        waiting = {turn.target for _, _, turn in self.roster._due if self.roster._is_on(turn)}
        assert waiting.isdisjoint(running)
        assert waiting | set(running) == set(self.judge.targets)
        at = self.roster.next_at()
        assert (at is not None) == bool(waiting)
        assert at is None or at <= self.now + LONGEST_S

    def _down(self, entry: Frontend) -> set[object]:
        monitor = self.monitors.get(entry.key)
        targets = judging.targets_of(entry, monitor) if monitor else {}
        return {member for member, target in targets.items() if not self.model[target].up}

    def _expected(self, entry: Frontend) -> Frontend:
        return frontend_rules.without(entry, self._down(entry))  # type: ignore[arg-type]


TestMonitoring = Monitoring.TestCase


@hypothesis.given(
    st.builds(
        lambda fall, share, jitter: Monitor(
            Kind.TCP, interval_ms=1000, timeout_ms=10 * share, fall=fall, jitter_percent=jitter
        ),
        st.integers(1, 5),
        st.integers(1, 50),
        st.integers(0, 50),
    ),
    st.floats(0, 10),
    st.booleans(),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1),
)
def test_who_dies_is_known_within_so_many_intervals_whenever_it_dies(
    monitor: Monitor, dies_at: float, hangs: bool, chances: list[float]
) -> None:
    chance = itertools.cycle(chances)
    roster, target = Roster(lambda: next(chance)), Target(build.ip(PODS[0]), 80, monitor)
    roster.update({target}, {target}, 0.0)
    timeout_s, now = monitor.timeout_ms / 1000, 0.0
    while roster.failure(target) is None:
        begun = roster.next_at()
        assert begun is not None
        (turn,) = roster.due(begun, 0, 1)
        failure = None if begun < dies_at else Failure.TIMED_OUT if hangs else Failure.REFUSED
        now = begun + (timeout_s if failure is Failure.TIMED_OUT else 0.0)
        roster.told(turn, failure)
    assert now - dies_at <= monitor.fall + 1e-6


@hypothesis.given(frontends, st.sets(st.sampled_from(PODS)))
def test_who_fails_gets_nothing_new_unless_all_do(entry: Frontend, down: set[str]) -> None:
    failing = frozenset(member for member in entry.members if str(member.address) in down)
    made = frontend_rules.without(entry, failing)
    left = set(entry.members) - failing
    assert set(made.members) == (left or set(entry.members))
    lingers = bool(left) and entry.place.protocol != "UDP"
    assert set(made.lingering) == (set(failing) if lingers else set())
    assert made.members == tuple(sorted(made.members))
    assert made is entry or made != entry
