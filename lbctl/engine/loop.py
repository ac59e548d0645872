"""One pass per dirty key: view, plan, do, look again until nothing is left to do."""

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable

from lbctl.engine import awaited, doubts, executor, pace, snapshot, turns
from lbctl.engine import caches as caches_module
from lbctl.engine.caches import Caches
from lbctl.kube import client
from lbctl.kube.objects import Json, metadata
from lbctl.kube.store import Change, Store
from lbctl.model import errors
from lbctl.model.allocation import Allocation, parse_allocation
from lbctl.model.reasons import Refused
from lbctl.plan import order, records, steps, terms
from lbctl.plan.view import View
from lbctl.runtime.workqueue import WorkQueue
from lbctl.translate.policies import translate_policy
from lbctl.translate.serving_nodes import is_relay, parse_agent

log = logging.getLogger(__name__)

WORKERS = 32
"""Keys worked on at a time: each mostly waits for the API server."""
ON_ITS_WAY_S = 1.0
"""A state that an acknowledgement is about to change is written when it lasts for so long."""
CONGESTED_S = 0.04
"""Writes that take so long, where 5 ms is usual, compete with those of others for the server."""
TURN_S = 0.02
"""An address is left for so long, again and again, to who waits longer."""
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
        watched: Callable[[Awaitable[None]], Awaitable[None]] = lambda work: work,
    ) -> None:
        self._caches = known
        self._snapshots = snapshots
        self._executor = acts
        self._watched = watched
        """Awaits each pass, and may look at the clock."""
        self._queue = WorkQueue()
        self._awaited = awaited.Awaited()
        self._refused: set[str] = set()
        """Keys that lack an address."""
        self._turns = turns.Turns()
        self._pace = pace.Pace()
        self._doubts = doubts.Doubts(api, known)
        self._write_s = 0.0
        """What writes took lately."""
        self._on_its_way: dict[str, float] = {}
        """Since when keys have had nothing but a state on its way to write."""

    @property
    def queue_depth(self) -> int:
        """Return how many keys wait for a pass."""
        return len(self._queue)

    @property
    def refused_count(self) -> int:
        """Return how many Services could be given no address."""
        return len(self._refused)

    def listen(self) -> None:
        """Mark keys dirty on every change of what decisions are made from."""
        on = self._caches
        self._mark(on.services, caches_module.keys_of_service)
        self._mark(on.slices, caches_module.keys_of_slice)
        self._mark(on.decisions, caches_module.keys_of_decision)
        on.allocations.subscribe(self._allocation_changed)
        on.address_pools.subscribe(self._pool_changed)
        on.policies.subscribe(self._policy_changed)
        on.serving_nodes.subscribe(self._agent_changed)
        on.fabrics.subscribe(lambda change: self.everything())
        on.namespaces.subscribe(self._namespace_changed)

    def everything(self) -> None:
        """Mark every key dirty: an agent came or went, a Fabric changed, we lead now."""
        self._snapshots.agents_changed()
        for obj in turns.in_order(self._caches.services):
            self._add(caches_module.keys_of_service(obj))
        for obj in self._caches.decisions:
            self._add(caches_module.keys_of_decision(obj))
        for obj in self._caches.allocations:
            self._add(caches_module.keys_waiting_for(obj))

    def look_at(self, key: str) -> None:
        """Mark one key dirty: something outside of the caches changed."""
        self._add([key])

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
                self._add(caches_module.keys_waiting_for(obj))
        if change.new is not None:
            ledger.put(parse_allocation(change.new))
        elif change.old is not None:
            ledger.remove(parse_allocation(change.old).address)
        if change.old is not None:  # an address, or a port of a shared one, may be free
            self._call()

    def _call(self) -> None:
        """Look at who waits for an address, the longest waiting first."""
        self._add(self._turns.call())

    def _pool_changed(self, change: Change) -> None:
        self._snapshots.pools_changed()
        parts = [
            (obj["spec"], metadata(obj).get("labels")) for obj in (change.old, change.new) if obj
        ]
        if len(parts) == 1 or parts[0] != parts[1]:  # else it is its counters that moved
            self._call()

    def _policy_changed(self, change: Change) -> None:
        known = [obj for obj in (change.old, change.new) if obj is not None]
        counting = [(found.counting, found.targets) for found in map(translate_policy, known)]
        if len(known) == 1 or counting[0] != counting[1]:  # else it is its status that moved
            for obj in known:
                self._add(caches_module.keys_of_policy(obj))

    def _namespace_changed(self, change: Change) -> None:
        self._add(self._caches.keys_of_relabelled(change))

    def _agent_changed(self, change: Change) -> None:
        before, now = (_excluded(obj) for obj in (change.old, change.new))
        if before != now or self._moves_members(change):
            self.everything()  # who counts as a member, and is waited for, is another now
            return
        self._snapshots.agents_changed()
        states = [parse_agent(obj, live=True) if obj else None for obj in (change.old, change.new)]
        self._add(self._awaited.moved_by(*states))
        self._add(awaited.keys_of_failures(*states))

    def _moves_members(self, change: Change) -> bool:
        """Tell whether relays serve other members now, or another node has become one."""
        before, now = (_relay(obj) for obj in (change.old, change.new))
        appears = (change.old is None) is not (change.new is None)
        return before != now or (appears and bool(self._snapshots.crew.relays))

    # --- work -----------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._watched(self._settle(key))
                self._queue.succeeded(key)
            except errors.Conflict as conflict:
                log.debug("%s", conflict, extra={"key": _log_key(key)})
                self._again(key)
            except errors.LbctlError as error:
                log.warning("%s", error, extra={"key": _log_key(key)})
                self._again(key)
            except Exception:
                # One bad Service must never stop the others; the trace says which and why.
                log.exception("pass failed", extra={"key": _log_key(key)})
                self._again(key)
            finally:
                self._queue.done(key)

    def _again(self, key: str) -> None:
        self._turns.came(key)  # nobody waits for one that fails
        self._queue.retry(key)

    async def _settle(self, key: str) -> None:
        asked: set[str] = set()
        said = _said(self._caches.services.get(key))
        for _ in range(ROUNDS):
            self._queue.seen(key)
            view = self._snapshots.view(key)
            if await self._doubts.learns(view, asked):
                continue
            now = datetime.datetime.now(tz=datetime.UTC)
            plan = order.plan_service(view, now)
            if doubts.takes_away(view, plan) and await self._doubts.is_outdated(key, view):
                continue
            if self._must_wait(key, view, plan):
                return
            self._remember(key, view, plan, now)
            if not plan.steps:
                self._on_its_way.pop(key, None)
                return
            urgent = tuple(step for step in plan.steps if not steps.is_patient(step))
            if not urgent and (self._is_on_its_way(key, plan) or self._queue.put_off(key)):
                return
            todo = self._paced(key, urgent or plan.steps)
            if not todo:
                return
            await self._act(key, todo)
            if any(isinstance(step, _VANISHING) for step in plan.steps):
                return  # the watch tells when it is gone, and marks the key again
        if _said(self._caches.services.get(key)) == said:
            log.error("plan does not settle: %s", plan.steps, extra={"key": _log_key(key)})
        self._queue.retry(key)  # who changes faster than it is written about waits, too

    def _must_wait(self, key: str, view: View, plan: order.Plan) -> bool:
        """Tell whether a new address is to be left for now: somebody waits longer for one."""
        self._turns.came(key)
        claims = any(
            isinstance(step, steps.CreateAllocation) and not step.allocation.resource_version
            for step in plan.steps
        )
        if not claims or view.service is None:
            return False
        if not self._turns.comes_later(key, turns.rank(view.service)):
            return False
        self._queue.add_after(key, TURN_S)
        return True

    def _paced(self, key: str, todo: tuple[steps.Step, ...]) -> tuple[steps.Step, ...]:
        """Return what may be done now of what others may be undoing again and again."""
        now = asyncio.get_running_loop().time()
        waits = [self._pace.wait_s(key, step, now) for step in todo]
        if any(waits):
            self._queue.add_after(key, min(filter(None, waits)))
        return tuple(step for step, wait_s in zip(todo, waits, strict=True) if not wait_s)

    def _remember(self, key: str, view: View, plan: order.Plan, now: datetime.datetime) -> None:
        self._await(key, view, wanted=plan.waiting)
        held = {entry.address.version for entry in view.allocations}
        lacks = [f for f, offer in view.offers.items() if isinstance(offer, Refused)]
        _keep(self._refused, key, wanted=any(family not in held for family in lacks))
        service = view.service
        if service is not None and (lacks or terms.refusals(view, service)):
            self._turns.wait(key, turns.rank(service))
        else:
            self._turns.leave(key)
        if service is None and not plan.steps:
            self._pace.forget(key)
        if plan.wake_at is not None:
            self._queue.add_after(key, (plan.wake_at - now).total_seconds())
        if view.settling:
            self._queue.add_after(key, snapshot.SETTLING_S)

    def _await(self, key: str, view: View, *, wanted: bool) -> None:
        if not wanted:
            self._awaited.leave(key)
            return
        decision = view.decision.spec_version if view.decision is not None else 0
        self._awaited.wait(key, decision, view.slices_version)
        if view.agents is not self._snapshots.agents:
            self._queue.add(key)  # one has come further since, when nobody knew that this waits

    def _is_on_its_way(self, key: str, plan: order.Plan) -> bool:
        """Tell whether what is left to write would be wrong in a moment: an agent is at it."""
        if not plan.waiting:
            self._on_its_way.pop(key, None)
            return False
        now = asyncio.get_running_loop().time()
        left_s = self._on_its_way.setdefault(key, now) + ON_ITS_WAY_S - now
        if left_s > 0:
            self._queue.add_after(key, left_s)
        return left_s > 0

    async def _act(self, key: str, todo: tuple[steps.Step, ...]) -> None:
        claimed = [step.allocation for step in todo if isinstance(step, steps.CreateAllocation)]
        for allocation in claimed:
            # From now on no other pass may be offered it, though the API does not know yet.
            self._snapshots.ledger.put(allocation)
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            results = await asyncio.gather(
                *(self._executor.execute(step) for step in todo), return_exceptions=True
            )
        finally:
            self._write_s += (clock() - began - self._write_s) / 8
            self._queue.congested = self._write_s > CONGESTED_S
            for allocation in claimed:
                self._settle_claim(allocation)
        for step, result in zip(todo, results, strict=True):
            if not isinstance(result, BaseException):
                self._pace.wrote(key, step, clock())
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _settle_claim(self, allocation: Allocation) -> None:
        """Make the ledger say what the cache says about an address that was claimed."""
        obj = self._caches.allocations.get(allocation.name)
        if obj is None:
            self._snapshots.ledger.remove(allocation.address)
        else:
            self._snapshots.ledger.put(parse_allocation(obj))


_VANISHING = (steps.DeleteDecision, steps.ReleaseAllocation)


def _keep(keys: set[str], key: str, *, wanted: bool) -> None:
    if wanted:
        keys.add(key)
    else:
        keys.discard(key)


def _said(service: Json | None) -> tuple[object, ...]:
    """Return what users say in a Service."""
    meta = metadata(service) if service is not None else {}
    spec = (service or {}).get("spec")
    return spec, meta.get("annotations"), meta.get("labels"), meta.get("deletionTimestamp")


def _excluded(serving_node: Json | None) -> str:
    return str(((serving_node or {}).get("spec") or {}).get("excluded") or "")


def _relay(serving_node: Json | None) -> bool:
    return is_relay((serving_node or {}).get("spec") or {})


def _log_key(key: str) -> str:
    return records.log_key(*key.split("/", 1))
