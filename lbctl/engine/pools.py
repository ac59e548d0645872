"""Keep AddressPool objects in step: mirrors of the settings' pools, counters and Ready of all."""

import datetime
from collections.abc import Mapping

from lbctl.engine import events, objects
from lbctl.engine.caches import Caches
from lbctl.engine.snapshot import Snapshots
from lbctl.kube import client, resources
from lbctl.kube.objects import Json
from lbctl.plan import pools
from lbctl.plan.objects import ObjectStep


class PoolObjects:
    """Writes AddressPool objects while this process leads. Nothing decides by their counters."""

    def __init__(
        self,
        api: client.Client,
        known: Caches,
        snapshots: Snapshots,
        recorder: events.Recorder,
    ) -> None:
        self._caches = known
        self._snapshots = snapshots
        self._mirrors: Mapping[str, Json] = {}
        self._objects = objects.Objects(
            api,
            resources.ADDRESS_POOLS,
            known.address_pools,
            self._plan,
            lambda obj, told: recorder.record(
                events.event_about(resources.ADDRESS_POOLS, obj, told)
            ),
        )

    def listen(self) -> None:
        """Note every change of pools and of who holds addresses."""
        self._caches.address_pools.subscribe(lambda change: self._objects.changed())
        self._caches.allocations.subscribe(lambda change: self._objects.changed())

    def mirror(self, specs: Mapping[str, Json]) -> None:
        """Show these pools of the settings from now on, by name."""
        self._mirrors = specs
        self._objects.changed()

    async def run(self) -> None:
        """Write what differs, for ever: each pool once, however many addresses are given."""
        await self._objects.run(delay_s=objects.GATHER_S)

    def _plan(self) -> tuple[ObjectStep, ...]:
        return pools.plan_pools(
            self._mirrors,
            self._caches.address_pools,
            self._snapshots.resolved,
            self._snapshots.ledger,
            datetime.datetime.now(tz=datetime.UTC),
        )
