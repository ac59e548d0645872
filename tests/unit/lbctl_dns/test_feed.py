"""The feed process without sockets: what the cache says against what workers would be given."""

import asyncio
import time
from pathlib import Path

import nameserver_builders as nb
from lbctl_dns import feed, names, snapshot, table, zone

SAFETY_S = 20.0
KUARD = names.to_wire("kuard.default.lb.example")


def new(path: Path | None = None, absent_s: float = 0.01) -> feed.ClusterFeed:
    return feed.ClusterFeed((nb.own_zone(),), path, absent_s=absent_s)


def versioned(obj: nb.Object, version: int) -> nb.Object:
    obj["metadata"]["resourceVersion"] = str(version)
    return obj


def shown(found: feed.ClusterFeed) -> set[bytes]:
    return {one.name for one in found.whole().upserts if one.rtype == zone.A}


def serial(found: feed.ClusterFeed) -> int:
    (soa,) = [one for one in found.whole().upserts if one.rtype == zone.SOA]
    return int.from_bytes(table.decode(soa).rdatas[0][-20:-16])


async def synced(found: feed.ClusterFeed, *objects: nb.Object) -> None:
    found.cache.replace([versioned(obj, 1) for obj in objects], 1)
    await found.first_sync()


def test_nothing_is_complete_before_the_first_list() -> None:
    async def scenario() -> None:
        found = new()
        assert not found.whole().loaded
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        assert found.whole().loaded
        assert shown(found) == {KUARD}

    asyncio.run(scenario())


def test_an_object_missing_from_a_later_list_keeps_its_names_for_a_while_only() -> None:
    async def scenario() -> None:
        found = new()
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        found.cache.replace([], 2)
        assert shown(found) == {KUARD}
        async with asyncio.timeout(SAFETY_S):
            while shown(found):  # noqa: ASYNC110 - the feed has no event for it
                await asyncio.sleep(0.005)

    asyncio.run(scenario())


def test_an_object_that_comes_back_after_a_list_without_it_keeps_its_names() -> None:
    async def scenario() -> None:
        found = new(absent_s=0)
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        found.cache.replace([], 2)
        found.cache.apply("ADDED", versioned(nb.decision("kuard", "198.18.0.1"), 3))
        for _ in range(5):  # the timer is due by now
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert shown(found) == {KUARD}

    asyncio.run(scenario())


def test_an_object_deleted_while_live_keeps_its_names_without_end() -> None:
    async def scenario() -> None:
        found = new(absent_s=0)
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        found.cache.apply("DELETED", versioned(nb.decision("kuard", "198.18.0.1"), 2))
        await asyncio.sleep(0.01)
        assert shown(found) == {KUARD}

    asyncio.run(scenario())


def test_a_restored_serial_is_beyond_what_a_crash_could_have_shown(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = snapshot.path_in(tmp_path)
        ahead = int(time.time()) + 1_000_000  # changes came faster than one a second
        saved = (nb.SOA.record_set(nb.ORIGIN, ahead), *nb.sets("a.lb.example", "192.0.2.1"))
        snapshot.save(path, snapshot.render(saved))
        found = new(path)
        assert found.whole().loaded
        assert shown(found) == {names.to_wire("a.lb.example")}
        assert serial(found) == ahead + feed.SERIAL_RESERVE + 1
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        assert shown(found) == {KUARD}
        assert serial(found) == ahead + feed.SERIAL_RESERVE + 2

    asyncio.run(scenario())


def test_a_damaged_snapshot_is_as_good_as_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        snapshot.path_in(tmp_path).write_bytes(b"damaged")
        assert not new(snapshot.path_in(tmp_path)).whole().loaded

    asyncio.run(scenario())


def test_a_snapshot_without_one_of_the_zones_denies_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = snapshot.path_in(tmp_path)
        saved = (nb.SOA.record_set(names.to_wire("b.example"), 1), *nb.sets("a.lb.example", "::1"))
        snapshot.save(path, snapshot.render(saved))
        assert not new(path).whole().loaded

    asyncio.run(scenario())
