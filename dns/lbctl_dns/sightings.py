"""When changes become visible: from a watch event to the last worker that answers by it. Pure."""

from bisect import bisect_left

BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of the time that a change may take; one more bucket is above them all."""


class Delays:
    """How long changes took."""

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        """Changes by bucket."""
        self.total_s = 0.0

    def take(self, delay_s: float) -> None:
        """Count one change."""
        self.buckets[bisect_left(BUCKETS_S, delay_s)] += 1
        self.total_s += delay_s


class Sighting:
    """One change on its way to workers."""

    __slots__ = ("_arrived_s", "_delays", "_unaware")

    def __init__(self, arrived_s: float, workers: int, delays: Delays) -> None:
        self._arrived_s = arrived_s
        self._unaware = workers
        self._delays = delays

    def seen(self, now_s: float) -> None:
        """Take note that one worker more answers by it, or is gone; the last one counts."""
        self._unaware -= 1
        if not self._unaware:
            self._delays.take(now_s - self._arrived_s)
