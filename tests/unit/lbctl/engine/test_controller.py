"""The whole controller against an API server in memory: what users see, and what stays."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import controller_bed
import event_loops
from controller_bed import SETTINGS, Bed
from fakes.api_objects import Refusal
from lbctl.kube import resources
from lbctl.translate.service import FINALIZER

Body = Callable[[Bed], Coroutine[Any, Any, None]]
Play = Callable[[Body], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a body beside a controller."""

    def played(body: Body) -> None:
        async def within() -> None:
            async with controller_bed.controlled(tmp_path) as bed:
                await body(bed)

        event_loops.run(within())

    return played


async def served(bed: Bed, name: str = "kuard") -> None:
    """Wait until a Service shows its address and its decision its state."""
    await bed.until(lambda: bool(bed.ingress(name)) and bed.state(name) is not None)


def test_a_new_service_gets_everything_that_it_needs(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create(families=("IPv4", "IPv6"))
        await served(bed)
        service, decision = bed.service(), bed.decision()
        assert service is not None
        assert decision is not None
        assert bed.ingress() == ["192.0.2.1", "2001:db8::1"]
        assert service["metadata"]["finalizers"] == [FINALIZER]
        assert bed.holders() == {"192.0.2.1": "kuard", "2001:db8::1": "kuard"}
        assert decision["spec"]["name"] == "lab--default-kuard"
        assert bed.state() == ("Down", "NoEndpoints", "0/0")
        assert bed.conditions() == {
            "AddressAllocated": (True, "Allocated"),
            "DataplaneReady": (False, "NoEndpoints"),
            "FabricProgrammed": (False, "NoFabric"),
            "NameRegistered": (False, "NoEndpoints"),
        }

    play(body)


def test_a_birth_costs_no_more_writes_than_it_must(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        ours = [entry for entry in bed.fake.objects.writes if "leases" not in entry]
        await event_loops.turns(50)
        assert sorted(entry for entry in ours if "events" not in entry) == [
            "create ipallocations ip-192-0-2-1",
            "create l4virtualservices default.kuard",
            "create services kuard",
            "patch l4virtualservices/status default.kuard",
            "patch services kuard",
            "patch services/status kuard",
        ]

    play(body)


def test_the_address_is_told_in_an_event(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await bed.until(lambda: bool(bed.all(resources.EVENTS)))
        (event,) = bed.all(resources.EVENTS)
        assert (event["type"], event["reason"]) == ("Normal", "Allocated")
        assert event["message"] == "192.0.2.1 from pool default"
        assert event["involvedObject"]["name"] == "kuard"

    play(body)


def test_scaling_moves_members_and_the_name_but_not_the_address(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        for ready in (1, 5, 0, 2):
            await bed.scale(ready)
            members = f"{ready}/{ready}"
            await bed.until(lambda members=members: (bed.state() or ("", "", ""))[2] == members)
            published = bool(ready)
            await bed.until(
                lambda wanted=published: (
                    bed.conditions().get("NameRegistered", (None,))[0] is wanted
                )
            )
            decision = bed.decision()
            assert decision is not None
            assert [name["published"] for name in decision["spec"]["names"]] == [published]
            assert bed.ingress() == ["192.0.2.1"]

    play(body)


def test_where_agents_are_the_address_is_shown_when_they_have_it(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.agent("node-1")
        await bed.agent("router", "router")
        await bed.fabric()
        await bed.scale(1)
        await bed.create()
        await bed.until(lambda: bed.state() == ("Pending", "WaitingForAgent", "1/1"))
        assert bed.ingress() == []
        await bed.acknowledge("node-1")
        await bed.until(lambda: bed.state() == ("Pending", "WaitingForRouter", "1/1"))
        assert bed.ingress() == []
        await bed.acknowledge("router")
        await bed.until(lambda: bed.state() == ("Up", "", "1/1"))
        await served(bed)
        assert all(true for true, _ in bed.conditions().values())

    play(body)


def test_an_address_that_is_shown_stays_shown_while_a_change_is_acknowledged(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.agent("node-1")
        await bed.scale(1)
        await bed.create()
        await bed.until(lambda: bed.decision() is not None)
        await bed.acknowledge("node-1")
        await served(bed)
        await bed.scale(2)
        await bed.until(lambda: (bed.state() or ("",))[0] == "Pending")
        assert bed.ingress() == ["192.0.2.1"]
        assert bed.conditions()["DataplaneReady"] == (True, "Programmed")

    play(body)


def test_a_deleted_service_leaves_nothing(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.scale(2)
        await bed.create(families=("IPv4", "IPv6"))
        await served(bed)
        await bed.delete()
        await bed.until(lambda: bed.service() is None)
        assert bed.decision() is None
        assert bed.holders() == {}
        await bed.create("next")
        await served(bed, "next")
        assert bed.ingress("next") == ["192.0.2.1"]

    play(body)


def test_a_withdrawn_decision_waits_for_the_agents(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.agent("node-1")
        await bed.create()
        await served(bed)
        await bed.delete()
        await bed.until(lambda: bed.state() == ("Down", "Withdrawn", "0/0"))
        await event_loops.turns(50)
        assert bed.holders() == {"192.0.2.1": "kuard"}
        await bed.acknowledge("node-1")
        await bed.until(lambda: bed.service() is None)
        assert bed.decision() is None

    play(body)


def test_a_dead_agent_is_not_waited_for(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.agent("node-1")
        await bed.create()
        await served(bed)
        await bed.delete()
        await bed.until(lambda: bed.state() == ("Down", "Withdrawn", "0/0"))
        await bed.api.delete(resources.LEASES, "lbctl-agent-node-1", controller_bed.NAMESPACE)
        await bed.until(lambda: bed.service() is None)

    play(body)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("203.0.113.1", "AddressNotInPool"),
        ("192.0.2", "AddressMalformed"),
        ("2001:db8::1", "AddressWrongFamily"),
    ],
)
def test_an_address_that_cannot_be_had_is_told_and_others_go_on(
    play: Play, wanted: str, reason: str
) -> None:
    async def body(bed: Bed) -> None:
        await bed.create("bad", loadBalancerIP=wanted)
        await bed.create("good")
        await served(bed, "good")
        await bed.until(lambda: bool(bed.conditions("bad")))
        assert bed.conditions("bad") == {"AddressAllocated": (False, reason)}
        assert bed.ingress("bad") == []
        assert bed.decision("bad") is None

    play(body)


def test_an_address_that_is_taken_is_given_when_it_is_free_again(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create("first", loadBalancerIP="192.0.2.2")
        await served(bed, "first")
        await bed.create("second", loadBalancerIP="192.0.2.2")
        await bed.until(lambda: bool(bed.conditions("second")))
        assert bed.conditions("second") == {"AddressAllocated": (False, "AddressTaken")}
        await bed.delete("first")
        await served(bed, "second")
        assert bed.ingress("second") == ["192.0.2.2"]

    play(body)


def test_when_the_pool_is_used_up_the_last_one_waits_for_an_address(play: Play) -> None:
    async def body(bed: Bed) -> None:
        names = [f"s{n}" for n in range(3)]
        for name in names:
            await bed.create(name)
            await served(bed, name)
        await bed.create("late")
        await bed.until(lambda: bool(bed.conditions("late")))
        assert bed.conditions("late") == {"AddressAllocated": (False, "PoolExhausted")}
        await bed.delete("s1")
        await served(bed, "late")
        assert bed.ingress("late") == ["192.0.2.2"]

    play(body)


def test_a_service_that_changes_its_type_is_let_go(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        patch = {"spec": {"type": "ClusterIP"}}
        await bed.api.patch(resources.SERVICES, "kuard", patch, "default")
        await bed.until(lambda: bed.decision() is None and bed.conditions() == {})
        service = bed.service()
        assert service is not None
        assert "finalizers" not in service["metadata"]
        assert bed.holders() == {}

    play(body)


def test_conditions_of_others_stay(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        theirs = {"type": "example.org/Audited", "status": "True", "reason": "Yes"}
        patch = {"status": {"conditions": [theirs]}}
        await bed.api.patch(
            resources.SERVICES,
            "kuard",
            patch,
            "default",
            sub="status",
            kind="application/strategic-merge-patch+json",
        )
        await bed.scale(1)
        await bed.until(lambda: bed.conditions().get("NameRegistered") == (True, "Published"))
        assert bed.conditions()["example.org/Audited"] == (True, "Yes")

    play(body)


def test_another_class_is_left_alone(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create("theirs", loadBalancerClass="example.org/lb")
        await bed.create("ours")
        await served(bed, "ours")
        theirs = bed.service("theirs")
        assert theirs is not None
        assert "finalizers" not in theirs["metadata"]
        assert bed.conditions("theirs") == {}

    play(body)


# --- faults -------------------------------------------------------------------------------------


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

    event_loops.run(body())


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

    event_loops.run(body())


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


# --- more than one controller -------------------------------------------------------------------


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

    event_loops.run(body())


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

    event_loops.run(body())
