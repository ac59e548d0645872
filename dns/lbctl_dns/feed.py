"""The feed process: watches L4VirtualServices, keeps the workers current.

The table outlives everything: a lost watch holds it, a restart serves it from disk until the API
has been read. Only before a first complete read without a snapshot are denials SERVFAIL, because
resolvers would remember an NXDOMAIN and ask another server after a SERVFAIL.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lbctl.kube import client, config, reflector, resources, store
from lbctl.kube.objects import Json
from lbctl.model.zones import Digests, later_serial
from lbctl.runtime import collector, reload
from lbctl.settings import Settings
from lbctl_dns import (
    cache,
    configured,
    contents,
    cookies,
    crew,
    decisions,
    declared_pools,
    described,
    frames,
    handover,
    journal,
    keeping,
    limit,
    listening,
    metrics,
    names,
    numbering,
    primary,
    publications,
    secondaries,
    table,
    vitals,
    zone,
)

log = logging.getLogger(__name__)

SERIAL_RESERVE = 5000
"""More changes than happen between two snapshots: a restart goes on beyond them."""
PATIENCE_S = 10.0
"""Time for the leader to give a change its serial, which it does within one or two seconds."""
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
        patience_s: float = PATIENCE_S,
    ) -> None:
        first = later_serial(0, int(time.time()))
        self._authority = zone.Authority(zones, {one.origin: first for one in zones})
        self._publications = publications.Publications(self._authority, style)
        self._digests = Digests(map(names.to_host, self._authority.serials), style.basis)
        self._serials = numbering.Serials(self._authority, self._digests)
        self._absent_s, self._patience_s = absent_s, patience_s
        self._settings: Settings | None = None
        self.pools = declared_pools.DeclaredPools(self._pools_moved)
        """Whose addresses have names."""
        self.cache = cache.Cache()
        """What the API says; feed it and everything follows."""
        self.cache.subscribe(self._changed)
        self.zone_objects = store.Store()
        """The serials that the leader gives; the same."""
        self.zone_objects.subscribe(self._told)
        self._copy = keeping.Copy()
        self._keeper = keeping.Keeper(path, self.state)
        self._send: Callable[[frames.Transaction], None] = lambda _: None
        self._tell: Callable[[bytes], None] = lambda _: None
        self.primary = primary.Primary(plan)
        """What secondaries get."""
        self._complete = False
        self._restored = False
        self._past_serials: dict[bytes, int] = {}
        """The last serials of zones that we had: one that comes back goes on from there."""
        self._floors: dict[bytes, int] = {}
        """Serials that secondaries may know: the leader's are taken where they are later."""
        self._saved = keeping.read(path) if path else ()
        self._restore(path)
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
        self._floors |= {origin: before.serials[origin] for origin in self.primary.library.zones}
        first = later_serial(0, int(time.time()))
        serial_of = {one.origin: self._past_serials.get(one.origin, first) for one in zones}
        self._authority = zone.Authority(zones, serial_of)
        self._publications = self._publications.moved(self._authority, style)
        if not self._complete:
            self._show_saved()
        self._digests = self._digests.moved(map(names.to_host, serial_of), style.basis)
        self._serials = self._serials.moved(self._authority, self._digests)
        self._authority.raise_unlike(before, self._serials.own, int(time.time()))
        self._hear_all()
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
        if not self.is_known:
            return ()
        restored = self.primary.library.zones.keys() & self._authority.serials.keys()
        return self._authority.contents_of(self._serials.takeable if self._complete else restored)

    def _show_all(self) -> None:
        whole = self.whole()
        self._send(whole)
        self.primary.show(self._contents, self._serials.ahead)
        if self._complete:
            self._copy.take(whole)
            self._keeper.changed()

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
                shared = reflector.Reflector(api, resources.ZONES, self.zone_objects)
                shared.refused = self.zone_objects.synced.set  # then there are none to wait for
                group.create_task(shared.run())
                pools = reflector.Reflector(api, resources.ADDRESS_POOLS, self.pools.store)
                group.create_task(pools.run())
                group.create_task(self.first_sync())
                group.create_task(self._keeper.run())
                group.create_task(reload.follow(options.config, options.settings, self.apply))
                group.create_task(shown(self, self.kept, workers, options))
        finally:
            self._keeper.write_last()

    def _changed(self, change: store.Change) -> None:
        """Take one change of the cache; before the first sync, `first_sync` reads it all."""
        if not self._complete:
            return
        if change.new is None:
            self._gone(change.key, missed=self.cache.listing)
        else:
            self._publish(*self._decided(change.key, change.new), change.key)

    def _gone(self, owner: str, *, missed: bool) -> None:
        gone = self._publications.deleted(owner)
        if owner not in self._publications.held:
            self._publish(gone, self._digests.put(owner, None), owner)
            return
        # Its names stay, so the digest does: their absence is another content.
        log.warning(
            "deleted but not withdrawn: its names stay", extra={"key": described.log_key(owner)}
        )
        if missed:
            # The withdrawal probably fell into the gap between our watch and this list.
            loop = asyncio.get_running_loop()
            loop.call_later(self._absent_s, self._let_go, owner)

    def _let_go(self, owner: str) -> None:
        if owner in self._publications.held:
            self._publish(self._publications.let_go(owner), self._digests.put(owner, None), owner)

    def _told(self, change: store.Change) -> None:
        """Take one change of Zone objects; before the first sync, `first_sync` reads them all."""
        if self._complete:
            self._release(self._heard(change.key, change.new))

    def _hear_all(self) -> None:
        """Take what all Zone objects say, which a whole table tells workers afterwards."""
        if self._complete:
            for obj in self.zone_objects:
                release = self._heard(str(obj["metadata"]["name"]), obj)
                self._note(release)
                self.primary.forget(release.fresh)

    def _heard(self, name: str, obj: Json | None) -> numbering.Release:
        if obj is None:
            return self._serials.left(name, int(time.time()))
        word = numbering.Word(name, obj["spec"]["serial"], obj["spec"]["digest"])
        return self._serials.told(word, self._floor(names.to_wire(name)), int(time.time()))

    def _floor(self, origin: bytes) -> int | None:
        """Return the serial that the leader's must be later than when it begins to give them."""
        if origin in self.primary.library.zones:
            return self._authority.serials.get(origin)
        return self._floors.get(origin)

    def _overdue(self, wait: numbering.Wait) -> None:
        self._release(self._serials.overdue(wait, int(time.time())))

    async def first_sync(self) -> None:
        """Replace what was restored by the first complete lists, as one change."""
        await self.cache.synced.wait()
        await self.zone_objects.synced.wait()
        with collector.loading():
            self._sync()
        log.info("names of %d virtual services are served", len(self.cache))

    def _sync(self) -> None:
        before = {one.key: one for one in self._authority.records()}
        for obj in self.cache:
            self._decided(str(obj["metadata"]["name"]), obj)
        self._authority.publish(RESTORED, None)
        after = {one.key: one for one in self._authority.records()}
        self._authority.raise_serials(zone.difference(before, after), int(time.time()))
        self._complete, self._saved = True, ()
        self._hear_all()
        self._show_all()

    def _decided(self, owner: str, obj: Json) -> tuple[zone.Change, frozenset[str]]:
        """Return what a decision changes in answers, and the zones whose digest it moves."""
        decision = decisions.parse(obj)
        for fault in (*decision.faults, *publications.outside(self._authority, decision)):
            log.warning("not published: %s", fault, extra={"key": described.log_key(owner)})
        held = frozenset(self._publications.held)
        change = self._publications.decided(owner, decision)
        yielded = held.difference(self._publications.held, (owner,))
        moved = [self._digests.put(owner, obj)]
        moved += [self._digests.put(other, None) for other in yielded]
        return change, frozenset().union(*moved)

    def _publish(self, change: zone.Change, moved: frozenset[str], owner: str) -> None:
        if change or moved:
            self._release(self._serials.published(change, moved, int(time.time())), owner)

    def _release(self, release: numbering.Release, owner: str = "") -> None:
        self._note(release)
        now = release.shown
        if now:
            change = frames.Transaction(tuple(map(table.encode, now.upserts)), now.deletes)
            self._send(change)
            self._copy.take(change)
            self._keeper.changed()
            log.info("%s", described.change(now), extra={"key": described.log_key(owner)})
        self.primary.take(release, self._authority.contents_of)

    def _note(self, release: numbering.Release) -> None:
        """Say what is wrong, and see to it that no zone waits for ever."""
        for fault in release.faults:
            log.warning("%s", fault)
        for wait in release.waits:
            loop = asyncio.get_running_loop()
            loop.call_later(self._patience_s, self._overdue, wait)

    def _restore(self, path: Path | None) -> None:
        for one in self._saved:
            if one.rtype == zone.SOA:
                saved = journal.serial_of(one)
                self._floors[one.name] = (saved - 1) % 2**32  # the saved one again is as good
                later = later_serial(saved + SERIAL_RESERVE, int(time.time()))
                self._past_serials[one.name] = later
        known = self._authority.serials
        known |= {key: self._past_serials[key] for key in known.keys() & self._past_serials}
        self._show_saved()
        if path is not None and self._saved:
            self.primary.restore(self._saved, journal.path_beside(path))
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

    def state(self) -> keeping.State:
        """Return what a restart goes on from."""
        body = self._copy.body(self._serials.saved_soas())
        return keeping.State(body, self.primary.library.steps(self._serials.own))


async def shown(
    published: metrics.Published, kept: metrics.Metrics, workers: crew.Crew, options: Options
) -> None:
    """Serve health checks and metrics until cancelled."""
    settings = options.settings.metrics
    await vitals.serve(kept, published, workers, options.places[0], settings)
