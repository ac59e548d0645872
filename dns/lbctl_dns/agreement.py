"""Serials that all replicas agree on: which changes a serial that the leader gave covers. Pure.

Answers show a change at once; its serial comes with the Zone object, which says by a digest what
content is meant. The object may come before the changes that it covers, or after later ones.
"""

from dataclasses import dataclass

from lbctl_dns import zone
from lbctl_dns.zone import Change

MAX_OPEN = 10_000
"""Changes that wait for a serial one by one; the oldest ones beyond become one change."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A serial, and what turned the content of the serial before into that of this one."""

    serial: int
    change: Change


class Agreement:
    """One zone: its changes that have no serial yet, and the serial that is awaited."""

    def __init__(self, digest: str) -> None:
        self._base = digest
        """Digest of the content of the last serial."""
        self._open: list[tuple[str, Change]] = []
        """Each change since then, and the digest after it."""
        self._awaited: tuple[int, str] | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether changes are shown that no serial covers."""
        return bool(self._open)

    def changed(self, change: Change, digest: str) -> Cut | None:
        """Take a change that is shown from now on; return the cut if a serial waited for it."""
        self._open.append((digest, change))
        if self._awaited is not None and self._awaited[1] == digest:
            return self._cut(self._awaited[0], len(self._open))
        if digest == self._base:
            # It came and went within a moment: the leader has no reason to say a word.
            self._open.clear()
        if len(self._open) > MAX_OPEN:
            half = len(self._open) // 2
            rest = zone.merged(one for _, one in self._open[:half])
            self._open[:half] = [(self._open[half - 1][0], rest)]
        return None

    def told(self, serial: int, digest: str) -> Cut | None:
        """Take the leader's word; return the cut, None where its content is still to come."""
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index][0] == digest:
                return self._cut(serial, index + 1)
        if digest == self._base:
            return self._cut(serial, 0)
        self._awaited = (serial, digest)
        return None

    def overdue(self, serial: int) -> Cut:
        """Give all changes a serial without the leader's word."""
        return self._cut(serial, len(self._open))

    def _cut(self, serial: int, count: int) -> Cut:
        covered, self._open = self._open[:count], self._open[count:]
        if covered:
            self._base = covered[-1][0]
        self._awaited = None
        return Cut(serial, zone.merged(change for _, change in covered))
