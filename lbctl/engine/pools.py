"""Keep AddressPool objects in step: mirrors of the settings' pools, counters and Ready of all.

Written by the leader only, gathered over `GATHER_S`: however many addresses are given meanwhile,
each pool's counters cost one write. Nothing decides by them.
"""

import asyncio
import datetime
import logging
from collections.abc import Mapping

from lbctl.engine import events
from lbctl.engine.caches import Caches
from lbctl.engine.snapshot import Snapshots
from lbctl.kube import client, resources
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl.plan import pools
from lbctl.plan.pools import PoolStep

log = logging.getLogger(__name__)

GATHER_S = 1.0
"""Time from a change to the write that shows it, and between two writes of one pool."""
POOLS = resources.ADDRESS_POOLS


class PoolObjects:
    """Writes AddressPool objects while this process leads."""

    def __init__(
        self,
        api: client.Client,
        known: Caches,
        snapshots: Snapshots,
        recorder: events.Recorder,
    ) -> None:
        self._api = api
        self._recorder = recorder
        self._caches = known
        self._snapshots = snapshots
        self._changed = asyncio.Event()
        self._mirrors: Mapping[str, Json] = {}

    def listen(self) -> None:
        """Note every change of pools and of who holds addresses."""
        self._caches.address_pools.subscribe(lambda change: self._changed.set())
        self._caches.allocations.subscribe(lambda change: self._changed.set())

    def mirror(self, specs: Mapping[str, Json]) -> None:
        """Show these pools of the settings from now on, by name."""
        self._mirrors = specs
        self._changed.set()

    async def run(self) -> None:
        """Write what differs, for ever; what can't be written is tried again."""
        self._changed.set()
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_S)
            self._changed.clear()
            for step in self._plan():
                await self._try(step)

    def _plan(self) -> tuple[PoolStep, ...]:
        return pools.plan_pools(
            self._mirrors,
            self._caches.address_pools,
            self._snapshots.resolved,
            self._snapshots.ledger,
            datetime.datetime.now(tz=datetime.UTC),
        )

    async def _try(self, step: PoolStep) -> None:
        try:
            answer = await self._write(step)
        except (errors.Conflict, errors.AlreadyExists, errors.NotFound):
            self._changed.set()  # somebody else wrote: the watch will show what
        except errors.LbctlError as error:
            log.warning("AddressPool: %s", error)
            if isinstance(error, errors.Retryable):
                self._changed.set()
        else:
            if answer is not None:
                self._caches.address_pools.wrote(answer)

    async def _write(self, step: PoolStep) -> Json | None:
        match step:
            case pools.CreatePool(body):
                return await self._api.create(POOLS, body)
            case pools.ReplacePool(body):
                return await self._api.replace(POOLS, body)
            case pools.DeletePool(name, uid):
                await self._api.delete(POOLS, name, uid=uid)
                return None
            case pools.WritePoolStatus(body, told):
                # Replaced, not merged: a field that left the last good spec has to go.
                answer = await self._api.replace(POOLS, body, sub="status")
                if told is not None:
                    self._recorder.record(events.event_of_pool(answer, told))
                return answer
