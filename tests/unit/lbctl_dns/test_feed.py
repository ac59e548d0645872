"""The feed process without sockets: what the cache says against what workers would be given."""

import asyncio
import time
from pathlib import Path

import pytest

import nameserver_builders as nb
from lbctl.model import errors
from lbctl.settings import Settings
from lbctl_dns import configured, feed, names, snapshot, table, zone

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
    found.zone_objects.replace([], 1)
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
        snapshot.save(path, nb.snapshot_of(*saved))
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
        snapshot.save(path, nb.snapshot_of(*saved))
        assert not new(path).whole().loaded

    asyncio.run(scenario())


OTHER = "lb.example.net"
THERE = names.to_wire("kuard.default.lb.example.net")
BOTH = (names.to_text(KUARD), names.to_text(THERE))


def tree(*subdomains: str, **nameservice: object) -> Settings:
    parts = {"subdomains": list(subdomains), **nameservice}
    return Settings.model_validate({"nameservice": parts})


def serials(found: feed.ClusterFeed) -> dict[str, int]:
    return {
        names.to_text(one.name): int.from_bytes(table.decode(one).rdatas[0][-20:-16])
        for one in found.whole().upserts
        if one.rtype == zone.SOA
    }


def served(*subdomains: str) -> feed.ClusterFeed:
    return feed.ClusterFeed(configured.zones(tree(*subdomains)), None, absent_s=0.01)


def test_a_zone_that_is_added_has_its_names_and_leaves_the_other_alone() -> None:
    async def scenario() -> None:
        found = served("lb.example")
        await synced(found, nb.decision("kuard", "198.18.0.1", hosts=BOTH))
        before = serials(found)
        found.apply(tree("lb.example", OTHER))
        assert shown(found) == {KUARD, THERE}
        after = serials(found)
        assert after["lb.example."] == before["lb.example."]
        found.cache.apply("MODIFIED", versioned(nb.decision("kuard", "::1", hosts=BOTH), 2))
        assert serials(found)["lb.example."] > after["lb.example."]

    asyncio.run(scenario())


def test_a_zone_that_comes_back_never_has_an_older_serial() -> None:
    async def scenario() -> None:
        found = served("lb.example", OTHER)
        await synced(found, nb.decision("kuard", "198.18.0.1", hosts=BOTH))
        for version in range(2, 40):  # faster than one a second: the serial is ahead of the clock
            vip = f"198.18.0.{version}"
            obj = versioned(nb.decision("kuard", vip, hosts=BOTH), version)
            found.cache.apply("MODIFIED", obj)
        before = serials(found)[f"{OTHER}."]
        found.apply(tree("lb.example"))
        assert shown(found) == {KUARD}
        found.apply(tree("lb.example", OTHER))
        assert shown(found) == {KUARD, THERE}
        assert serials(found)[f"{OTHER}."] > before

    asyncio.run(scenario())


def test_what_changes_in_soa_or_ns_raises_the_serial_and_what_does_not_does_not() -> None:
    async def scenario() -> None:
        found = served("lb.example")
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        seen = [serials(found)["lb.example."]]
        for nameservice in ({"soa": {"refresh": 7}}, {"nsAddresses": ["192.0.2.53"]}, {"ttl": 9}):
            found.apply(tree("lb.example", **nameservice))
            seen.append(serials(found)["lb.example."])
        # The last one takes the address of the name server back and changes a TTL of decisions.
        assert seen == sorted(set(seen))
        found.apply(tree("lb.example", emptyGrace=3))
        assert serials(found)["lb.example."] == seen[-1]

    asyncio.run(scenario())


def test_a_zone_inside_another_takes_its_names_and_both_serials_rise() -> None:
    async def scenario() -> None:
        found = served("lb.example")
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        before = serials(found)["lb.example."]
        found.apply(tree("lb.example", "default.lb.example"))
        assert shown(found) == {KUARD}
        assert serials(found)["lb.example."] > before

    asyncio.run(scenario())


def test_names_in_doubt_are_kept_over_a_change_of_zones() -> None:
    async def scenario() -> None:
        found = served("lb.example")
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        found.cache.apply("DELETED", versioned(nb.decision("kuard", "198.18.0.1"), 2))
        found.apply(tree("lb.example", OTHER))
        assert shown(found) == {KUARD}
        found.cache.apply("ADDED", versioned(nb.decision("thief", "198.18.0.1", hosts=()), 3))
        assert shown(found) == set()

    asyncio.run(scenario())


def test_zones_change_before_the_first_list_as_well(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = snapshot.path_in(tmp_path)
        saved = (nb.SOA.record_set(nb.ORIGIN, 1), *nb.sets("a.lb.example", "192.0.2.1"))
        snapshot.save(path, nb.snapshot_of(*saved))
        found = new(path)
        found.apply(tree("lb.example", OTHER))
        assert shown(found) == {names.to_wire("a.lb.example")}
        assert not found.whole().loaded  # of the new zone nothing is known
        await synced(found, nb.decision("kuard", "198.18.0.1", hosts=BOTH))
        assert shown(found) == {KUARD, THERE}
        assert found.whole().loaded

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (tree(), "nameservice.subdomains"),
        (tree("lb.example", nsAddresses=["nowhere"]), "nameservice.nsAddresses"),
        (tree("lb.example", soa={"rname": "a..b"}), "nameservice.soa.rname"),
    ],
)
def test_a_wrong_setting_leaves_every_record_as_it_was(wrong: Settings, field: str) -> None:
    async def scenario() -> None:
        found = served("lb.example")
        await synced(found, nb.decision("kuard", "198.18.0.1"))
        before = found.whole()
        with pytest.raises(errors.Misconfigured, match=field):
            found.apply(wrong)
        assert found.whole() == before

    asyncio.run(scenario())
