"""The feed process: watches L4VirtualServices, keeps the workers current.

The table outlives everything: a lost watch holds it, a restart serves it from disk until the API
has been read. Only before a first complete read without a snapshot are denials SERVFAIL, because
resolvers would remember an NXDOMAIN and ask another server after a SERVFAIL.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lbctl.kube import client, config, reflector, resources, store
from lbctl.kube.objects import Json
from lbctl.runtime import reload
from lbctl.settings import Settings
from lbctl_dns import (
    configured,
    contents,
    cookies,
    crew,
    decisions,
    declared_pools,
    frames,
    handover,
    journal,
    limit,
    listening,
    metrics,
    names,
    primary,
    publications,
    secondaries,
    snapshot,
    table,
    vitals,
    zone,
)

log = logging.getLogger(__name__)

SAVE_EVERY_S = 2.0
SERIAL_RESERVE = 5000
"""More changes than happen between two snapshots: a restart goes on beyond them."""
ABSENT_S = 30.0
"""Time for the leader to make an object again that a whole list lacks; then its names go."""
RESTORED = "restored from disk"
"""The owner of what a snapshot held, until the API says more."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run, apart from what to serve."""

    places: tuple[listening.Place, ...]
    workers: int
    state_dir: Path | None
    """Where the snapshot lies; None keeps none."""
    config: Path | None = None
    """The settings file to follow."""
    settings: Settings = field(default_factory=Settings)
    """What it said at the start."""

    @property
    def limits(self) -> limit.Rules | None:
        """Return how many equal answers one network gets; None: any number."""
        return configured.rate_limit(self.settings.nameservice)


class Cache(store.Store):
    """A Store that tells whether an object went by a watch event or is missing from a list."""

    def __init__(self) -> None:
        super().__init__(transform=decisions.slim)
        self.listing = False
        self.arrived_s: float | None = None
        """When the watch event that is being taken came, by `time.monotonic`."""
        self.heard: Callable[[], None] = lambda: None
        """Called whenever the API server said something, be it that there is nothing new."""

    def replace(self, objects: Iterable[Json], resource_version: int) -> None:
        """Take a whole list."""
        self.listing = True
        try:
            super().replace(objects, resource_version)
        finally:
            self.listing = False
        self.heard()

    def apply(self, kind: str, obj: Json) -> None:
        """Take one watch event."""
        self.arrived_s = time.monotonic()
        try:
            super().apply(kind, obj)
        finally:
            self.arrived_s = None
        self.heard()


class ClusterFeed:
    """The published names of one cluster."""

    def __init__(
        self,
        zones: tuple[zone.Zone, ...],
        path: Path | None,
        plan: primary.Plan = primary.ALONE,
        *,
        style: contents.Style = contents.PLAIN,
        absent_s: float = ABSENT_S,
    ) -> None:
        first = zone.later_serial(0, int(time.time()))
        self._authority = zone.Authority(zones, {one.origin: first for one in zones})
        self._publications = publications.Publications(self._authority, style)
        self._path = path
        self._absent_s = absent_s
        self._settings: Settings | None = None
        self.pools = declared_pools.DeclaredPools(self._pools_moved)
        """Whose addresses have names."""
        self.cache = Cache()
        """What the API says; feed it and everything follows."""
        self.cache.subscribe(self._changed)
        self._unsaved = asyncio.Event()
        self._send: Callable[[frames.Transaction], None] = lambda _: None
        self._tell: Callable[[bytes], None] = lambda _: None
        self.primary = primary.Primary(plan)
        """What secondaries get."""
        self._complete = False
        self._restored = False
        self._past_serials: dict[bytes, int] = {}
        """The last serials of zones that we had: one that comes back goes on from there."""
        self._saved = self._load()
        self._restore()
        self.kept = metrics.Metrics()
        self.cache.heard = self.kept.calls.heard

    def age_s(self) -> float:
        """Return how old the names may be."""
        return self.kept.calls.age_s()

    def apply(self, settings: Settings) -> None:
        """Follow these settings from now on. Raises Misconfigured: all stays then."""
        zones, plan = configured.zones(settings, self.pools.all), secondaries.plan(settings)
        self._admit(plan)
        self.serve(zones, configured.style(settings))
        self._settings = settings

    def _current(self) -> Settings:
        return self._settings or Settings()

    def _admit(self, plan: primary.Plan) -> None:
        """Serve these secondaries from now on."""
        if plan != self.primary.plan:
            self.primary.configure(plan, self._contents)
            self._tell(plan.rendered)

    def _pools_moved(self) -> None:
        """Serve the zones of the pools of this moment; a whole list of pools is one change."""
        if self._settings is not None:
            asyncio.get_running_loop().call_soon(self._serve_zones, self._settings)

    def _serve_zones(self, settings: Settings) -> None:
        # Not `apply`: pools move often, and the keys of secondaries are files to read.
        self.serve(configured.zones(settings, self.pools.all), configured.style(settings))

    def serve(self, zones: tuple[zone.Zone, ...], style: contents.Style = contents.PLAIN) -> None:
        """Serve these zones, as one change; serials of those that stay go on."""
        before = self._authority
        if zones == before.zones and style == self._publications.style:
            return
        self._past_serials |= before.serials
        first = zone.later_serial(0, int(time.time()))
        serials = {one.origin: self._past_serials.get(one.origin, first) for one in zones}
        self._authority = zone.Authority(zones, serials)
        self._publications = self._publications.moved(self._authority, style)
        if not self._complete:
            self._show_saved()
        self._authority.raise_unlike(before, int(time.time()))
        self._show_all()
        shown = ", ".join(names.to_text(one.origin) for one in zones[:8])
        log.info("%d zones now: %s", len(zones), shown)
        outside = self._publications.outside()
        if outside:
            first_few = ", ".join(outside[:8])
            log.warning(
                "%d names lie in none of them, so not published: %s", len(outside), first_few
            )

    @property
    def serials(self) -> dict[bytes, int]:
        """Return the serial of each zone by its origin."""
        return self._authority.serials

    @property
    def name_count(self) -> int:
        """Return how many names are published."""
        return self._authority.name_count

    @property
    def held_count(self) -> int:
        """Return of how many vanished objects names stay."""
        return len(self._publications.held)

    @property
    def is_known(self) -> bool:
        """Tell whether denials are true: all names were read, or restored."""
        return self._complete or self._restored

    def whole(self) -> frames.Transaction:
        """Return everything that is published now."""
        encoded = tuple(table.encode_all(self._authority.contents()))
        return frames.Transaction(encoded, reset=True, loaded=self.is_known)

    def _contents(self) -> tuple[zone.RecordSet, ...]:
        """Return what secondaries may take: nothing while names may be missing."""
        return self._authority.contents() if self.is_known else ()

    def _show_all(self) -> None:
        self._send(self.whole())
        self.primary.show(self._contents)
        self._unsaved.set()

    async def run(self, kubeconfig: Path | None, options: Options) -> None:
        """Serve until cancelled."""
        # First what may be misconfigured: with our sockets open, a predecessor's workers leave.
        cluster = config.load(kubeconfig)
        sockets = await listening.open_all(options.places, options.workers)
        desk, workers_end = handover.pair()
        workers = crew.Crew(sockets, self.whole, options.limits, workers_end)
        self._send = lambda change: workers.send(change, self.cache.arrived_s)
        self._tell = workers.tell
        self._tell(self.primary.plan.rendered)
        self._settings = options.settings
        try:
            async with (
                client.Client(cluster, observer=self.kept.calls) as api,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(workers.run())
                group.create_task(self.primary.run(desk, sockets[0], options.places))
                group.create_task(secondaries.follow(self._current, self._admit))
                group.create_task(cookies.follow(self._current, workers.share))
                watch = reflector.Reflector(api, resources.L4_VIRTUAL_SERVICES, self.cache)
                group.create_task(watch.run())
                pools = reflector.Reflector(api, resources.ADDRESS_POOLS, self.pools.store)
                group.create_task(pools.run())
                group.create_task(self.first_sync())
                group.create_task(self._keep_saved())
                group.create_task(reload.follow(options.config, options.settings, self.apply))
                group.create_task(shown(self, self.kept, workers, options))
        finally:
            self._save_last()

    def _changed(self, change: store.Change) -> None:
        """Take one change of the cache; before the first sync, `first_sync` reads it all."""
        if not self._complete:
            return
        if change.new is None:
            self._gone(change.key, missed=self.cache.listing)
        else:
            self._publish(self._decided(change.key, change.new), change.key)

    def _gone(self, owner: str, *, missed: bool) -> None:
        self._publish(self._publications.deleted(owner), owner)
        if owner not in self._publications.held:
            return
        log.warning("deleted but not withdrawn: its names stay", extra={"key": _log_key(owner)})
        if missed:
            # The withdrawal probably fell into the gap between our watch and this list.
            loop = asyncio.get_running_loop()
            loop.call_later(self._absent_s, self._let_go, owner)

    def _let_go(self, owner: str) -> None:
        self._publish(self._publications.let_go(owner), owner)

    async def first_sync(self) -> None:
        """Replace what was restored by the first complete list, as one change."""
        await self.cache.synced.wait()
        before = {one.key: one for one in self._authority.contents()}
        for obj in self.cache:
            self._decided(str(obj["metadata"]["name"]), obj)
        self._authority.publish(RESTORED, None)
        after = {one.key: one for one in self._authority.contents()}
        self._authority.raise_serials(zone.difference(before, after), int(time.time()))
        self._complete, self._saved = True, ()
        self._show_all()
        log.info("names of %d virtual services are served", len(self.cache))

    def _decided(self, owner: str, obj: Json) -> zone.Change:
        decision = decisions.parse(obj)
        for fault in (*decision.faults, *publications.outside(self._authority, decision)):
            log.warning("not published: %s", fault, extra={"key": _log_key(owner)})
        return self._publications.decided(owner, decision)

    def _publish(self, change: zone.Change, owner: str) -> None:
        if not change:
            return
        now = self._authority.raise_serials(change, int(time.time()))
        upserts = tuple(table.encode(one) for one in now.upserts)
        self._send(frames.Transaction(upserts, now.deletes))
        self.primary.change(now)
        self._unsaved.set()
        log.info("%s", _described(now), extra={"key": _log_key(owner) if owner else ""})

    def _load(self) -> tuple[zone.RecordSet, ...]:
        try:
            return (snapshot.load(self._path) if self._path else None) or ()
        except (snapshot.Damaged, frames.OutOfStep, OSError) as error:
            log.error("no names from disk: %s", error)
            return ()

    def _restore(self) -> None:
        for one in self._saved:
            if one.rtype == zone.SOA:
                serial = int.from_bytes(one.rdatas[0][-20:-16]) + SERIAL_RESERVE
                self._past_serials[one.name] = zone.later_serial(serial, int(time.time()))
        serials = self._authority.serials
        serials |= {key: self._past_serials[key] for key in serials.keys() & self._past_serials}
        self._show_saved()
        if self._path is not None and self._saved:
            self.primary.restore(self._saved, journal.path_beside(self._path))
            self.primary.show(self._contents)

    def _show_saved(self) -> None:
        """Publish what was on disk of the present zones."""
        if not self._saved:
            return
        own = tuple(one for one in self._saved if self._authority.zone_of(one.name) is not None)
        # Not all types: the NS of a zone that is no more would delegate its names to itself.
        rest = tuple(one for one in own if one.rtype in contents.TYPES)
        # A rank after every real one: creation times are digits.
        self._authority.publish(RESTORED, zone.Claim(("~", ""), rest))
        # A zone that was added since is unknown: only a whole restoration may deny names.
        known = {one.name for one in own if one.rtype == zone.SOA}
        self._restored = self._authority.serials.keys() <= known
        log.info("%d record sets from disk are served until the API is read", len(rest))

    async def _keep_saved(self) -> None:
        while self._path is not None:
            await self._unsaved.wait()
            self._unsaved.clear()
            try:
                await asyncio.to_thread(_save, self._state(self._path))
            except OSError as error:
                log.error("names are not saved: %s", error)
            await asyncio.sleep(SAVE_EVERY_S)

    def _save_last(self) -> None:
        if self._path is not None and self._unsaved.is_set():
            try:
                _save(self._state(self._path))
            except OSError as error:
                log.error("names are not saved: %s", error)

    def _state(self, path: Path) -> dict[Path, bytes]:
        # The journal first: without the snapshot that it leads to, it is dropped.
        names_now = snapshot.render(self._authority.contents())
        return {**self.primary.state(journal.path_beside(path)), path: names_now}


def _save(files: dict[Path, bytes]) -> None:
    for path, content in files.items():
        snapshot.save(path, content)


async def shown(
    published: metrics.Published, kept: metrics.Metrics, workers: crew.Crew, options: Options
) -> None:
    """Serve health checks and metrics until cancelled."""
    settings = options.settings.metrics
    await vitals.serve(kept, published, workers, options.places[0], settings)


def _log_key(owner: str) -> str:
    namespace, _, name = owner.partition(".")
    return f"L4LBService/{namespace}/{name}"


def _described(change: zone.Change) -> str:
    shown = [f"+{_set_text(*one.key)}" for one in change.upserts if one.rtype != zone.SOA]
    gone = [f"-{_set_text(*key)}" for key in change.deletes]
    serials = [
        f"serial {int.from_bytes(one.rdatas[0][-20:-16])}"
        for one in change.upserts
        if one.rtype == zone.SOA
    ]
    listed = [*shown, *gone]
    more = [f"and {len(listed) - 8} more"] if len(listed) > 8 else []
    return " ".join([*listed[:8], *more, *serials])


def _set_text(name: bytes, rtype: int) -> str:
    return f"{names.to_text(name)}/{zone.TYPE_NAMES.get(rtype, f'TYPE{rtype}')}"
