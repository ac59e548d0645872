"""The controller when things go wrong: failed writes, outages, restarts, two at once."""

import asyncio
from pathlib import Path

import pytest

import controller_bed
import event_loops
from controller_bed import SETTINGS, Bed, Play, served
from fakes.api_objects import Refusal
from lbctl.kube import resources


@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("POST", "ipallocations"),
        ("POST", "l4virtualservices"),
        ("PATCH", "services/kuard"),
        ("PATCH", "services/kuard/status"),
        ("PATCH", "l4virtualservices/default.kuard/status"),
    ],
)
@pytest.mark.parametrize("code", [409, 503])
def test_a_write_that_fails_once_is_made_good(
    tmp_path: Path, method: str, part: str, code: int
) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            bed.fake.refuse(method, part, Refusal(code, "Told", "once"))
            async with event_loops.running(bed.controller()):
                await bed.create()
                await served(bed)
                assert bed.holders() == {"192.0.2.1": "kuard"}

    event_loops.run(body(), event_loops.Hurried)


@pytest.mark.parametrize(
    ("method", "part"),
    [("PATCH", "services/kuard"), ("PATCH", "l4virtualservices/default.kuard/status")],
)
def test_a_write_to_what_is_gone_meanwhile_is_no_failure(
    tmp_path: Path, method: str, part: str
) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            bed.fake.refuse(method, part, Refusal(404, "NotFound", "once"))
            async with event_loops.running(bed.controller()):
                await bed.create()
                await served(bed)

    event_loops.run(body(), event_loops.Hurried)


def test_a_service_that_only_seems_to_be_gone_keeps_everything(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        decision = bed.decision()
        asked = bed.fake.calls.count("GET /api/v1/namespaces/default/services/kuard")
        bed.fake.objects.deny(controller_bed.RULES["services"], ("default", "kuard"))
        await event_loops.until(
            lambda: bed.fake.calls.count("GET /api/v1/namespaces/default/services/kuard") > asked
        )
        await event_loops.turns(50)
        assert bed.decision() == decision
        assert bed.holders() == {"192.0.2.1": "kuard"}
        patch = {"metadata": {"labels": {"seen": "again"}}}
        await bed.api.patch(resources.SERVICES, "kuard", patch, "default")
        await bed.scale(1)
        await bed.until(lambda: (bed.state() or ("", "", ""))[2] == "1/1")
        assert bed.ingress() == ["192.0.2.1"]

    play(body)


def test_an_address_that_another_writer_took_first_is_passed_over(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create("known")
        await served(bed, "known")
        other = {"uid": "elsewhere", "namespace": "default", "name": "elsewhere"}
        spec = {"address": "192.0.2.2", "pool": "default", "state": "Bound", "holders": [other]}
        await asyncio.gather(
            bed.api.create(
                resources.IP_ALLOCATIONS, {"metadata": {"name": "ip-192-0-2-2"}, "spec": spec}
            ),
            bed.create(),
        )
        await served(bed)
        assert bed.ingress() == ["192.0.2.3"]

    play(body)


def test_an_outage_of_the_api_server_is_survived(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create("before")
        await served(bed, "before")
        bed.fake.unavailable = True
        bed.fake.compact()
        await event_loops.turns(50)
        bed.fake.unavailable = False
        await bed.create("after")
        await served(bed, "after")
        assert bed.ingress("before") == ["192.0.2.1"]

    play(body)


def test_what_happened_while_no_controller_ran_is_caught_up(tmp_path: Path) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            async with event_loops.running(bed.controller()):
                for name in ("gone", "kept"):
                    await bed.create(name)
                    await served(bed, name)
            await bed.delete("gone")
            await bed.create("new")
            async with event_loops.running(bed.controller()):
                await bed.until(lambda: bed.service("gone") is None)
                await served(bed, "new")
            assert bed.ingress("kept") == ["192.0.2.2"]
            assert sorted(bed.holders().values()) == ["kept", "new"]

    event_loops.run(body(), event_loops.Hurried)


def test_a_service_that_vanished_without_its_finalizer_is_cleaned_up(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        patch = {"metadata": {"finalizers": None}}
        await bed.api.patch(resources.SERVICES, "kuard", patch, "default")
        await bed.delete()
        await bed.until(lambda: bed.holders() == {} and bed.decision() is None)

    play(body)


def test_a_service_that_was_created_again_starts_afresh(play: Play) -> None:
    async def body(bed: Bed) -> None:
        first = await bed.create()
        await served(bed)
        patch = {"metadata": {"finalizers": None}}
        await bed.api.patch(resources.SERVICES, "kuard", patch, "default")
        await bed.delete()
        second = await bed.create()
        await bed.until(
            lambda: (
                bool(bed.ingress())
                and [obj["spec"]["holders"][0]["uid"] for obj in bed.all(resources.IP_ALLOCATIONS)]
                == [second["metadata"]["uid"]]
            )
        )
        assert first["metadata"]["uid"] != second["metadata"]["uid"]

    play(body)


def test_a_decision_that_does_not_parse_stops_only_its_own_service(play: Play) -> None:
    async def body(bed: Bed) -> None:
        spec = {
            "service": {"namespace": "default", "name": "bad", "uid": "x"},
            "name": "lab--default-bad",
            "phase": "Sleeping",
        }
        await bed.api.create(
            resources.L4_VIRTUAL_SERVICES, {"metadata": {"name": "default.bad"}, "spec": spec}
        )
        await bed.create()
        await served(bed)

    play(body)


def test_only_the_holder_of_the_lease_decides_and_the_next_takes_over_at_once(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            async with event_loops.running(bed.controller()) as (first,):
                await bed.create("one")
                await served(bed, "one")
                async with event_loops.running(bed.controller()):
                    first.cancel()
                    await asyncio.gather(first, return_exceptions=True)
                    await bed.create("two")
                    await served(bed, "two")
            lease = bed.find(resources.LEASES, "lbctl-controller", controller_bed.NAMESPACE)
            assert lease is not None
            assert lease["spec"]["holderIdentity"] == ""
            assert lease["spec"]["leaseTransitions"] == 2

    event_loops.run(body(), event_loops.Hurried)


def test_two_that_wrongly_lead_at_once_never_give_one_address_twice(tmp_path: Path) -> None:
    other = SETTINGS.model_copy(
        update={"lease": SETTINGS.lease.model_copy(update={"name": "another-lease"})}
    )

    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            programs = (bed.controller(), bed.controller(other))
            async with event_loops.running(*programs) as tasks:
                names = [f"s{n}" for n in range(3)]
                await asyncio.gather(*(bed.create(name) for name in names))
                for name in names:
                    await served(bed, name)
                shown = [bed.ingress(name)[0] for name in names]
                assert sorted(shown) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
                assert all(bed.holders()[bed.ingress(name)[0]] == name for name in names)
                assert controller_bed.failed(tasks) == []

    event_loops.run(body(), event_loops.Hurried)
