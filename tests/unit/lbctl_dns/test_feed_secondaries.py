"""What secondaries get is what is answered, whatever happens to names, zones and settings."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import nameserver_builders as nb
from lbctl.model.zones import Digests
from lbctl.settings import Settings
from lbctl_dns import access, configured, feed, frames, journal, keeping, primary, snapshot, table

PLAN = primary.Plan(access.checked([], [access.rule("127.0.0.1")]), ())
ALLOWED = {"allow": [{"networks": ["127.0.0.1"]}]}
OTHER = "lb.example.net"
SAFETY_S = 20.0


def tree(*subdomains: str, **transfer: object) -> Settings:
    parts = {"subdomains": list(subdomains), "transfer": transfer}
    return Settings.model_validate({"nameservice": parts})


def new(path: Path | None = None, plan: primary.Plan = PLAN) -> feed.ClusterFeed:
    return feed.ClusterFeed(configured.zones(tree("lb.example")), path, plan)


async def synced(found: feed.ClusterFeed, *objects: nb.Object) -> None:
    for version, one in enumerate(objects, 1):
        one["metadata"]["resourceVersion"] = str(version)
    found.zone_objects.synced.set()
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
    keeping.write(path, found.state())


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


def said(found: feed.ClusterFeed, serial: int, *objects: nb.Object, basis: str = "") -> None:
    """Have the leader give the content that these decisions make a serial."""
    digests = Digests(["lb.example"], basis)
    for one in objects:
        digests.put(one["metadata"]["name"], one)
    spec = {"serial": serial, "digest": digests.of("lb.example")}
    meta = {"name": "lb.example", "resourceVersion": str(serial)}
    found.zone_objects.apply("MODIFIED", {"metadata": meta, "spec": spec})


def test_with_a_leader_secondaries_wait_for_its_serial() -> None:
    async def scenario() -> None:
        found = new()
        one, other = nb.decision("kuard", "198.18.0.1"), nb.decision("kuard", "198.18.0.2")
        said(found, 1_000, one)
        await synced(found, one)
        assert transferred(found) == answered(found)
        before = transferred(found)
        put(found, other, 3)
        assert transferred(found) == before != answered(found)
        said(found, 1_001, other)
        assert transferred(found) == answered(found)
        assert found.serials == {nb.ORIGIN: 1_001}

    run(scenario)


def test_a_zone_that_stays_keeps_its_steps_and_other_settings_begin_anew() -> None:
    async def scenario() -> None:
        first = tree("lb.example", **ALLOWED)
        style = configured.style(first)
        found = feed.ClusterFeed(configured.zones(first), None, PLAN, style=style)
        one, other = nb.decision("kuard", "198.18.0.1"), nb.decision("kuard", "198.18.0.2")
        said(found, 1_000, one, basis=style.basis)
        await synced(found, one)
        put(found, other, 3)
        said(found, 1_001, other, basis=style.basis)
        found.apply(tree("lb.example", OTHER, **ALLOWED))
        history = found.primary.library.zones[nb.ORIGIN]
        assert [(step.before, step.after) for step in history.steps] == [(1_000, 1_001)]
        assert transferred(found) == answered(found)
        settings = tree("lb.example", OTHER, **ALLOWED).model_dump(by_alias=True)
        settings["nameservice"]["soa"]["refresh"] = 7
        changed = Settings.model_validate(settings)
        found.apply(changed)
        assert nb.ORIGIN not in found.primary.library.zones
        said(found, 1_002, other, basis=configured.style(changed).basis)
        assert found.primary.library.zones[nb.ORIGIN].steps == ()
        assert transferred(found) == answered(found)

    run(scenario)


def test_a_leader_that_stays_silent_is_not_waited_for_without_end() -> None:
    async def scenario() -> None:
        zones = configured.zones(tree("lb.example"))
        found = feed.ClusterFeed(zones, None, PLAN, patience_s=0)
        one = nb.decision("kuard", "198.18.0.1")
        said(found, 1_000, one)
        await synced(found, one)
        put(found, nb.decision("kuard", "198.18.0.2"), 3)
        async with asyncio.timeout(SAFETY_S):
            while transferred(found) != answered(found):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.005)
        assert found.serials[nb.ORIGIN] > 1_000

    run(scenario)


def test_after_a_restart_a_shared_zone_is_given_when_the_leaders_serial_is_known(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        path = snapshot.path_in(tmp_path)
        one, other = nb.decision("kuard", "198.18.0.1"), nb.decision("kuard", "198.18.0.2")
        first = new(path)
        said(first, 1_000, one)
        await synced(first, one)
        put(first, other, 3)
        saved(first, path)
        second = new(path)
        assert answered(second) >= answered(first) - transferred(first)
        assert second.primary.library.zones == {}
        said(second, 1_001, other)
        await synced(second, other)
        assert transferred(second) == answered(second)
        assert second.serials == {nb.ORIGIN: 1_001}

    run(scenario)


def test_a_zone_whose_object_goes_is_given_by_our_own_serial() -> None:
    async def scenario() -> None:
        found = new()
        one = nb.decision("kuard", "198.18.0.1")
        said(found, 1_000, one)
        await synced(found, one)
        put(found, nb.decision("kuard", "198.18.0.2"), 3)
        gone = {"metadata": {"name": "lb.example", "resourceVersion": "1001"}}
        found.zone_objects.apply("DELETED", gone)
        assert transferred(found) == answered(found)

    run(scenario)


def test_from_a_serial_of_our_own_no_step_leads_to_one_of_the_leader(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = snapshot.path_in(tmp_path)
        one = nb.decision("kuard", "198.18.0.1")
        first = new(path)
        await synced(first, one)
        saved(first, path)
        second = new(path)
        (before,) = second.primary.library.zones.values()
        leaders = before.serial + 10
        said(second, leaders, nb.decision("kuard", "198.18.0.2"))
        await synced(second, nb.decision("kuard", "198.18.0.2"))
        (after,) = second.primary.library.zones.values()
        assert (after.serial, after.steps) == (leaders, ())
        assert transferred(second) == answered(second)

    run(scenario)


def test_settings_that_the_leader_had_first_begin_anew_with_its_serial() -> None:
    async def scenario() -> None:
        first = tree("lb.example", **ALLOWED)
        found = feed.ClusterFeed(configured.zones(first), None, PLAN, style=configured.style(first))
        one = nb.decision("kuard", "198.18.0.1")
        said(found, 1_000, one, basis=configured.style(first).basis)
        await synced(found, one)
        parts = first.model_dump(by_alias=True)
        parts["nameservice"]["soa"]["refresh"] = 7
        changed = Settings.model_validate(parts)
        said(found, 1_001, one, basis=configured.style(changed).basis)
        assert found.serials == {nb.ORIGIN: 1_000}
        found.apply(changed)
        (history,) = found.primary.library.zones.values()
        assert (history.serial, history.steps) == (1_001, ())
        assert transferred(found) == answered(found)

    run(scenario)
