"""The whole controller against an API server in memory: what users see, and what stays."""

import pytest

import controller_bed
import event_loops
from controller_bed import Bed, Play, served
from lbctl.kube import resources
from lbctl.translate.service import FINALIZER


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
        await bed.until(lambda: (bed.state() or ("", "", ""))[2] == "2/2")
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
