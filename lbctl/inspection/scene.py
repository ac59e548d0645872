"""What was read of a cluster, seen with the controller's own eyes. Pure.

The controller's caches and views are made from lists instead of watches, so whatever is said here
about a Service is what the controller would say of the same objects.
"""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence

from lbctl.engine import snapshot
from lbctl.engine.caches import Caches
from lbctl.inspection.pulse import Pulse
from lbctl.kube.objects import Json
from lbctl.kube.resources import Resource
from lbctl.model.allocation import parse_allocation
from lbctl.plan.view import View

Lists = Mapping[Resource, Sequence[Json]]
"""API objects by resource."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """One cluster at one moment."""

    known: Caches
    rules: snapshot.Rules
    pulse: Pulse
    views: snapshot.Snapshots

    @property
    def now(self) -> datetime.datetime:
        """Return the moment."""
        return self.pulse.now

    def view(self, key: str) -> View:
        """Return what a pass over the Service `<namespace>/<name>` would see.

        A second from now, that is: then a new Service without EndpointSlices has none.
        """
        return dataclasses.replace(self.views.view(key), settling=False)


def scene(lists: Lists, rules: snapshot.Rules, pulse: Pulse) -> Scene:
    """Return the scene that lists of objects make."""
    known = Caches()
    for resource, store in known.sources():
        store.replace(lists.get(resource, ()), 0)
    views = snapshot.Snapshots(known, pulse, rules, pulse.now.timestamp)
    views.rivals = lambda key: _rivals_told(known, key)
    _fill_ledger(views, known.allocations)
    return Scene(known, rules, pulse, views)


def _rivals_told(known: Caches, key: str) -> dict[str, str]:
    """Return who has a Service's names by the word of its decision: others need not be read."""
    found = known.decisions.indexed(key)
    names = found[0]["spec"].get("names") or () if found else ()
    return {name["host"]: name["takenBy"] for name in names if name.get("takenBy")}


def _fill_ledger(views: snapshot.Snapshots, allocations: Iterable[Json]) -> None:
    for obj in allocations:
        views.ledger.put(parse_allocation(obj))
