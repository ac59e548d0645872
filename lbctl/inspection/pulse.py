"""Who is alive, judged from Leases that were read once or twice. Pure.

The controller judges by when it saw a Lease move. A command that looks once cannot, so it trusts
its own clock as long as that agrees with the Leases; where not one of them looks fresh, either
everybody is dead or our clock is ahead: a second look tells (`doubtful`, `judge`).
"""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lbctl.engine.liveness import PREFIX
from lbctl.kube.objects import Json, name_of
from lbctl.plan import times


@dataclass(frozen=True, slots=True)
class Beat:
    """What one Lease says."""

    holder: str
    """Empty: given up."""
    renewed: datetime.datetime | None
    """None: never."""
    duration_s: float

    def fresh(self, now: datetime.datetime) -> bool:
        """Tell whether it was renewed in time."""
        if not self.holder or self.renewed is None:
            return False
        return now - self.renewed <= datetime.timedelta(seconds=self.duration_s)


@dataclass(frozen=True, slots=True)
class Pulse:
    """Who was alive at one moment."""

    beats: Mapping[str, Beat]
    """By the name of the Lease."""
    now: datetime.datetime
    """By the clock that the Leases were judged with."""
    leader: str
    """Name of the controller's Lease."""

    def live(self, node: str) -> bool:
        """Tell whether the agent of a node is alive."""
        beat = self.agent(node)
        return beat is not None and beat.fresh(self.now)

    def agent(self, node: str) -> Beat | None:
        """Return the Lease of a node's agent; None where there is none."""
        return self.beats.get(PREFIX + node)

    @property
    def controller(self) -> Beat | None:
        """Return the controller's Lease; None where there is none."""
        return self.beats.get(self.leader)

    @property
    def led(self) -> bool:
        """Tell whether a controller decides."""
        return self.controller is not None and self.controller.fresh(self.now)


def parse_beats(leases: Iterable[Json]) -> dict[str, Beat]:
    """Return what Leases say, by their names."""
    return {name_of(lease): _beat(lease.get("spec") or {}) for lease in leases}


def doubtful(beats: Mapping[str, Beat], now: datetime.datetime) -> bool:
    """Tell whether our own clock may be wrong: there are Leases, and none looks fresh."""
    held = [beat for beat in beats.values() if beat.holder]
    return bool(held) and not any(beat.fresh(now) for beat in held)


def judge(
    beats: Mapping[str, Beat],
    now: datetime.datetime,
    leader: str,
    before: Mapping[str, Beat] | None = None,
) -> Pulse:
    """Return who is alive `now`; `before` is what was read a while ago, in case of doubt.

    A Lease renewed in our future, or between the two looks, is a better clock than ours.
    """
    newest = max((beat.renewed for beat in beats.values() if beat.renewed), default=now)
    moved = before is not None and any(before.get(name) != beat for name, beat in beats.items())
    return Pulse(beats, newest if moved else max(now, newest), leader)


def _beat(spec: Json) -> Beat:
    try:
        renewed = times.parse(str(spec.get("renewTime") or ""))
    except ValueError:
        renewed = None
    return Beat(
        str(spec.get("holderIdentity") or ""), renewed, float(spec.get("leaseDurationSeconds") or 1)
    )
