"""One pass per dirty key: view, plan, do, look again until nothing is left to do."""

import asyncio
import datetime
import logging

from lbctl.engine import caches as caches_module
from lbctl.engine import executor, snapshot
from lbctl.engine.caches import Caches
from lbctl.kube import client, resources
from lbctl.kube.objects import Json, metadata, uid_of
from lbctl.kube.store import Change, Store
from lbctl.model import errors
from lbctl.model.allocation import Allocation, parse_allocation
from lbctl.model.reasons import Refused
from lbctl.plan import order, records, steps
from lbctl.plan.view import View
from lbctl.runtime.workqueue import WorkQueue

log = logging.getLogger(__name__)

WORKERS = 32
"""Keys worked on at a time: each mostly waits for the API server."""
BUSY = 8
"""Keys in work from which on writes that nobody waits for give way."""
GIVE_WAY_S = 0.5
GIVE_WAY_TIMES = 20
"""A write gives way for ten seconds at most."""
ROUNDS = 12
"""Plans per pass; more means that plan and API disagree for ever, which is a bug to be seen."""


class Loop:
    """The controller's decisions; runs only while this process leads."""

    def __init__(
        self,
        api: client.Client,
        known: Caches,
        snapshots: snapshot.Snapshots,
        acts: executor.Executor,
    ) -> None:
        self._api = api
        self._caches = known
        self._snapshots = snapshots
        self._executor = acts
        self._queue = WorkQueue()
        self._waiting: set[str] = set()
        """Keys that an acknowledgement would move."""
        self._refused: set[str] = set()
        """Keys that a freed address would move."""
        self._gave_way: dict[str, int] = {}
        """How often each key's patient writes have given way."""

    def listen(self) -> None:
        """Mark keys dirty on every change of what decisions are made from."""
        on = self._caches
        self._mark(on.services, caches_module.keys_of_service)
        self._mark(on.slices, caches_module.keys_of_slice)
        self._mark(on.decisions, caches_module.keys_of_decision)
        on.allocations.subscribe(self._allocation_changed)
        on.serving_nodes.subscribe(self._agent_changed)
        on.fabrics.subscribe(lambda change: self.everything())
        on.namespaces.subscribe(self._namespace_changed)

    def everything(self) -> None:
        """Mark every key dirty: an agent came or went, a Fabric changed, we lead now."""
        self._snapshots.agents_changed()
        for obj in self._caches.services:
            self._add(caches_module.keys_of_service(obj))
        for obj in self._caches.decisions:
            self._add(caches_module.keys_of_decision(obj))
        for obj in self._caches.allocations:
            self._add(caches_module.keys_of_allocation(obj))

    async def run(self) -> None:
        """Work until cancelled, starting with everything there is."""
        self.everything()
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    # --- events ---------------------------------------------------------------------------------

    def _mark(self, store: Store, keys_of: caches_module.KeysOf) -> None:
        def changed(change: Change) -> None:
            for obj in (change.old, change.new):
                if obj is not None:
                    self._add(keys_of(obj))

        store.subscribe(changed)

    def _add(self, keys: list[str]) -> None:
        for key in keys:
            self._queue.add(key)

    def _allocation_changed(self, change: Change) -> None:
        ledger = self._snapshots.ledger
        for obj in (change.old, change.new):
            if obj is not None:
                self._add(caches_module.keys_of_allocation(obj))
        if change.new is not None:
            held = parse_allocation(change.new)
            ledger.bind(held.address, held.holder.uid)
        elif change.old is not None:
            ledger.release(parse_allocation(change.old).address)
            self._add(sorted(self._refused))

    def _namespace_changed(self, change: Change) -> None:
        labels = [metadata(obj or {}).get("labels") for obj in (change.old, change.new)]
        if change.old is not None and labels[0] == labels[1]:
            return
        for obj in self._caches.services:
            if metadata(obj)["namespace"] == change.key:
                self._add(caches_module.keys_of_service(obj))

    def _agent_changed(self, change: Change) -> None:
        self._snapshots.agents_changed()
        self._add(sorted(self._waiting))

    # --- work -----------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._settle(key)
                self._queue.succeeded(key)
            except errors.Conflict as conflict:
                log.debug("%s", conflict, extra={"key": _log_key(key)})
                self._queue.retry(key)
            except errors.LbctlError as error:
                log.warning("%s", error, extra={"key": _log_key(key)})
                self._queue.retry(key)
            except Exception:
                # One bad Service must never stop the others; the trace says which and why.
                log.exception("pass failed", extra={"key": _log_key(key)})
                self._queue.retry(key)
            finally:
                self._queue.done(key)

    async def _settle(self, key: str) -> None:
        for _ in range(ROUNDS):
            view = self._snapshots.view(key)
            if view.service is None and await self._exists_after_all(key, view):
                continue
            now = datetime.datetime.now(tz=datetime.UTC)
            plan = order.plan_service(view, now)
            self._remember(key, view, plan, now)
            if not plan.steps:
                return
            urgent = tuple(step for step in plan.steps if not isinstance(step, _PATIENT))
            if not urgent and self._gives_way(key):
                return
            await self._act(urgent or plan.steps)
            if any(isinstance(step, _VANISHING) for step in plan.steps):
                return  # the watch tells when it is gone, and marks the key again
        log.error("plan does not settle: %s", plan.steps, extra={"key": _log_key(key)})
        self._queue.retry(key)

    def _remember(self, key: str, view: View, plan: order.Plan, now: datetime.datetime) -> None:
        _keep(self._waiting, key, wanted=plan.waiting)
        refused = any(isinstance(offer, Refused) for offer in view.offers.values())
        _keep(self._refused, key, wanted=refused)
        if plan.wake_at is not None:
            self._queue.add_after(key, (plan.wake_at - now).total_seconds())

    def _gives_way(self, key: str) -> bool:
        """Tell whether what is left to write for a key is put off: others wait for addresses.

        The status of a decision is read by people only, and in a burst of births it would cost
        the API server a fifth of all writes.
        """
        times = self._gave_way.pop(key, 0)
        if self._queue.load <= BUSY or times >= GIVE_WAY_TIMES:
            return False
        self._gave_way[key] = times + 1
        self._queue.add_after(key, GIVE_WAY_S)
        return True

    async def _act(self, todo: tuple[steps.Step, ...]) -> None:
        claimed = [step.allocation for step in todo if isinstance(step, steps.CreateAllocation)]
        for allocation in claimed:
            # From now on no other pass may be offered it, though the API does not know yet.
            self._snapshots.ledger.bind(allocation.address, allocation.holder.uid)
        try:
            results = await asyncio.gather(
                *(self._executor.execute(step) for step in todo), return_exceptions=True
            )
        finally:
            for allocation in claimed:
                self._settle_claim(allocation)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _settle_claim(self, allocation: Allocation) -> None:
        """Make the ledger say what the cache says about an address that was claimed."""
        obj = self._caches.allocations.get(allocation.name)
        if obj is None:
            self._snapshots.ledger.release(allocation.address)
        else:
            holder = parse_allocation(obj).holder.uid
            self._snapshots.ledger.bind(allocation.address, holder)

    async def _exists_after_all(self, key: str, view: View) -> bool:
        """Ask the server itself before anything is taken down for a Service that is gone."""
        if view.decision is None and not view.allocations:
            return False
        obj = await self._live_service(key)
        if obj is None or uid_of(obj) not in _uids(view):
            return False
        self._caches.services.wrote(obj)
        if self._caches.services.get(key) is None:
            raise errors.Unavailable(f"Service {key} exists but the watch has not shown it yet")
        return True

    async def _live_service(self, key: str) -> Json | None:
        namespace, name = key.split("/")
        try:
            return await self._api.get(resources.SERVICES, name, namespace)
        except errors.NotFound:
            return None


_PATIENT = steps.WriteDecisionStatus
_VANISHING = (steps.DeleteDecision, steps.ReleaseAllocation)


def _keep(keys: set[str], key: str, *, wanted: bool) -> None:
    if wanted:
        keys.add(key)
    else:
        keys.discard(key)


def _uids(view: View) -> set[str]:
    held = {entry.holder.uid for entry in view.allocations}
    if view.decision is not None:
        held.add(view.decision.virtual_service.service.uid)
    return held


def _log_key(key: str) -> str:
    return records.log_key(*key.split("/", 1))
