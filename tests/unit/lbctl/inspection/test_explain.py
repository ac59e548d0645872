"""What `lbctl explain` says where more than one thing is the matter, and of what is left over."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import controller_bed
import event_loops
import inspect_bed
from controller_bed import NAMESPACE, SETTINGS, Bed, served
from fakes.api_objects import Refusal
from inspect_bed import stage
from inspect_reasons import (
    SLOW_NAMES,
    agent,
    everything,
    late_router,
    led,
    member,
    not_ready,
    withdrawn,
)
from lbctl.inspection import explain, explained, gather
from lbctl.inspection.stages import Explanation, Mark, Stage
from lbctl.kube import resources
from lbctl.model import errors
from lbctl.model.reasons import Reason

Body = Callable[[Bed], Coroutine[Any, Any, None]]
Play = Callable[[Body], None]


@pytest.fixture
def beside(tmp_path: Path) -> Play:
    """Run a body on an API server with a controller."""

    def played(body: Body) -> None:
        async def within() -> None:
            async with controller_bed.controlled(tmp_path) as bed:
                await body(bed)

        event_loops.run(within(), event_loops.Hurried)

    return played


@pytest.fixture
def alone(tmp_path: Path) -> Play:
    """Run a body on an API server without a controller; waits are short."""

    def played(body: Body) -> None:
        async def within() -> None:
            async with controller_bed.bed(tmp_path) as bed:
                await body(bed)

        event_loops.run(within(), event_loops.Hurried)

    return played


# --- more than one thing --------------------------------------------------------------------------


def test_one_family_may_be_refused_while_the_other_is_served(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        for name in ("a", "b", "c"):
            await bed.create(name)
            await served(bed, name)
        await everything_of(bed, ("IPv4", "IPv6"))
        found = await inspect_bed.explained(bed)
        address = stage(found, "address")
        assert (address.mark, address.reason) == (Mark.FAILING, Reason.POOL_EXHAUSTED)
        assert found.served == ("2001:db8::1",)
        assert explain.sentence(found).startswith(
            "default/kuard is served at 2001:db8::1, but fails at stage address since "
        )

    beside(body)


async def everything_of(bed: Bed, families: tuple[str, ...]) -> None:
    """Bring kuard up with a member, an agent and a router."""
    await bed.agent("router", "router")
    await bed.agent("node-1")
    await bed.fabric()
    await bed.scale(1)
    await bed.create(families=families)
    await bed.until(lambda: bed.decision() is not None)
    await bed.acknowledge("node-1")
    await bed.acknowledge("router")
    await bed.until(lambda: (bed.state() or ("",))[0] == "Up")


def test_what_is_up_stays_up_while_a_change_is_acknowledged(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await everything_of(bed, ("IPv4",))
        await served(bed)
        await bed.scale(2)
        await bed.until(lambda: (bed.state() or ("", "", ""))[2] == "2/2")
        found = await inspect_bed.explained(bed)
        assert found.served == ("192.0.2.1",)
        assert found.waits_for is None
        (line,) = stage(found, "nodes").details
        assert line.startswith("node-1: 2 members, behind: slices ")

    beside(body)


def test_an_address_on_its_way_in_is_waited_for(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await everything_of(bed, ("IPv4",))
        await served(bed)
        patch = {"spec": {"loadBalancerIP": "192.0.2.3"}}
        await bed.api.patch(resources.SERVICES, "kuard", patch, "default")
        await bed.until(lambda: len((bed.decision() or {})["spec"]["vips"]) == 2)
        found = await inspect_bed.explained(bed)
        assert found.waits_for == stage(found, "move")
        assert stage(found, "move").text == "192.0.2.3 leads when traffic to it works"
        assert stage(found, "move").reason is Reason.WAITING_FOR_AGENT
        assert found.served == ("192.0.2.1",)

    beside(body)


def test_an_address_on_its_way_out_goes_on_for_the_ttl(tmp_path: Path) -> None:
    async def within() -> None:
        async with controller_bed.controlled(tmp_path, SLOW_NAMES) as bed:
            await member(bed)
            await served(bed)
            patch = {"spec": {"loadBalancerIP": "192.0.2.3"}}
            await bed.api.patch(resources.SERVICES, "kuard", patch, "default")
            await bed.until(lambda: bed.ingress() == ["192.0.2.3"])
            found = await inspect_bed.explained(bed, SLOW_NAMES)
            move = stage(found, "move")
            assert (move.mark, move.reason) == (Mark.WAITING, None)
            assert move.text == "192.0.2.1 goes on for clients that know it still"
            assert move.since
            assert found.waits_for == stage(found, "nodes")  # what keeps traffic away comes first

    event_loops.run(within(), event_loops.Hurried)


def test_the_router_is_waited_for_after_the_node(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await late_router(bed)
        found = await inspect_bed.explained(bed)
        assert [entry.name for entry in found.stages if entry.open] == ["fabric"]
        assert stage(found, "status").mark is Mark.NOT_REACHED
        first, second = stage(found, "fabric").details
        assert first == "Fabric leaf"
        assert second.startswith("router: behind: decisions 0 of ")

    beside(body)


def test_an_endpoint_without_a_node_is_no_member(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await agent(bed)
        end: dict[str, Any] = {"addresses": ["10.9.9.9"], "conditions": {"ready": True}}
        slice_ = bed.find(resources.ENDPOINT_SLICES, "kuard-abc", "default")
        assert slice_ is not None
        slice_["endpoints"] = [*slice_["endpoints"], end]
        await bed.api.replace(resources.ENDPOINT_SLICES, slice_, "default")
        found = await inspect_bed.explained(bed)
        assert len(stage(found, "nodes").details) == 1
        assert "10.9.9.9: on no node, so nobody takes connections to it" in (
            stage(found, "members").details
        )

    beside(body)


def test_a_list_of_many_members_is_cut(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.scale(25)
        await bed.create()
        await bed.until(lambda: bed.decision() is not None)
        found = await inspect_bed.explained(bed)
        assert stage(found, "members").details[-1] == "... and 5 more"
        assert stage(found, "nodes").details == (
            "node-1: 25 members, no agent there has ever reported",
        )

    beside(body)


# --- what is left over ----------------------------------------------------------------------------


def test_a_service_that_went_may_leave_something(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await withdrawn(bed)
        await bed.until(lambda: bed.phase() == "Withdrawn")
        patch = {"metadata": {"finalizers": None}}
        await bed.api.patch(resources.SERVICES, "kuard", patch, "default")
        assert bed.service() is None
        found = await inspect_bed.explained(bed)
        assert [entry.name for entry in found.stages] == [
            "service",
            "controller",
            "withdrawal",
            "address",
        ]
        assert found.waits_for == stage(found, "withdrawal")
        assert stage(found, "withdrawal").details[0].startswith("node-1: not removed yet: ")

    beside(body)


def test_an_agent_that_cannot_remove_it_says_why(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await withdrawn(bed)
        await bed.until(lambda: bed.phase() == "Withdrawn")
        fault = {"key": "default.kuard", "reason": "Stuck", "message": "switch is gone"}
        await bed.acknowledge("node-1", exceptions=[fault])
        found = await inspect_bed.explained(bed)
        assert stage(found, "withdrawal").details == ("node-1: not removed: Stuck: switch is gone",)

    beside(body)


def test_the_predecessor_of_the_same_name_goes_first(alone: Play) -> None:
    async def body(bed: Bed) -> None:
        await led(bed)
        await inspect_bed.decide(bed, "uid-of-before")
        found = await inspect_bed.explained(bed)
        withdrawal = stage(found, "withdrawal")
        assert withdrawal.reason is Reason.WAITING_FOR_CONTROLLER
        assert withdrawal.text.endswith("phase Serving: to be withdrawn")

    alone(body)


def test_addresses_left_without_a_decision_are_to_be_given_back(alone: Play) -> None:
    async def body(bed: Bed) -> None:
        await inspect_bed.leads(bed)
        made = await bed.create(type="ClusterIP")
        await inspect_bed.decide(bed, made["metadata"]["uid"])
        await bed.api.delete(resources.L4_VIRTUAL_SERVICES, "default.kuard")
        found = await inspect_bed.explained(bed)
        assert stage(found, "address").text == "192.0.2.1 of pool default is to be given back"

    alone(body)


def test_the_address_of_a_predecessor_is_given_back_first(alone: Play) -> None:
    async def body(bed: Bed) -> None:
        await led(bed)
        await inspect_bed.decide(bed, "uid-of-before")
        await bed.api.delete(resources.L4_VIRTUAL_SERVICES, "default.kuard")
        address = stage(await inspect_bed.explained(bed), "address")
        assert (address.mark, address.reason) == (Mark.WAITING, Reason.WAITING_FOR_CONTROLLER)
        assert address.text == ("192.0.2.1 is still held for a Service of that name that is gone")

    alone(body)


def test_a_finalizer_that_is_left_is_to_be_removed(alone: Play) -> None:
    async def body(bed: Bed) -> None:
        await led(bed)
        name = "service.kubernetes.io/load-balancer-cleanup"
        patch = {"metadata": {"finalizers": [name]}}
        await bed.api.patch(resources.SERVICES, "kuard", patch, "default")
        await bed.delete()
        found = await inspect_bed.explained(bed)
        assert stage(found, "finalizer").mark is Mark.WAITING
        assert explain.sentence(found).startswith("default/kuard waits at stage finalizer: ")

    alone(body)


def test_a_service_of_another_type_without_leftovers_is_just_that(alone: Play) -> None:
    async def body(bed: Bed) -> None:
        await inspect_bed.leads(bed)
        await bed.create(type="NodePort")
        found = await inspect_bed.explained(bed)
        assert found.waits_for is not None
        assert found.waits_for.text == "spec.type is NodePort"
        assert len(found.stages) == 2

    alone(body)


# --- who decides ----------------------------------------------------------------------------------


def test_a_controller_that_gave_up_its_lease_is_none(alone: Play) -> None:
    async def body(bed: Bed) -> None:
        await inspect_bed.leads(bed, holder="")
        await bed.create()
        found = await inspect_bed.explained(bed)
        controller = stage(found, "controller")
        assert controller.reason is Reason.NO_CONTROLLER
        assert controller.text == "Lease lbctl-controller is given up"
        assert controller.since

    alone(body)


def test_where_every_lease_looks_old_a_second_look_tells(alone: Play) -> None:
    async def body(bed: Bed) -> None:
        await inspect_bed.leads(bed)
        await bed.create()
        old = {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 9}}
        name = SETTINGS.lease.name
        await bed.api.patch(resources.LEASES, name, old, NAMESPACE)
        assert stage(await inspect_bed.explained(bed), "controller").mark is Mark.FAILING
        looking = inspect_bed.explained(bed)
        async with event_loops.running(looking) as (task,):
            await event_loops.until(lambda: leases_read(bed) == 3)
            old["spec"]["renewTime"] = "2026-01-01T00:00:02.000000Z"
            await bed.api.patch(resources.LEASES, name, old, NAMESPACE)
            assert stage(await task, "controller").mark is Mark.DONE

    alone(body)


def leases_read(bed: Bed) -> int:
    path = resources.LEASES.path(NAMESPACE)
    return bed.fake.calls.count(f"GET {path}")


def test_what_may_not_be_read_is_an_error_and_no_guess(alone: Play) -> None:
    async def body(bed: Bed) -> None:
        await led(bed)
        bed.fake.refuse("GET", "servingnodes", Refusal(403, "Forbidden", "not for you"))
        with pytest.raises(ExceptionGroup) as raised:
            await gather.around(bed.api, SETTINGS, inspect_bed.KEY)
        assert raised.group_contains(errors.Unauthorised, match="servingnodes: 403 not for you")

    alone(body)


# --- how it reads ---------------------------------------------------------------------------------


def test_the_text_has_the_cure_below_what_is_wrong(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await not_ready(bed)
        await bed.until(lambda: bed.state() == ("Down", "NoReadyEndpoints", "0/1"))
        found = await inspect_bed.explained(bed)
        now = (await inspect_bed.scene(bed)).now
        lines = explained.render_text(found, now).splitlines()
        place = next(n for n, line in enumerate(lines) if line.startswith("failing  members"))
        assert "NoReadyEndpoints: 0 of 1 endpoints are usable" in lines[place]
        assert lines[place + 1].strip() == (
            "the Service has endpoints but none is ready; check the pods"
        )
        assert lines[place + 2].strip() == "10.244.1.1 on node-1: not ready"

    beside(body)


def test_everything_up_is_nine_stages_done(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await everything(bed)
        await served(bed)
        found = await inspect_bed.explained(bed)
        assert {entry.mark for entry in found.stages} == {Mark.DONE}
        assert len(found.stages) == 9

    beside(body)


def test_a_stage_without_a_reason_is_told_in_its_own_words() -> None:
    move = Stage("move", Mark.WAITING, "192.0.2.1 goes on", since="not a time")
    found = Explanation("default/kuard", (move,), ("192.0.2.3",))
    assert explain.sentence(found) == (
        "default/kuard is served at 192.0.2.3, but waits at stage move since not a time: "
        "192.0.2.1 goes on."
    )
    assert json.loads(explained.render_json(found))["waitsFor"]["reason"] == ""


def test_a_decision_that_is_not_what_it_should_be_is_to_be_changed(alone: Play) -> None:
    async def body(bed: Bed) -> None:
        await inspect_bed.leads(bed)
        made = await bed.create(ports=[{"port": 443}])
        await inspect_bed.decide(bed, made["metadata"]["uid"])
        decision = stage(await inspect_bed.explained(bed), "decision")
        assert decision.text.endswith("phase Serving: to be changed")
        assert decision.reason is Reason.WAITING_FOR_CONTROLLER

    alone(body)


def test_without_members_a_fabric_has_nothing_to_do(beside: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.fabric()
        await bed.create()
        await served(bed)
        fabric = stage(await inspect_bed.explained(bed), "fabric")
        assert fabric.mark is Mark.NOT_REACHED

    beside(body)
