"""The only place where the controller is wired together."""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path

from lbctl.engine import (
    events,
    executor,
    loop,
    metrics,
    name_claims,
    outside,
    policies,
    pools,
    snapshot,
    withdrawal,
    zones,
)
from lbctl.engine.caches import Caches
from lbctl.engine.liveness import Liveness
from lbctl.ipam.port import ExternalIpam
from lbctl.ipam.resolve import Resolved
from lbctl.kube import client, config
from lbctl.kube.leases import Lock, LockTimes
from lbctl.model import reverse
from lbctl.model.errors import Misconfigured
from lbctl.model.hostnames import AtZero
from lbctl.plan.hostnames import Naming
from lbctl.runtime import endpoint, reload
from lbctl.runtime import metrics as common
from lbctl.settings import Settings
from lbctl.translate import zones as zone_basis
from lbctl.translate.hostnames import suffix_rules
from lbctl.translate.namespaces import scope_of
from lbctl.translate.pools import configured_pools, mirrors
from lbctl.translate.service import Ownership

log = logging.getLogger(__name__)


class Controller:
    """All rooms of one controller process, wired."""

    def __init__(self, settings: Settings, api: client.Client, kept: metrics.Metrics) -> None:
        self.settings = settings
        self.api = api
        self.kept = kept
        self.known = Caches()
        self.recorder = events.Recorder(api)
        self.lock = _lock(settings, api)
        self._liveness = Liveness()
        self.known.leases.subscribe(self._liveness.seen)
        clock = asyncio.get_running_loop().time
        rules = rules_of(settings)
        self._snapshots = snapshot.Snapshots(self.known, self._liveness, rules, clock)
        self._executor = executor.Executor(api, self.known, self.recorder, settings.controller)
        self.decisions = loop.Loop(
            api, self.known, self._snapshots, self._executor, lambda work: kept.timed(work, clock)
        )
        self.names = name_claims.NameClaims(self.known, self._snapshots, self.decisions.look_at)
        self._snapshots.rivals = self.names.rivals
        self.pool_objects = pools.PoolObjects(api, self.known, self._snapshots, self.recorder)
        self.policy_objects = policies.PolicyObjects(
            api, self.known, self._snapshots, self.recorder
        )
        self.zone_objects = zones.ZoneObjects(api, self.known)
        self.outside = outside.Outside(api, self.known, self._snapshots, self.decisions.look_at)
        self.outside.cluster = settings.lbctl.cluster_name
        self.outside.ipams = _ipams(settings)
        self._liveness.subscribe(self.decisions.everything)
        self._liveness.subscribe(self.policy_objects.changed)
        kept.show(self, clock)

    @property
    def leads(self) -> bool:
        """Tell whether this process holds the Lease."""
        return self.lock.held_for_s() > 0

    @property
    def resolved(self) -> Resolved:
        """Return which pools give addresses now, and why what others say does not count."""
        return self._snapshots.resolved

    @property
    def queue_depth(self) -> int:
        """Return how many Services wait for a pass."""
        return self.decisions.queue_depth

    @property
    def refused_count(self) -> int:
        """Return how many Services could be given no address."""
        return self.decisions.refused_count if self.leads else 0

    @property
    def events_dropped(self) -> int:
        """Return how many events were not sent."""
        return self.recorder.dropped

    def is_live(self, node: str) -> bool:
        """Tell whether the agent of a node is alive."""
        return self._liveness.live(node)

    async def serve(self) -> None:
        """Serve health checks and metrics until cancelled."""
        settings = self.settings.metrics
        text = self.kept.text if settings.enabled else None
        routes = endpoint.routes(self._ready, endpoint.well, text, common.CONTENT_TYPE)
        await endpoint.Endpoint(routes).run(settings.port)

    async def _ready(self) -> str:
        # Whoever waits for the Lease with full caches is as ready as who holds it.
        return "" if self.known.is_synced else "the caches are not filled yet: no API server?"

    def apply(self, settings: Settings) -> None:
        """Let new settings count from now on; what they change is decided again."""
        self._snapshots.rules = rules_of(settings)
        self._snapshots.pools_changed()
        stopped = settings.lbctl.delete_config == "true"
        self.pool_objects.mirror({} if stopped else mirrors(settings.pools))
        self.outside.ipams = _ipams(settings)
        self._executor.fabric_names = settings.controller
        self.recorder.normal = settings.lbctl.enable_events
        self.settings = settings
        self._serve_zones()
        if settings.lbctl.delete_config == "dryRun":
            log.info("deleteConfig: %s", withdrawal.dry_run(self.known))
        self.names.everything()
        self.policy_objects.changed()
        self.decisions.everything()

    def _serve_zones(self) -> None:
        """Have a Zone object for each zone, those of the pools' addresses included."""
        settings = self.settings
        if settings.lbctl.delete_config == "true":
            self.zone_objects.serve((), "")
            return
        wanted = settings.nameservice.reverse and bool(settings.zones)
        pools = self._snapshots.resolved.pools if wanted else ()
        ranges = [one for pool in pools for one in pool.given]
        origins = (*settings.zones, *reverse.zones_of(ranges))
        self.zone_objects.serve(origins, zone_basis.basis(settings))

    async def follow(self) -> None:
        """Decide whenever this process leads; returns only by cancellation."""
        self.names.listen()
        self.decisions.listen()
        self.pool_objects.listen()
        self.policy_objects.listen()
        self.zone_objects.listen()
        self.known.address_pools.subscribe(lambda change: self._serve_zones())
        await lead(self.lock, self._work)

    async def _work(self) -> None:
        """Decide, look at everything now and then, report on a withdrawal if there is one."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.decisions.run())
            group.create_task(self.pool_objects.run())
            group.create_task(self.policy_objects.run())
            group.create_task(self.zone_objects.run())
            group.create_task(self.outside.run())
            group.create_task(self._full_sync())
            group.create_task(self._report_withdrawal())

    async def _full_sync(self) -> None:
        last = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(1)
            now = asyncio.get_running_loop().time()
            period_s = self.settings.lbctl.full_sync_frequency
            if period_s and now - last >= period_s:
                last = now
                self.decisions.everything()

    async def _report_withdrawal(self) -> None:
        reported = False
        while True:
            stopped = self.settings.lbctl.delete_config == "true"
            if stopped and not reported:
                lease = self.settings.lease
                await withdrawal.until_done(self.api, self.known, (lease.namespace, lease.name))
            reported = stopped
            await asyncio.sleep(1)


async def run_controller(
    settings: Settings, kubeconfig: Path | None, config_path: Path | None = None
) -> None:
    """Watch, wait for the Lease, decide while it is held; returns only by cancellation.

    Changes of the settings file at `config_path` take effect while running.
    """
    kept = metrics.Metrics()
    async with client.Client(config.load(kubeconfig), observer=kept.calls) as api:
        controller = Controller(settings, api, kept)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(controller.serve())
                controller.known.feed(api, group, settings.lease.namespace)
                group.create_task(controller.recorder.run())
                await controller.known.synced()
                controller.apply(settings)
                group.create_task(reload.follow(config_path, settings, controller.apply))
                await controller.follow()
        finally:
            await asyncio.shield(controller.lock.release())


async def run_uninstall(
    settings: Settings, kubeconfig: Path | None, *, dry_run: bool, deployment: str
) -> None:
    """Withdraw everything lbctl made and return when nothing is left.

    `deployment` names the controller's Deployment in the Lease's namespace; it is scaled to zero
    first, because only one may decide. Agents and DNS must still run: they acknowledge.
    """
    everything = settings.lbctl.model_copy(update={"delete_config": "true"})
    settings = settings.model_copy(update={"lbctl": everything})
    async with client.Client(config.load(kubeconfig)) as api:
        controller = Controller(settings, api, metrics.Metrics())
        try:
            async with asyncio.TaskGroup() as group:
                controller.known.feed(api, group, settings.lease.namespace)
                await controller.known.synced()
                print(f"uninstall: {withdrawal.dry_run(controller.known)}", flush=True)
                if not dry_run:
                    await _scale_to_zero(api, settings.lease.namespace, deployment)
                    await _withdraw(controller, group)
                raise _Finished
        except* _Finished:
            pass
        finally:
            await asyncio.shield(controller.lock.release())


class _Finished(Exception):
    pass


async def _withdraw(controller: Controller, group: asyncio.TaskGroup) -> None:
    await controller.lock.acquire()
    controller.decisions.listen()
    controller.pool_objects.listen()
    controller.zone_objects.listen()
    group.create_task(controller.lock.keep())
    group.create_task(controller.decisions.run())
    group.create_task(controller.pool_objects.run())
    group.create_task(controller.zone_objects.run())
    group.create_task(controller.outside.run())
    lease = controller.settings.lease
    await withdrawal.until_done(controller.api, controller.known, (lease.namespace, lease.name))


async def _scale_to_zero(api: client.Client, namespace: str, deployment: str) -> None:
    if not deployment:
        return
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}/scale"
    found = await api.raw("GET", path)
    found["spec"]["replicas"] = 0
    await api.raw("PUT", path, body=found)


def rules_of(settings: Settings) -> snapshot.Rules:
    """Return what decisions depend on, from the settings. Raises Misconfigured."""
    try:
        pools = configured_pools(settings.pools)
    except ValueError as error:
        raise Misconfigured(f"addressPools: {error}") from error
    return snapshot.Rules(
        pools=pools,
        ownership=Ownership(settings.l4.load_balancer_class, settings.l4.default_lb_controller),
        naming=naming_of(settings),
        scope=scope_of(settings.lbctl),
        stopped=settings.lbctl.delete_config == "true",
    )


def naming_of(settings: Settings) -> Naming:
    """Return what names are made of, from the settings."""
    wanted, zones = settings.nameservice, tuple(zone.rstrip(".") for zone in settings.zones)
    servers = range(1, max(1, len(wanted.ns_addresses)) + 1)
    own = {f"ns{number}.{zone}" for zone in zones for number in servers}
    return Naming(
        cluster=settings.lbctl.cluster_name,
        subdomain=settings.domain,
        ttl_s=wanted.ttl,
        empty_grace_s=wanted.empty_grace,
        flat=settings.l4.auto_fqdn == "flat",
        zones=zones,
        reserved=frozenset({*zones, *own, wanted.soa.mname.rstrip(".")} - {""}),
        ttl_bounds_s=(wanted.min_ttl, wanted.max_ttl),
        opt_in=wanted.opt_in,
        suffixes=suffix_rules(wanted.suffixes),
        at_zero=AtZero(wanted.at_zero),
        owner_records=wanted.owner_records,
        reverse=wanted.reverse,
    )


def _ipams(settings: Settings) -> dict[str, ExternalIpam]:
    """Return the external IPAMs that pools name; their client is loaded when there is one."""
    named = [pool for pool in settings.pools if pool.external.url]
    if not named:
        return {}
    from lbctl.drivers import http_ipam

    return {
        pool.name: http_ipam.HttpIpam(pool.external.url, pool.external.token_file) for pool in named
    }


def _lock(settings: Settings, api: client.Client) -> Lock:
    identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
    place = (settings.lease.namespace, settings.lease.name)
    times = LockTimes(settings.lease.duration, settings.lease.renew)
    return Lock(api, place, identity, times)


async def lead(lock: Lock, work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Decide whenever the Lease is ours, and at no other time; raises what deciding raises."""
    while True:
        await lock.acquire()
        log.info("this process leads")
        working = asyncio.ensure_future(work())
        keeping = asyncio.ensure_future(lock.keep())
        try:
            await asyncio.wait((working, keeping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            keeping.cancel()
            working.cancel()
            results = await asyncio.gather(working, keeping, return_exceptions=True)
        for result in results:
            # A leader that can't decide must not keep the Lease: the process ends, another leads.
            if isinstance(result, Exception):
                raise result
        log.warning("another process may lead now: decisions stop here")
