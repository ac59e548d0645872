"""The feed process without a cluster: zone files, read again on SIGHUP."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from pathlib import Path

from lbctl.model import errors
from lbctl.runtime import collector, reload
from lbctl_dns import (
    cookies,
    crew,
    feed,
    frames,
    handover,
    journal,
    listening,
    metrics,
    names,
    primary,
    records,
    table,
    zone,
)

log = logging.getLogger(__name__)


class FileFeed:
    """The zones of some files; one that does not parse stays as it was."""

    def __init__(self, files: dict[str, Path], plan: primary.Plan) -> None:
        self._files = files
        with collector.loading():
            self._zones = {origin: _read(origin, path) for origin, path in files.items()}
            self._authority = self._assembled()
        self.primary = primary.Primary(plan)
        """What secondaries get."""
        self.primary.show(self._authority.contents)
        self.held_count = 0
        self.is_known = True

    @property
    def serials(self) -> dict[bytes, int]:
        """Return the serial of each zone by its origin."""
        return self._authority.serials

    @property
    def name_count(self) -> int:
        """Return how many names the files hold."""
        return self._authority.name_count

    def age_s(self) -> float:
        """Return 0: a file is as new as it is."""
        return 0.0

    def whole(self) -> frames.Transaction:
        """Return everything that the files hold."""
        with collector.loading():
            encoded = tuple(table.encode_all(self._authority.contents()))
        return frames.Transaction(encoded, reset=True)

    async def run(self, options: feed.Options) -> None:
        """Serve until cancelled."""
        sockets = await listening.open_all(options.places, options.workers)
        desk, workers_end = handover.pair()
        with desk, workers_end:
            workers = crew.Crew(sockets, self.whole, options.limits, workers_end)
            workers.tell(self.primary.plan.rendered)
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, self._reload, workers)
            async with asyncio.TaskGroup() as group:
                group.create_task(workers.run())
                group.create_task(self.primary.run(desk, sockets[0], options.places))
                group.create_task(cookies.follow(lambda: options.settings, workers.share))
                # Only what concerns the log: the zones are in the files.
                group.create_task(reload.follow(options.config, options.settings, lambda _: None))
                group.create_task(feed.shown(self, metrics.Metrics(), workers, options))

    def _reload(self, workers: crew.Crew) -> None:
        before = self._authority
        for origin, path in self._files.items():
            try:
                self._zones[origin] = _read(origin, path)
            except errors.Misconfigured as error:
                log.error("the zone stays as it was: %s", error)
        self._authority = self._assembled()
        for stale in _not_raised(before, self._authority):
            log.warning(
                "%s changed but its serial did not rise: secondaries do not see that",
                names.to_text(stale),
            )
        workers.send(self.whole())
        self.primary.show(self._authority.contents)
        log.info("zones read again")

    def _assembled(self) -> zone.Authority:
        serials = {one.origin: serial for one, serial in self._zones.values()}
        return zone.Authority((one for one, _ in self._zones.values()), serials)


def _read(origin: str, path: Path) -> tuple[zone.Zone, int]:
    try:
        return records.parse_zone(path.read_text(), origin)
    except (OSError, UnicodeDecodeError, records.MalformedZone) as error:
        raise errors.Misconfigured(f"--zone {origin}={path}: {error}") from error


def _not_raised(before: zone.Authority, after: zone.Authority) -> Iterator[bytes]:
    """Yield the zones that are different although their serial is not a later one."""
    old = {one.origin: one for one in before.zones}
    for one in after.zones:
        known = old.get(one.origin)
        if known is None or set(known.fixed) == set(one.fixed):
            continue
        if not journal.is_later(after.serials[one.origin], before.serials[one.origin]):
            yield one.origin
