"""L4Policies: they count at once, concern only their Services, and say whether they count."""

from pathlib import Path
from typing import Any

import controller_bed
import event_loops
from controller_bed import Bed, Play, served
from lbctl.kube import resources

POLICIES = resources.L4_POLICIES


async def declare(bed: Bed, name: str = "web", service: str = "kuard", **spec: Any) -> None:
    body = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": service}], **spec},
    }
    await bed.api.create(POLICIES, body, "default")


async def edit(bed: Bed, name: str = "web", **spec: Any) -> None:
    await bed.api.patch(POLICIES, name, {"spec": spec}, "default")


def status(bed: Bed, name: str = "web") -> dict[str, Any]:
    return (bed.find(POLICIES, name, "default") or {}).get("status") or {}


def verdict(bed: Bed, name: str = "web", kind: str = "Accepted") -> tuple[str, str] | None:
    listed = status(bed, name).get("conditions") or ()
    found = {entry["type"]: (entry["status"], entry["reason"]) for entry in listed}
    return found.get(kind)


def policy(bed: Bed, service: str = "kuard") -> dict[str, Any]:
    return ((bed.decision(service) or {}).get("spec") or {}).get("policy") or {}


def dataplane(bed: Bed) -> tuple[bool, str] | None:
    return bed.conditions().get("DataplaneReady")


def decisions_written(bed: Bed) -> list[str]:
    return [
        entry for entry in bed.fake.objects.writes if "l4virtualservices default.other" in entry
    ]


def stories(bed: Bed) -> list[tuple[str, str]]:
    told = [
        entry.object
        for entry in bed.fake.objects.history
        if entry.resource is resources.EVENTS
        and entry.object["involvedObject"]["kind"] == "L4Policy"
    ]
    return [(event["type"], event["reason"]) for event in told]


def test_a_policy_counts_at_once_and_touches_no_other_service(play: Play) -> None:
    async def body(bed: Bed) -> None:
        for name in ("kuard", "other"):
            await bed.create(name)
            await served(bed, name)
        before = decisions_written(bed)
        await declare(bed, algorithm="source-hash", drainTimeoutSeconds=7)
        await bed.until(lambda: policy(bed).get("algorithm") == "source-hash")
        assert policy(bed)["drainTimeoutSeconds"] == 7
        await bed.until(lambda: verdict(bed) == ("True", "Accepted"))
        await bed.api.delete(POLICIES, "web", "default")
        await bed.until(lambda: policy(bed)["algorithm"] == "maglev")
        assert "drainTimeoutSeconds" not in policy(bed)
        assert before
        assert decisions_written(bed) == before

    play(body)


def test_the_next_oldest_takes_over_when_a_policy_goes(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await declare(bed, "a", algorithm="source-hash")
        await declare(bed, "b", algorithm="round-robin")
        await bed.create()
        await served(bed)
        await bed.until(lambda: verdict(bed, "b") == ("False", "Conflicted"))
        assert policy(bed)["algorithm"] == "source-hash"
        await bed.api.delete(POLICIES, "a", "default")
        await bed.until(lambda: verdict(bed, "b") == ("True", "Accepted"))
        await bed.until(lambda: policy(bed)["algorithm"] == "round-robin")

    play(body)


def test_a_policy_waits_for_its_service(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await declare(bed)
        await bed.until(lambda: verdict(bed) == ("False", "TargetNotFound"))
        await bed.create()
        await bed.until(lambda: verdict(bed) == ("True", "Accepted"))
        await bed.delete()
        await bed.until(lambda: verdict(bed) == ("False", "TargetNotFound"))

    play(body)


def test_a_policy_that_never_was_right_keeps_its_service_closed_until_it_is_mended(
    play: Play,
) -> None:
    async def body(bed: Bed) -> None:
        await declare(bed, sourceRanges=["nonsense"])
        await bed.scale(1)
        await bed.create()
        await bed.until(lambda: dataplane(bed) == (False, "PolicyRefused"))
        await bed.until(lambda: verdict(bed) == ("False", "Invalid"))
        assert bed.decision() is None
        assert bed.ingress() == []
        assert "accepted" not in status(bed)
        await edit(bed, sourceRanges=["192.0.2.0/24"])
        await served(bed)
        assert policy(bed)["sourceRanges"] == ["192.0.2.0/24"]

    play(body)


def test_a_service_that_stays_closed_leaves_nothing_when_it_goes(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await declare(bed, sourceRanges=["nonsense"])
        await bed.create()
        await bed.until(lambda: dataplane(bed) == (False, "PolicyRefused"))
        await bed.delete()
        await bed.until(lambda: bed.service() is None and not bed.holders())

    play(body)


def test_a_bad_edit_changes_nothing_also_for_the_next_controller(tmp_path: Path) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            await declare(bed, sourceRanges=["192.0.2.0/24"])
            await bed.create()
            async with event_loops.running(bed.controller()):
                await served(bed)
                await bed.until(lambda: "accepted" in status(bed))
                await edit(bed, sourceRanges=["nonsense"])
                await bed.until(lambda: verdict(bed) == ("False", "Invalid"))
                assert policy(bed)["sourceRanges"] == ["192.0.2.0/24"]
            async with event_loops.running(bed.controller()):
                await declare(bed, "late", "late", sourceRanges=["198.51.100.0/24"])
                await bed.create("late")
                await served(bed, "late")
                assert policy(bed)["sourceRanges"] == ["192.0.2.0/24"]
                # Who comes anew is announced by the last good spec, too.
                await bed.delete()
                await bed.until(lambda: bed.service() is None)
                await bed.create()
                await served(bed)
                assert policy(bed)["sourceRanges"] == ["192.0.2.0/24"]

    event_loops.run(body(), event_loops.Hurried)


def test_traffic_that_is_off_takes_the_name_and_keeps_the_address(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.scale(1)
        await bed.create()
        await served(bed)
        await bed.until(bed.published)
        held = bed.ingress()
        await declare(bed, enabled=False)
        await bed.until(lambda: dataplane(bed) == (False, "TrafficOff"))
        assert policy(bed)["enabled"] is False
        assert not bed.published()
        assert bed.ingress() == held
        await edit(bed, enabled=True)
        await bed.until(bed.published)
        assert "enabled" not in policy(bed)

    play(body)


def test_what_nodes_cannot_do_is_said_as_soon_as_they_say_what_they_are(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        await declare(bed, limits={"connections": 9})
        await bed.until(lambda: verdict(bed, kind="Supported") == ("Unknown", "NoBackend"))
        await bed.agent("node-1")
        await bed.api.patch(resources.SERVING_NODES, "node-1", {"spec": {"backend": "ovs"}})
        await bed.until(lambda: verdict(bed, kind="Supported") == ("False", "Unsupported"))
        await bed.until(lambda: ("Warning", "Unsupported") in stories(bed))

    play(body)


def test_a_policy_that_says_the_same_costs_two_writes_and_no_more(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        await declare(bed, algorithm="maglev")
        await bed.until(lambda: verdict(bed) == ("True", "Accepted"))
        await event_loops.turns(200)
        writes = [entry for entry in bed.fake.objects.writes if "l4policies" in entry]
        assert writes == ["create l4policies web", "replace l4policies/status web"]
        assert stories(bed) == []

    play(body)
