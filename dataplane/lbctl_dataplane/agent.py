"""The agent: watches, coalesces, lets its role program, saves, and reports. Decides nothing."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lbctl.kube import client, leases, reflector, resources
from lbctl.kube.objects import Json, uid_of
from lbctl.kube.resources import Resource
from lbctl.kube.store import Store
from lbctl.model import errors
from lbctl.model.virtual_service import ServiceRef
from lbctl.runtime import endpoint, reload
from lbctl.runtime import metrics as common
from lbctl.settings import Settings
from lbctl.translate.failing import FailingMember, parse_failing, render_failing
from lbctl_dataplane import decisions, metrics, state_file
from lbctl_dataplane.roles import Role
from lbctl_dataplane.rules.draining import Drain, parse_drains, render_drain
from lbctl_dataplane.serving_node import Identity, Report, Reporter, capped

log = logging.getLogger(__name__)

SETTLE_S = 0.003
"""Events of one cause come together; a pass waits this long for the rest of them."""
LATER_S = 0.5
"""The same for what nobody waits for, such as decisions without members."""
REST, LEAST_REST_S, LONGEST_REST_S = 1.5, 0.02, 0.5
"""Rest after a pass, times its length: a burst becomes few passes and leaves the CPU to others."""
FAILING_AFTER = 3
"""Passes that fail in a row until the cluster is told that nothing can be programmed."""
MESSAGE_CHARS = 500
"""What of a fault's text goes into the status."""
FAILING = "failing"
"""What the state on disk calls members that fail their health monitor, beside objects."""
DRAINING = "draining"
"""The same for members that drain."""
SAVE_SHARE = 0.05
"""Part of the time that may go into writing the state."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between what is done without an event."""

    resync_s: float = 5.0
    """Drift of switch or kernel is repaired at least this often."""
    hold_check_s: float = 15.0
    """The Services of held decisions are asked for this often."""
    backoff_s: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0)
    """Waits after the first, second, … pass in a row that failed; the last one repeats."""


@dataclass(frozen=True, slots=True)
class Options:
    """Who this agent is and where it keeps its state."""

    node: str
    settings: Settings
    pace: Pace = Pace()
    config: Path | None = None
    """The settings file to follow."""

    @property
    def state_path(self) -> Path:
        """Return the file of the last state."""
        return Path(self.settings.agent.state_dir) / f"agent-{self.node}.json"


class Agent:
    """One agent on one machine."""

    def __init__(
        self,
        api: client.Client,
        role: Role,
        options: Options,
        kept: metrics.Metrics | None = None,
    ) -> None:
        self._kept = kept or metrics.Metrics(options.node, role.name)
        self._api = api
        self._role = role
        self._options = options
        self._wake = asyncio.Event()
        services = Store(transform=decisions.trim_service)
        slices = Store(transform=decisions.trim_slice, index=decisions.slice_owners)
        self._stores: dict[Resource, Store] = {
            resources.L4_VIRTUAL_SERVICES: services,
            resources.ENDPOINT_SLICES: slices,
            **role.stores,
        }
        self._restored = False
        self._unsaved = False
        self._save_after = 0.0
        self._passed = False
        """Something was programmed, so what we know is worth keeping."""
        self._failures = 0
        self._failing: tuple[FailingMember, ...] = ()
        self._drains: tuple[Drain, ...] = ()
        self._restore()
        own = options.node if role.name == "node" and not role.relays else ""
        self._later = asyncio.Event()
        self._book = decisions.Book(services, slices, self._wake.set, self._later.set, own)
        self._kept.held = lambda: len(self._book.held())
        for store in self._stores.values():
            store.subscribe(lambda _: self._mark_unsaved())
        identity = Identity(options.node, role.name, role.backend, role.relays)
        self._reporter = Reporter(api, identity, role)
        self._complaint = ""

    def apply(self, settings: Settings) -> None:
        """Let new settings count from the next pass on, which is now."""
        self._role.apply(settings)
        self._wake.set()

    async def run(self) -> None:
        """Run until cancelled; what is programmed stays when we go, and is on disk."""
        try:
            await self._run()
        finally:
            if self._passed and self._unsaved:
                self._book.view()  # what is held since the last pass is to be kept as well
                self._write_state()

    async def _run(self) -> None:
        settings = self._options.settings
        lease = f"lbctl-agent-{self._options.node}"
        async with asyncio.TaskGroup() as tasks:
            for resource, store in self._stores.items():
                tasks.create_task(self._reflector(resource, store).run())
            tasks.create_task(reload.follow(self._options.config, settings, self.apply))
            tasks.create_task(self._role.follow(self._wake.set))
            tasks.create_task(self._wake_when_synced())
            tasks.create_task(self._wake_later())
            tasks.create_task(self._passes())
            tasks.create_task(self._reporter.run())
            tasks.create_task(self._check_holds())
            tasks.create_task(self._serve())
            tasks.create_task(
                leases.heartbeat(
                    self._api,
                    settings.lease.namespace,
                    lease,
                    self._options.node,
                    settings.agent.liveness_seconds,
                )
            )

    async def _serve(self) -> None:
        """Serve health checks and metrics until cancelled."""
        settings = self._options.settings.metrics
        text = self._kept.text if settings.enabled else None
        routes = endpoint.routes(self._kept.ready, endpoint.well, text, common.CONTENT_TYPE)
        await endpoint.Endpoint(routes).run(settings.agent_port)

    def _reflector(self, resource: Resource, store: Store) -> reflector.Reflector:
        # Of Nodes an agent needs its own only, unless it asks others for their members.
        alone = resource is resources.NODES and not self._role.relays
        own = f"metadata.name={self._options.node}" if alone else ""
        return reflector.Reflector(self._api, resource, store, field_selector=own)

    def _restore(self) -> None:
        objects = state_file.load(self._options.state_path)
        if objects is None:
            return
        for resource, store in self._stores.items():
            store.replace(objects.get(resource.plural, ()), 0)
            store.synced.clear()  # known, but not from the server yet
        self._drains = parse_drains(objects.get(DRAINING, ()))
        self._role.restore(parse_failing({FAILING: objects.get(FAILING, ())}), self._drains)
        self._restored = True
        log.info("state of this boot restored: %d decisions", len(self._decision_store()))

    def _decision_store(self) -> Store:
        return self._stores[resources.L4_VIRTUAL_SERVICES]

    def _mark_unsaved(self) -> None:
        self._unsaved = True

    async def _passes(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.pace.resync_s):
                    await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(SETTLE_S)
            if not self._restored and not self._synced():
                continue  # never sweep before everything is known
            began = asyncio.get_running_loop().time()
            await self._pass()
            took_s = asyncio.get_running_loop().time() - began
            await asyncio.sleep(min(max(took_s * REST, LEAST_REST_S), LONGEST_REST_S))

    async def _wake_when_synced(self) -> None:
        for store in self._stores.values():
            await store.synced.wait()
        self._wake.set()

    async def _wake_later(self) -> None:
        while True:
            await self._later.wait()
            await asyncio.sleep(LATER_S)
            self._later.clear()
            self._wake.set()

    def _synced(self) -> bool:
        return all(store.synced.is_set() for store in self._stores.values())

    async def _pass(self) -> None:
        clock = asyncio.get_running_loop().time
        # A state from disk proves nothing about what the server has now, so it is not reported.
        started, synced, view = clock(), self._synced(), self._book.view()
        try:
            done = await self._role.program(view)
        except errors.LbctlError as error:
            self._kept.failed(str(error))
            await self._failed(error)
            return
        self._kept.done(view, done, clock() - started)
        if done.changed:
            took_ms = (clock() - started) * 1000
            log.info(
                "programmed %d changes for %d virtual services in %.0f ms%s",
                done.changed,
                len(view.services),
                took_ms,
                "" if view.concerned else " (repair or local change)",
            )
        self._failures = 0
        self._passed = True
        self._complain(done.complaint)
        if (done.failing, done.drains) != (self._failing, self._drains):
            self._failing, self._drains, self._unsaved = done.failing, done.drains, True
        message = done.complaint[:MESSAGE_CHARS]
        full = Report(view.decisions, view.slices, done.exceptions, False, message, done.failing)
        report = capped(full, view.spec_versions)
        if synced:
            self._report(report, view)
        self._save(clock)

    def _report(self, report: Report, view: decisions.View) -> None:
        last = self._reporter.last_wanted()
        known = last is not None and last == dataclasses.replace(
            report, decisions=last.decisions, slices=last.slices
        )
        if view.awaited or not known or self._reporter.place_differs():
            self._reporter.want(report)
        elif view.concerned:
            self._reporter.want_sometime(report)

    def _complain(self, complaint: str) -> None:
        if complaint and complaint != self._complaint:
            log.error("%s", complaint)
        elif self._complaint and not complaint:
            log.info("mended: %s", self._complaint)
        self._complaint = complaint

    async def _failed(self, error: errors.LbctlError) -> None:
        self._book.concern_again()
        self._failures += 1
        log.error("nothing programmed: %s", error)
        if self._failures >= FAILING_AFTER:
            last = self._reporter.last_wanted() or Report(0, 0)
            message = str(error)[:MESSAGE_CHARS]
            self._reporter.want(dataclasses.replace(last, all_failing=True, message=message))
        waits = self._options.pace.backoff_s
        await asyncio.sleep(waits[min(self._failures, len(waits)) - 1])
        self._wake.set()

    def _save(self, clock: Callable[[], float]) -> None:
        started = clock()
        if not self._unsaved or started < self._save_after:
            return
        self._write_state()
        self._save_after = clock() + (clock() - started) / SAVE_SHARE

    def _write_state(self) -> None:
        self._unsaved = False
        objects: dict[str, list[Json]] = {
            resource.plural: list(store) for resource, store in self._stores.items()
        }
        objects[resources.L4_VIRTUAL_SERVICES.plural] += self._book.held_objects()
        objects[FAILING] = [render_failing(member) for member in self._failing]
        objects[DRAINING] = [render_drain(drain) for drain in self._drains]
        state_file.save(self._options.state_path, objects)

    async def _check_holds(self) -> None:
        """Let go of held decisions whose Service is proved to be gone or another one."""
        await self._decision_store().synced.wait()
        while True:
            for service in self._book.held():
                if await self._is_gone(service.service):
                    log.info("its Service is gone: removing it", extra={"key": service.key})
                    self._book.forget(service.key)
            await asyncio.sleep(self._options.pace.hold_check_s)

    async def _is_gone(self, reference: ServiceRef) -> bool:
        try:
            found = await self._api.get(resources.SERVICES, reference.name, reference.namespace)
        except errors.NotFound:
            return True
        except errors.LbctlError as error:
            log.warning("still held: %s", error, extra={"key": reference.key})
            return False
        return uid_of(found) != reference.uid
