"""Views without the members that nodes call failing; a view costs what changed. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from lbctl.translate import failing as failing_members
from lbctl.translate.failing import Failing
from lbctl_dataplane.decisions import Behind, View
from lbctl_dataplane.rules.router.legs import ServingNode


class Working:
    """What of each view works. What did not change stays the same object."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Behind, Failing, Behind]] = {}
        """By key: what was given, who failed, what was made of it."""

    def of(self, view: View, nodes: Iterable[ServingNode]) -> View:
        """Return a view in which members that fail get no new connections, unless all fail."""
        told = ((node.name, member) for node in nodes for member in node.failing)
        self._made = {
            key: self._one(key, view.behind[key], failing)
            for key, failing in failing_members.by_key(told).items()
            if key in view.behind
        }
        if not self._made:
            return view
        made = {key: behind for key, (_, _, behind) in self._made.items()}
        return replace(view, behind={**view.behind, **made})

    def _one(self, key: str, behind: Behind, failing: Failing) -> tuple[Behind, Failing, Behind]:
        known = self._made.get(key)
        if known is not None and known[0] is behind and known[1] == failing:
            return known
        left = failing_members.without_failing(behind.endpoints, failing)
        return behind, failing, replace(behind, endpoints=left)
