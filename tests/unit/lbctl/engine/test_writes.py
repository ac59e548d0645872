"""What each thing that happens costs the API server: docs/explanation/writes.md has the table."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import controller_bed
import event_loops
from controller_bed import NAMESPACE, Bed, Play, served
from lbctl.kube import resources

QUIET_TURNS = 200
"""Turns of the loop in which a controller that had anything to write would have written it."""


@contextlib.asynccontextmanager
async def written(bed: Bed) -> AsyncIterator[list[str]]:
    """Return what the controller writes meanwhile, sorted; Leases are renewed all the time."""
    found: list[str] = []
    first = len(bed.fake.objects.writes)
    yield found
    await event_loops.turns(QUIET_TURNS)
    mine = (entry for entry in bed.fake.objects.writes[first:] if not _is_others(entry))
    found += sorted(mine)


def _is_others(entry: str) -> bool:
    theirs = (
        "create services",
        "delete services",
        "endpointslices",
        "servingnodes",
        "leases",
        "fabrics",
        "addresspools",  # counters, gathered over a second: test_pools_shown.py
        "l4policies",  # statuses, gathered over a second: test_policies_shown.py
        " zones ",  # serials, gathered over a second: test_zones_shown.py
    )
    return any(part in entry for part in theirs)


async def acknowledged(bed: Bed) -> None:
    for node in ("node-1", "router"):
        await bed.acknowledge(node)


async def agents(bed: Bed) -> None:
    await bed.agent("node-1")
    await bed.agent("router", "router")
    await bed.fabric()


LEASE = controller_bed.SETTINGS.lease.model_copy(update={"duration": 600})
PATIENT = controller_bed.SETTINGS.model_copy(update={"lease": LEASE})


BIRTH = [
    "create events",
    "create ipallocations ip-192-0-2-1",
    "create l4virtualservices default.kuard",
    "patch l4virtualservices/status default.kuard",
    "patch services/status kuard",
]


def plain(entries: list[str]) -> list[str]:
    """Return the entries; the name of an event is random."""
    return ["create events" if "create events" in entry else entry for entry in entries]


def told_of(bed: Bed, name: str) -> bool:
    """Tell whether a Service's birth has its event, which comes after all else."""
    return any(f"create events {name}." in entry for entry in bed.fake.objects.writes)


def test_a_birth_without_members_costs_two_writes_until_the_address_shows(play: Play) -> None:
    async def body(bed: Bed) -> None:
        first = len(bed.fake.objects.writes)
        async with written(bed) as found:
            await bed.create()
            await bed.until(lambda: bool(bed.ingress()))
            shown = bed.fake.objects.writes[first:]
            await served(bed)
        assert [entry for entry in shown if not _is_others(entry)] == [
            "create ipallocations ip-192-0-2-1",
            "patch services/status kuard",
        ]
        assert plain(found) == BIRTH

    play(body)


def test_a_birth_with_members_costs_one_write_more(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await agents(bed)
        await bed.scale(2)
        async with written(bed) as found:
            await bed.create()
            await bed.until(lambda: bed.decision() is not None)
            await acknowledged(bed)
            await bed.until(lambda: bed.state() == ("Up", "", "2/2"))
        assert plain(found) == sorted([*BIRTH, "patch services kuard"])

    play(body)


def test_a_policy_costs_one_write_for_each_service_that_it_changes(play: Play) -> None:
    async def body(bed: Bed) -> None:
        for name in ("kuard", "other"):
            await bed.create(name)
            await served(bed, name)
            await bed.until(lambda name=name: told_of(bed, name))
        refs = [{"name": name} for name in ("kuard", "other")]
        policy = {"metadata": {"name": "web"}, "spec": {"targetRefs": refs, "algorithm": "maglev"}}
        async with written(bed) as found:
            await bed.api.create(resources.L4_POLICIES, policy, "default")
        assert found == []  # it says what holds without it
        async with written(bed) as found:
            patch = {"spec": {"algorithm": "source-hash"}}
            await bed.api.patch(resources.L4_POLICIES, "web", patch, "default")
        assert found == [
            "patch l4virtualservices/status default.kuard",
            "patch l4virtualservices/status default.other",
            "replace l4virtualservices default.kuard",
            "replace l4virtualservices default.other",
        ]

    play(body)


def test_a_service_that_selects_pods_shows_nothing_before_its_first_slice(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await agents(bed)
        async with written(bed) as found:
            await bed.create(selector={"app": "kuard"})
            await bed.until(lambda: bed.decision() is not None)
            await event_loops.turns(QUIET_TURNS)
            assert bed.ingress() == []
            await bed.scale(1)
            await bed.until(bed.published)
            assert bed.ingress() == []
            await acknowledged(bed)
            await bed.until(lambda: bed.state() == ("Up", "", "1/1"))
        more = ["patch services kuard", "replace l4virtualservices default.kuard"]
        assert plain(found) == sorted([*BIRTH, *more])

    play(body)


def test_where_no_slice_comes_the_address_shows_all_the_same(tmp_path: Path) -> None:
    async def within() -> None:
        async with controller_bed.controlled(tmp_path, PATIENT) as bed:
            await bed.create(selector={"app": "kuard"})
            await served(bed)
            assert bed.conditions()["DataplaneReady"] == (False, "NoEndpoints")

    event_loops.run(within(), event_loops.Hurried)


def test_each_family_more_costs_one_write_more(play: Play) -> None:
    async def body(bed: Bed) -> None:
        async with written(bed) as found:
            await bed.create(families=("IPv4", "IPv6"))
            await served(bed)
        more = "create ipallocations ip-2001-0db8-0000-0000-0000-0000-0000-0001"
        assert plain(found) == sorted([*BIRTH, more])

    play(body)


async def alive(bed: Bed) -> None:
    """Bring kuard to life with two members, on agents that acknowledge."""
    await agents(bed)
    await bed.scale(2)
    await bed.create()
    await bed.until(lambda: bed.decision() is not None)
    await acknowledged(bed)
    await bed.until(lambda: bed.state() == ("Up", "", "2/2"))
    await event_loops.turns(QUIET_TURNS)


def test_an_endpoint_more_costs_one_write_that_may_wait(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await alive(bed)
        async with written(bed) as found:
            await bed.scale(3)
            await acknowledged(bed)
            await bed.until(lambda: bed.state() == ("Up", "", "3/3"))
        assert found == ["patch l4virtualservices/status default.kuard"]

    play(body)


def test_to_no_endpoint_and_back_costs_three_writes_each(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await alive(bed)
        change = [
            "patch l4virtualservices/status default.kuard",
            "patch services/status kuard",
            "replace l4virtualservices default.kuard",
        ]
        async with written(bed) as found:
            await bed.scale(0)
            await bed.until(lambda: bed.state() == ("Down", "NoEndpoints", "0/0"))
            await bed.until(lambda: bed.conditions()["NameRegistered"][0] is False)
        assert found == change
        async with written(bed) as found:
            await bed.scale(1)
            await bed.until(bed.published)
            await acknowledged(bed)
            await bed.until(lambda: bed.state() == ("Up", "", "1/1"))
            await bed.until(lambda: bed.conditions()["NameRegistered"][0] is True)
        assert found == change

    play(body)


def test_a_death_costs_two_phases_and_one_write_for_each_thing_taken_away(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await alive(bed)
        async with written(bed) as found:
            await bed.delete()
            await bed.until(lambda: bed.phase() == "Withdrawn")
            await acknowledged(bed)
            await bed.until(lambda: bed.service() is None)
        assert found == [
            "drop ipallocations ip-192-0-2-1",
            "drop l4virtualservices default.kuard",
            "drop services kuard",
            "replace l4virtualservices default.kuard",
            "replace l4virtualservices default.kuard",
        ]

    play(body)


def test_at_rest_nothing_is_written(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await alive(bed)
        async with written(bed) as found:
            await acknowledged(bed)
        assert found == []

    play(body)


def test_a_new_leader_writes_nothing_that_stands_there_already(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await alive(bed)
        renamed = LEASE.model_copy(update={"name": "another"})
        other = controller_bed.SETTINGS.model_copy(update={"lease": renamed})
        async with written(bed) as found, event_loops.running(bed.controller(other)):
            await bed.until(lambda: bed.find(resources.LEASES, "another", NAMESPACE) is not None)
        assert found == []

    play(body)


def test_another_address_costs_one_write_for_each_stage(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        async with written(bed) as found:
            patch = {"spec": {"loadBalancerIP": "192.0.2.3"}}
            await bed.api.patch(resources.SERVICES, "kuard", patch, "default")
            await bed.until(lambda: set(bed.holders()) == {"192.0.2.3"})
            await bed.until(lambda: bed.ingress() == ["192.0.2.3"])
        shown = [entry for entry in found if entry == "patch services/status kuard"]
        told = [entry for entry in found if entry == "patch l4virtualservices/status default.kuard"]
        assert (len(shown) <= 2, len(told) <= 3) == (True, True)
        rest = [entry for entry in found if "status" not in entry and "events" not in entry]
        assert rest == [
            "create ipallocations ip-192-0-2-3",
            "drop ipallocations ip-192-0-2-1",
            "patch services kuard",
            *3 * ["replace l4virtualservices default.kuard"],
        ]

    play(body)


def test_another_port_costs_the_decision_and_the_entry_with_the_address(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.create()
        await served(bed)
        async with written(bed) as found:
            patch = {"spec": {"ports": [{"name": "", "port": 81}]}}
            await bed.api.patch(resources.SERVICES, "kuard", patch, "default")
            await bed.until(lambda: entered(bed) == [81])
        rest = [entry for entry in found if "status" not in entry]
        assert rest == [
            "patch services kuard",
            "replace ipallocations ip-192-0-2-1",
            "replace l4virtualservices default.kuard",
        ]

    def entered(bed: Bed) -> list[int]:
        (obj,) = bed.all(resources.IP_ALLOCATIONS)
        return [port["port"] for holder in obj["spec"]["holders"] for port in holder["ports"]]

    play(body)
