"""What a controller shows of itself, read as Prometheus does while it works."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import controller_bed
import event_loops
import metrics_reader
from controller_bed import SETTINGS, Bed
from fakes.api_objects import Refusal
from lbctl.engine import events, metrics
from lbctl.kube import resources
from lbctl.kube.store import Change
from lbctl.runtime import metrics as common
from lbctl.settings import MetricsSettings, Settings

Body = Callable[[Bed, int], Coroutine[Any, Any, None]]


def settings(port: int) -> Settings:
    return SETTINGS.model_copy(update={"metrics": MetricsSettings(port=port)})


def play(folder: Path, body: Body) -> None:
    """Run a body beside a controller that shows its metrics on a port."""
    port = metrics_reader.free_port()

    async def within() -> None:
        async with controller_bed.controlled(folder, settings(port)) as bed:
            await body(bed, port)

    event_loops.run(within(), event_loops.Hurried)


def test_a_birth_is_measured_and_its_addresses_are_used(tmp_path: Path) -> None:
    async def body(bed: Bed, port: int) -> None:
        before = await metrics_reader.until(port, lambda shown: shown.value("lbctl_leader") == 1)
        assert before.value("lbctl_pool_addresses", pool="default", family="IPv4") == 3
        assert before.value("lbctl_pool_addresses", pool="default", family="IPv6") == 15
        assert before.value("lbctl_pool_addresses_used", pool="default", family="IPv4") == 0
        await bed.create()
        await controller_bed.served(bed)
        after = await metrics_reader.until(
            port, lambda shown: shown.value("lbctl_birth_seconds_count") == 1
        )
        assert after.value("lbctl_birth_seconds_sum") > 0
        assert after.value("lbctl_pool_addresses_used", pool="default", family="IPv4") == 1
        done = after.value("lbctl_passes_total", result="done")
        assert done >= 1
        assert after.value("lbctl_pass_seconds_count") == done
        assert after.total("lbctl_api_requests_total", verb="create", code="201") >= 2
        assert after.value("lbctl_api_watches", resource="services") == 1
        assert after.has("process_resident_memory_bytes")

    play(tmp_path, body)


def test_services_are_shown_by_state_and_those_without_an_address_apart(tmp_path: Path) -> None:
    async def body(bed: Bed, port: int) -> None:
        for name in ("a", "b", "c", "d"):  # the pool has three addresses
            await bed.create(name)
        shown = await metrics_reader.until(
            port, lambda shown: shown.value("lbctl_services_refused") == 1
        )
        shown = await metrics_reader.until(
            port, lambda shown: shown.value("lbctl_virtual_services", state="Down") == 3
        )
        assert shown.value("lbctl_virtual_services", state="Up") == 0
        assert shown.value("lbctl_pool_addresses_used", pool="default", family="IPv4") == 3
        assert shown.value("lbctl_pool_ready", pool="default") == 1
        twice = {"metadata": {"name": "twice"}, "spec": {"addresses": ["192.0.2.2"]}}
        await bed.api.create(controller_bed.resources.ADDRESS_POOLS, twice)
        await metrics_reader.until(
            port, lambda shown: shown.value("lbctl_pool_ready", pool="twice") == 0
        )

    play(tmp_path, body)


def test_policies_are_shown_by_whether_they_count(tmp_path: Path) -> None:
    async def body(bed: Bed, port: int) -> None:
        await bed.create("web")
        for name, target in (("web", "web"), ("young", "web"), ("late", "absent")):
            policy = {"metadata": {"name": name}, "spec": {"targetRefs": [{"name": target}]}}
            await bed.api.create(controller_bed.resources.L4_POLICIES, policy, "default")
        for accepted, count in (("True", 1), ("False", 2), ("Unknown", 0)):
            await metrics_reader.until(
                port,
                lambda shown, accepted=accepted, count=count: (  # type: ignore[misc]
                    shown.value("lbctl_policies", accepted=accepted) == count
                ),
            )

    play(tmp_path, body)


def test_agents_are_shown_by_what_is_known_of_them(tmp_path: Path) -> None:
    async def body(bed: Bed, port: int) -> None:
        await bed.agent("node-1")
        await bed.agent("leaf", role="router")
        await metrics_reader.until(
            port,
            lambda shown: (
                shown.value("lbctl_agents", role="node", state="live") == 1
                and shown.value("lbctl_agents", role="router", state="live") == 1
            ),
        )
        await bed.acknowledge("node-1", allFailing=True)
        await metrics_reader.until(
            port, lambda shown: shown.value("lbctl_agents", role="node", state="failing") == 1
        )
        await bed.api.delete(
            controller_bed.resources.LEASES, "lbctl-agent-leaf", controller_bed.NAMESPACE
        )
        await metrics_reader.until(
            port, lambda shown: shown.value("lbctl_agents", role="router", state="lost") == 1
        )

    play(tmp_path, body)


@pytest.mark.parametrize(
    ("refusal", "result"),
    [
        (Refusal(409, "Conflict", "changed"), "conflict"),
        (Refusal(503, "ServiceUnavailable", "away"), "failed"),
    ],
)
def test_passes_count_by_how_they_end(tmp_path: Path, refusal: Refusal, result: str) -> None:
    async def body(bed: Bed, port: int) -> None:
        bed.fake.refuse("POST", "l4virtualservices", refusal)
        await bed.create()
        await controller_bed.served(bed)
        await metrics_reader.until(
            port, lambda shown: shown.value("lbctl_passes_total", result=result) == 1
        )

    play(tmp_path, body)


def test_a_controller_that_waits_for_the_lease_is_ready_and_does_not_lead(tmp_path: Path) -> None:
    async def body(bed: Bed, port: int) -> None:
        await metrics_reader.until(port, lambda shown: shown.value("lbctl_leader") == 1)
        other = metrics_reader.free_port()
        async with event_loops.running(bed.controller(settings(other))):
            assert await metrics_reader.until_status(other, "/readyz", 200) == "ok\n"
            await bed.create()
            await controller_bed.served(bed)
            shown = await metrics_reader.until(
                other,
                lambda shown: shown.value("lbctl_pool_addresses_used", pool="default",
                                          family="IPv4") == 1,
            )  # fmt: skip
            assert shown.value("lbctl_leader") == 0
            assert shown.value("lbctl_birth_seconds_count") == 0
            assert shown.total("lbctl_passes_total") == 0

    play(tmp_path, body)


def test_without_full_caches_it_is_alive_but_not_ready(tmp_path: Path) -> None:
    port = metrics_reader.free_port()

    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            bed.fake.unavailable_for = "servingnodes"
            async with event_loops.running(bed.controller(settings(port))):
                said = await metrics_reader.until_status(port, "/readyz", 503)
                assert "caches" in said
                assert (await metrics_reader.get(port, "/healthz"))[0] == 200
                bed.fake.unavailable_for = ""
                await metrics_reader.until_status(port, "/readyz", 200)

    event_loops.run(body(), event_loops.Hurried)


def test_metrics_can_be_off_while_health_is_answered(tmp_path: Path) -> None:
    port = metrics_reader.free_port()
    off = SETTINGS.model_copy(update={"metrics": MetricsSettings(port=port, enabled=False)})

    async def body() -> None:
        async with controller_bed.controlled(tmp_path, off):
            await metrics_reader.until_status(port, "/readyz", 200)
            assert (await metrics_reader.get(port, "/metrics"))[0] == 404

    event_loops.run(body(), event_loops.Hurried)


def test_a_crashed_pass_and_a_cancelled_one() -> None:
    registry = common.registry("test")
    passes, seconds = metrics.PASSES.counter(registry), metrics.PASS_SECONDS.histogram(registry)

    async def crash() -> None:
        raise KeyError("spec")

    async def body() -> None:
        clock = asyncio.get_running_loop().time
        with pytest.raises(KeyError):
            await metrics.timed(crash(), clock, passes, seconds)
        with pytest.raises(asyncio.CancelledError):
            await metrics.timed(_cancelled(), clock, passes, seconds)

    event_loops.run(body(), event_loops.Hurried)
    shown = metrics_reader.of(registry)
    assert shown.value("lbctl_passes_total", result="crashed") == 1
    assert shown.total("lbctl_passes_total") == 1
    assert shown.value("lbctl_pass_seconds_count") == 0


async def _cancelled() -> None:
    raise asyncio.CancelledError


def service(address: str = "", kind: str = "LoadBalancer") -> dict[str, Any]:
    ingress = [{"ip": address}] if address else []
    return {"spec": {"type": kind}, "status": {"loadBalancer": {"ingress": ingress}}}


def born(*changes: dict[str, Any] | None, leads: bool = True) -> list[float]:
    """Return how long births took, with a second between two changes of a Service."""
    registry = common.registry("test")
    moments = iter(range(100))
    births = metrics.Births(
        metrics.BIRTH_SECONDS.histogram(registry), lambda: leads, lambda: next(moments)
    )
    for obj in changes:
        births.seen(Change("default/kuard", None, obj))
    shown = metrics_reader.of(registry)
    return [shown.value(f"lbctl_birth_seconds_{part}") for part in ("count", "sum")]


def test_a_birth_lasts_from_the_first_sight_to_the_first_address() -> None:
    assert born(service(), service(), service("192.0.2.1"), service("192.0.2.1")) == [1, 1]


@pytest.mark.parametrize(
    "changes",
    [
        (service("192.0.2.1"),),
        (service(), None, service("192.0.2.1")),
        (service(), service(kind="ClusterIP"), service("192.0.2.1")),
    ],
    ids=["had one before", "went", "was of another type"],
)
def test_what_is_no_birth_is_not_measured(changes: tuple[dict[str, Any] | None, ...]) -> None:
    assert born(*changes) == [0, 0]


def test_a_birth_that_another_controller_brought_about_is_not_ours() -> None:
    assert born(service(), service("192.0.2.1"), leads=False) == [0, 0]


def test_events_that_are_refused_or_too_many_count_as_dropped(tmp_path: Path) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            recorder = events.Recorder(bed.api)
            about = events.Subject(resources.SERVICES, "default", "kuard", "uid")
            event = events.Event(about, True, "NoPool", "no pool")
            for _ in range(events.KEPT + 2):
                recorder.record(event)
            assert recorder.dropped == 2
            bed.fake.refuse("POST", "events", Refusal(403, "Forbidden", "because"))
            async with event_loops.running(recorder.run()):
                await event_loops.until(lambda: recorder.dropped == 3)

    event_loops.run(body(), event_loops.Hurried)
