"""Keep Zone objects in step with decisions, so that all name servers give the same serials."""

import time
from collections.abc import Iterable

from lbctl.engine.caches import Caches
from lbctl.engine.objects import Objects
from lbctl.kube import client, resources
from lbctl.kube.store import Change
from lbctl.model.zones import Digests
from lbctl.plan import zones
from lbctl.plan.objects import ObjectStep


class ZoneObjects:
    """Writes Zone objects while this process leads: at once after a quiet time, else gathered."""

    def __init__(self, api: client.Client, known: Caches) -> None:
        self._caches = known
        self._digests = Digests(())
        self._basis = ""
        self._objects = Objects(api, resources.ZONES, known.zones, self._plan)

    def listen(self) -> None:
        """Note every change of decisions and of Zone objects."""
        self._caches.decisions.subscribe(self._decided)
        self._caches.zones.subscribe(lambda change: self._objects.changed())

    def serve(self, origins: Iterable[str], basis: str) -> None:
        """Have an object for each of these zones from now on, made by these settings."""
        wanted = frozenset(origins)
        if (wanted, basis) == (self._digests.origins, self._basis):
            return
        self._digests, self._basis = self._digests.moved(wanted, basis), basis
        self._objects.changed()

    async def run(self) -> None:
        """Write what differs, for ever; what can't be written is tried again."""
        await self._objects.run()

    def _decided(self, change: Change) -> None:
        if self._digests.put(change.key, change.new):
            self._objects.changed()

    def _plan(self) -> tuple[ObjectStep, ...]:
        seen = self._caches.decisions.resource_version
        return zones.plan_zones(self._digests, self._caches.zones, seen, int(time.time()))
