"""The only place where the controller is wired together."""

import asyncio
import logging
import secrets
import socket
from pathlib import Path

from lbctl.engine import events, executor, loop, snapshot
from lbctl.engine.caches import Caches
from lbctl.engine.liveness import Liveness
from lbctl.ipam.ranges import parse_pool
from lbctl.kube import client, config
from lbctl.kube.leases import Lock, LockTimes
from lbctl.plan.view import Naming
from lbctl.settings import Settings
from lbctl.translate.service import Ownership

log = logging.getLogger(__name__)


async def run_controller(settings: Settings, kubeconfig: Path | None) -> None:
    """Watch, wait for the Lease, decide while it is held; returns only by cancellation."""
    async with client.Client(config.load(kubeconfig)) as api:
        known = Caches()
        recorder = events.Recorder(api)
        decisions = _wire(settings, api, known, recorder)
        lock = _lock(settings, api)
        try:
            async with asyncio.TaskGroup() as group:
                known.feed(api, group, settings.lease.namespace)
                group.create_task(recorder.run())
                await known.synced()
                decisions.listen()
                await lead(lock, decisions)
        finally:
            await asyncio.shield(lock.release())


def _wire(
    settings: Settings, api: client.Client, known: Caches, recorder: events.Recorder
) -> loop.Loop:
    liveness = Liveness()
    known.leases.subscribe(liveness.seen)
    snapshots = snapshot.Snapshots(known, liveness, rules_of(settings))
    acts = executor.Executor(api, known, recorder, settings.tenant)
    decisions = loop.Loop(api, known, snapshots, acts)
    liveness.subscribe(decisions.everything)
    return decisions


def rules_of(settings: Settings) -> snapshot.Rules:
    """Return what decisions depend on, from the settings."""
    names = settings.nameservice
    return snapshot.Rules(
        pools=[parse_pool(pool.name, pool.addresses) for pool in settings.address_pools],
        ownership=Ownership(settings.services.load_balancer_class, settings.services.default_class),
        naming=Naming(
            cluster=settings.cluster_name,
            subdomain=names.subdomains[0] if names.subdomains else "",
            ttl_s=names.ttl,
            empty_grace_s=names.empty_grace,
        ),
    )


def _lock(settings: Settings, api: client.Client) -> Lock:
    identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
    place = (settings.lease.namespace, settings.lease.name)
    times = LockTimes(settings.lease.duration, settings.lease.renew)
    return Lock(api, place, identity, times)


async def lead(lock: Lock, decisions: loop.Loop) -> None:
    """Decide whenever the Lease is ours, and at no other time; raises what deciding raises."""
    while True:
        await lock.acquire()
        log.info("this process leads")
        working = asyncio.ensure_future(decisions.run())
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
