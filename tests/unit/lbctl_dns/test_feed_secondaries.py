"""What secondaries get is what is answered, whatever happens to names, zones and settings."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import nameserver_builders as nb
from lbctl.settings import Settings
from lbctl_dns import access, configured, feed, frames, journal, primary, snapshot, table

PLAN = primary.Plan(access.checked([], [access.rule("127.0.0.1")]), ())
ALLOWED = {"allow": [{"networks": ["127.0.0.1"]}]}
OTHER = "lb.example.net"


def tree(*subdomains: str, **transfer: object) -> Settings:
    parts = {"subdomains": list(subdomains), "transfer": transfer}
    return Settings.model_validate({"nameservice": parts})


def new(path: Path | None = None, plan: primary.Plan = PLAN) -> feed.ClusterFeed:
    return feed.ClusterFeed(configured.zones(tree("lb.example")), path, plan)


async def synced(found: feed.ClusterFeed, *objects: nb.Object) -> None:
    for version, one in enumerate(objects, 1):
        one["metadata"]["resourceVersion"] = str(version)
    found.cache.replace(objects, len(objects) + 1)
    await found.first_sync()


def put(found: feed.ClusterFeed, obj: nb.Object, version: int) -> None:
    obj["metadata"]["resourceVersion"] = str(version)
    found.cache.apply("MODIFIED", obj)


def answered(found: feed.ClusterFeed) -> set[bytes]:
    sets = (table.decode(one) for one in found.whole().upserts)
    return {record for one in sets for record in journal.records_of(one)}


def transferred(found: feed.ClusterFeed) -> set[bytes]:
    return {record for one in found.primary.library.zones.values() for record in one.full()}


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_nothing_can_be_taken_before_the_names_are_known() -> None:
    async def scenario() -> None:
        found = new()
        assert found.primary.library.zones == {}
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        assert transferred(found) == answered(found) != set()

    run(scenario)


def test_names_that_come_change_and_go_are_steps() -> None:
    async def scenario() -> None:
        found = new()
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        (history,) = found.primary.library.zones.values()
        first = history.serial
        put(found, nb.decision("kuard", "198.18.0.2", "2001:2::2"), 3)
        assert transferred(found) == answered(found)
        put(found, nb.decision("kuard", "198.18.0.2", published=False), 4)
        assert transferred(found) == answered(found)
        one, another = history.steps
        assert (one.before, one.after, another.after) == (first, another.before, history.serial)

    run(scenario)


def test_zones_that_come_and_go_by_settings_do_so_for_secondaries() -> None:
    async def scenario() -> None:
        found = new()
        hosts = ("kuard.default.lb.example", f"kuard.default.{OTHER}")
        await synced(found, nb.decision("kuard", "198.18.0.1", hosts=hosts))
        for zones in (("lb.example", OTHER), (OTHER,), ("lb.example",)):
            found.apply(tree(*zones, **ALLOWED))
            assert found.primary.library.serials == found.serials
            assert transferred(found) == answered(found)

    run(scenario)


def test_secondaries_that_settings_name_later_find_everything() -> None:
    async def scenario() -> None:
        found = new(plan=primary.ALONE)
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        assert found.primary.library.zones == {}
        found.apply(tree("lb.example", **ALLOWED))
        assert transferred(found) == answered(found)
        found.apply(tree("lb.example"))
        assert found.primary.library.zones == {}

    run(scenario)


def saved(found: feed.ClusterFeed, path: Path) -> None:
    """Write what a server that ends writes."""
    contents = tuple(table.decode(one) for one in found.whole().upserts)
    for where, content in found.primary.state(journal.path_beside(path)).items():
        snapshot.save(where, content)
    snapshot.save(path, snapshot.render(contents))


def test_after_a_restart_the_steps_go_on_from_what_was_saved(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = snapshot.path_in(tmp_path)
        first = new(path)
        await synced(first, nb.decision("kuard", "198.18.0.1"))
        (before,) = first.primary.library.zones.values()
        known = before.serial
        put(first, nb.decision("kuard", "198.18.0.2"), 3)
        saved(first, path)
        second = new(path)
        (after,) = second.primary.library.zones.values()
        assert transferred(second) == answered(second)
        await synced(second, nb.decision("kuard", "198.18.0.3"))
        assert transferred(second) == answered(second)
        one, between, last = after.steps
        assert one.before == known
        assert (one.after, between.after, last.after) == (between.before, last.before, after.serial)

    run(scenario)


def test_what_workers_are_told_travels_beside_the_names() -> None:
    replica = frames.Replica()
    replica.take(frames.render(0, 0, (frames.ACCESS, PLAN.rendered)))
    assert access.parse(replica.access) == PLAN.access
    assert frames.is_aside(frames.render(0, 0, (frames.ACCESS, b"")))
    assert not any(
        frames.is_aside(frames.render(1, 1, body)) for body in frames.bodies(frames.Transaction())
    )
