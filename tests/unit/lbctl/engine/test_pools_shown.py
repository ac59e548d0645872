"""AddressPool objects: they give addresses at once, say what they are, and cost few writes."""

from pathlib import Path
from typing import Any

import pytest

import controller_bed
import event_loops
from controller_bed import Bed, Play, served
from lbctl import app
from lbctl.kube import resources
from lbctl.kube.objects import Json
from lbctl.settings import AddressPoolSettings

POOLS = resources.ADDRESS_POOLS


async def declare(bed: Bed, name: str, *addresses: str, **spec: Any) -> Json:
    body = {"metadata": {"name": name}, "spec": {"addresses": list(addresses), **spec}}
    return await bed.api.create(POOLS, body)


def status(bed: Bed, name: str) -> dict[str, Any]:
    found = (bed.find(POOLS, name) or {}).get("status") or {}
    ready = {entry["type"]: entry for entry in found.get("conditions") or ()}.get("Ready", {})
    return {**found, "ready": (ready.get("status"), ready.get("reason"))}


def told(bed: Bed, name: str) -> tuple[bool, str] | None:
    return bed.conditions(name).get("AddressAllocated")


def pool_writes(bed: Bed) -> list[str]:
    return [entry for entry in bed.fake.objects.writes if "addresspools" in entry]


def test_an_object_helps_who_waits_for_an_address_at_once(play: Play) -> None:
    async def body(bed: Bed) -> None:
        for name in ("a", "b", "c"):
            await bed.create(name)
            await served(bed, name)
        await bed.create("late")
        await bed.until(lambda: told(bed, "late") == (False, "PoolExhausted"))
        await declare(bed, "more", "198.51.100.8/29")
        await served(bed, "late")
        assert bed.ingress("late") == ["198.51.100.9"]
        assert told(bed, "late") == (True, "Allocated")

    play(body)


def test_settings_are_mirrored_and_all_pools_counted_in_few_writes(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await declare(bed, "more", "198.51.100.8/29")
        await declare(bed, "overlapping", "198.51.100.9-198.51.100.10")
        for name in ("a", "b", "c", "d", "e"):
            await bed.create(name)
            await served(bed, name)
        await bed.until(
            lambda: status(bed, "default").get("available") == {"ipv4": "0", "ipv6": "15"}
        )
        await bed.until(lambda: status(bed, "more").get("assigned") == {"ipv4": "2", "ipv6": "0"})
        assert status(bed, "default")["assigned"] == {"ipv4": "3", "ipv6": "0"}
        assert status(bed, "default")["ready"] == ("True", "Serves")
        assert status(bed, "overlapping")["ready"] == ("False", "Overlaps")
        mirror = bed.find(POOLS, "default") or {}
        assert mirror["metadata"]["labels"] == {"lbctl.io/from": "settings"}
        # Made by us: the mirror, and each status once or, when births took longer, twice.
        assert len(pool_writes(bed)) <= 2 + 1 + 3 * 2

    play(body)


def test_whatever_becomes_of_a_pool_its_addresses_stay(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await declare(bed, "first", "198.51.100.1-198.51.100.9", priority=1)
        await bed.create("kept")
        await served(bed, "kept")
        assert bed.ingress("kept") == ["198.51.100.1"]
        for addresses in (["198.51.100.5-198.51.100.9"], ["203.0.113.0/24"], ["nonsense"]):
            patch = {"spec": {"addresses": addresses}}
            await bed.api.patch(POOLS, "first", patch)
            await event_loops.turns(50)
        await bed.api.delete(POOLS, "first")
        await bed.create("next")
        await served(bed, "next")
        assert bed.ingress("next") == ["192.0.2.1"]
        assert bed.ingress("kept") == ["198.51.100.1"]
        assert told(bed, "kept") == (True, "Allocated")
        replaced = [entry for entry in bed.fake.objects.writes if "ipallocations" in entry]
        assert replaced == [
            "create ipallocations ip-198-51-100-1",
            "create ipallocations ip-192-0-2-1",
        ]

    play(body)


def test_a_fence_counts_labels_of_the_namespace(play: Play) -> None:
    async def body(bed: Bed) -> None:
        labels = {"metadata": {"name": "default", "labels": {"tier": "edge"}}}
        await bed.api.create(resources.NAMESPACES, labels)
        serves = {"namespaceSelectors": [{"matchLabels": {"tier": "edge"}}], "exclusive": True}
        await declare(bed, "edge", "198.51.100.1-198.51.100.1", serves=serves)
        await bed.create("a")
        await served(bed, "a")
        assert bed.ingress("a") == ["198.51.100.1"]
        await bed.create("b")
        await bed.until(lambda: told(bed, "b") == (False, "PoolExhausted"))

    play(body)


def test_a_reserved_address_is_for_its_service_from_the_moment_it_is_reserved(play: Play) -> None:
    async def body(bed: Bed) -> None:
        for name, address in (("ip-192-0-2-1", "192.0.2.1"), ("ip-192-0-2-2", "192.0.2.2")):
            kept_for = {"namespace": "default", "name": "vip"}
            spec = {"address": address, "state": "Reserved", "reservedFor": kept_for}
            await bed.api.create(
                resources.IP_ALLOCATIONS, {"metadata": {"name": name}, "spec": spec}
            )
        await bed.create("other")
        await served(bed, "other")
        assert bed.ingress("other") == ["192.0.2.3"]
        await bed.create("vip")
        await served(bed, "vip")
        assert bed.ingress("vip") == ["192.0.2.1"]

    play(body)


def test_withdrawing_everything_takes_the_mirrors_away_and_leaves_what_is_others(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            await declare(bed, "own", "198.51.100.8/29")
            async with event_loops.running(bed.controller()):
                await bed.until(lambda: bed.find(POOLS, "default") is not None)
            stopped = controller_bed.SETTINGS.model_copy(
                update={
                    "lbctl": controller_bed.SETTINGS.lbctl.model_copy(
                        update={"delete_config": "true"}
                    )
                }
            )
            async with event_loops.running(bed.controller(stopped)):
                await bed.until(lambda: bed.find(POOLS, "default") is None)
            assert bed.find(POOLS, "own") is not None

    event_loops.run(body(), event_loops.Hurried)


def stories(bed: Bed, name: str) -> list[tuple[str, str]]:
    """Return what events tell of a pool: type and reason, in the order in which they came."""
    told = [
        entry.object
        for entry in bed.fake.objects.history
        if entry.resource is resources.EVENTS
        and entry.object["involvedObject"]["kind"] == "AddressPool"
        and entry.object["involvedObject"]["name"] == name
    ]
    return [(event["type"], event["reason"]) for event in told]


async def spoil(bed: Bed, name: str, text: str = "nonsense") -> None:
    """Edit a pool so that it is wrong, and wait until it says so."""
    await bed.api.patch(POOLS, name, {"spec": {"addresses": [text]}})
    await bed.until(lambda: status(bed, name)["ready"][0] == "False")


def test_a_pool_that_was_edited_badly_gives_on_also_after_a_restart(tmp_path: Path) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            asks = {"loadBalancerIP": "198.51.100.7"}
            await declare(bed, "more", "198.51.100.1-198.51.100.9", priority=1)
            async with event_loops.running(bed.controller()):
                await bed.until(lambda: status(bed, "more")["ready"] == ("True", "Serves"))
                await spoil(bed, "more")
                await bed.create("next")
                await served(bed, "next")
            async with event_loops.running(bed.controller()):
                await bed.create("after", **asks)
                await served(bed, "after")
                await bed.create("last")
                await served(bed, "last")
            assert bed.ingress("next") == ["198.51.100.1"]
            assert bed.ingress("after") == ["198.51.100.7"]
            assert bed.ingress("last") == ["198.51.100.2"]

    event_loops.run(body(), event_loops.Hurried)


def test_a_pool_that_reaches_for_a_younger_ones_addresses_takes_none_of_them(
    play: Play,
) -> None:
    async def body(bed: Bed) -> None:
        for name, address in (("old", "198.51.100.1"), ("young", "198.51.100.2")):
            await declare(bed, name, address, autoAssign=False)
        for name in ("old", "young"):
            await bed.until(lambda name=name: "accepted" in status(bed, name))  # type: ignore[misc]
        await spoil(bed, "old", "198.51.100.1-198.51.100.9")
        assert status(bed, "old")["ready"] == ("False", "Overlaps")
        assert status(bed, "young")["ready"] == ("True", "Serves")
        await bed.create(loadBalancerIP="198.51.100.2")
        await served(bed)

    play(body)


def test_an_event_tells_once_that_a_pool_is_wrong_and_once_that_it_is_right_again(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            await declare(bed, "more", "198.51.100.1-198.51.100.9")
            async with event_loops.running(bed.controller()):
                await bed.until(lambda: "accepted" in status(bed, "more"))
                await spoil(bed, "more")
                await bed.until(lambda: stories(bed, "more") == [("Warning", "Malformed")])
            async with event_loops.running(bed.controller()):
                await bed.api.patch(POOLS, "more", {"spec": {"addresses": ["rubbish"]}})
                await bed.until(lambda: status(bed, "more")["observedGeneration"] == 3)
                await bed.api.patch(POOLS, "more", {"spec": {"addresses": ["198.51.100.1"]}})
                await bed.until(lambda: len(stories(bed, "more")) > 1)
            assert stories(bed, "more") == [("Warning", "Malformed"), ("Normal", "Serves")]

    event_loops.run(body(), event_loops.Hurried)


def test_fields_that_leave_the_spec_leave_the_last_good_one_too(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await declare(bed, "more", "198.51.100.1", serves={"namespaces": ["shop"]})
        await bed.until(lambda: "serves" in status(bed, "more").get("accepted", {}))
        await bed.api.patch(POOLS, "more", {"spec": {"serves": None}})
        await bed.until(lambda: "serves" not in status(bed, "more")["accepted"])
        assert status(bed, "more")["accepted"] == {"addresses": ["198.51.100.1"]}

    play(body)


def test_pools_of_a_settings_file_that_overlap_leave_those_that_there_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, settings = tmp_path / "settings.yaml", controller_bed.SETTINGS
    more = AddressPoolSettings(name="more", addresses=("192.0.2.2-192.0.2.9",))
    bad = settings.model_copy(update={"address_pools": (*settings.address_pools, more)})

    async def body() -> None:
        path.write_text(settings.model_dump_json(by_alias=True))
        async with controller_bed.bed(tmp_path) as bed:
            program = app.run_controller(settings, bed.kubeconfig, path)
            async with event_loops.running(program):
                await bed.until(lambda: bed.find(POOLS, "default") is not None)
                path.write_text(bad.model_dump_json(by_alias=True))
                await event_loops.until(lambda: "settings stay as they were" in caplog.text)
                await bed.create()
                await served(bed)
            assert bed.ingress() == ["192.0.2.1"]
            assert bed.find(POOLS, "more") is None

    event_loops.run(body(), event_loops.Hurried)
    assert "192.0.2.2-192.0.2.3 is in pool default too" in caplog.text
