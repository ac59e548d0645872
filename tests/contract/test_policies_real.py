"""L4Policies on a real API server: what it refuses itself, and the controller at work on them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import api_builders
import controller_bed
import event_loops
import policy_builders as built
from lbctl.kube import config, resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl.model.monitors import Kind, Monitor, render_monitor
from lbctl.model.policy import Demand
from lbctl.translate.policies import translate_policy
from real_controller import controlled, until

pytestmark = pytest.mark.root
POLICIES = resources.L4_POLICIES
DECISIONS = resources.L4_VIRTUAL_SERVICES
# A class of its own: Services that other tests of this session left behind are not touched.
CLASS = "example.org/policies"
SETTINGS = controller_bed.SETTINGS.model_copy(
    update={
        "l4": controller_bed.SETTINGS.l4.model_copy(
            update={"default_lb_controller": False, "load_balancer_class": CLASS}
        )
    }
)


def body_of(name: str, spec: dict[str, Any]) -> Json:
    return {"metadata": {"name": name}, "spec": spec}


def stored(real_api: Path, name: str, spec: dict[str, Any]) -> Json:
    """Return what the server keeps of a policy; raises Rejected."""
    found: list[Json] = []

    async def made(api: Client) -> None:
        found.append(await api.create(POLICIES, body_of(name, spec), "default"))
        await api.delete(POLICIES, name, "default")

    api_builders.ask(made, config.load(real_api))
    return found[0]


GOOD: list[dict[str, Any]] = [
    {"targetRefs": [{"name": "kuard"}]},
    built.spec_of("a", "b", enabled=False),
    built.spec_of(algorithm="least-connections"),
    built.spec_of(persistence={"type": "ClientIP", "timeoutSeconds": 60}),
    built.spec_of(persistence={"type": "None"}),
    built.spec_of(sourceRanges=["192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0"]),
    built.spec_of(limits={"connections": 1, "connectionsPerSecond": 2, "connectionsPerClient": 3}),
    built.spec_of(drainTimeoutSeconds=0),
    built.spec_of(
        memberWeights=[
            {"weight": 0, "node": "node-1"},
            {"weight": 100, "addresses": "2001:db8::/32"},
        ]
    ),
    built.spec_of(monitor={"type": "https", "port": 8443, "codes": ["200-299"], "verify": True}),
]


@pytest.mark.parametrize("spec", GOOD)
def test_a_policy_that_makes_sense_is_taken_and_understood(
    real_api: Path, name: str, spec: dict[str, Any]
) -> None:
    obj = stored(real_api, name, spec)
    found = translate_policy(obj)
    assert isinstance(found.demand, Demand), found.demand
    assert obj["spec"]["enabled"] is spec.get("enabled", True)
    assert found.demand.rules == translate_policy({**obj, "spec": spec}).counting.rules  # type: ignore[union-attr]


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "targetRefs"),
    ({"targetRefs": []}, "should have at least 1 items"),
    (built.spec_of("a", "a"), "a Service is named twice"),
    ({"targetRefs": [{"kind": "Gateway", "name": "a"}]}, "Gateway"),
    ({"targetRefs": [{"group": "apps", "name": "a"}]}, "apps"),
    (built.spec_of(*(f"s{number}" for number in range(17))), "must have at most 16 items"),
    (built.spec_of(algorithm="fastest"), "fastest"),
    (built.spec_of(persistence={"type": "Cookie"}), "Cookie"),
    (built.spec_of(persistence={"type": "None", "timeoutSeconds": 5}), "needs type ClientIP"),
    (built.spec_of(persistence={"timeoutSeconds": 5}), "type"),
    (built.spec_of(sourceRanges=["nonsense"]), "is not a CIDR"),
    (built.spec_of(sourceRanges=["192.0.2.1"]), "is not a CIDR"),
    (built.spec_of(sourceRanges=["192.0.2.1/24"]), "bits set beyond its prefix"),
    (built.spec_of(limits={}), "at least 1 properties"),
    (built.spec_of(limits={"connections": 0}), "connections"),
    (built.spec_of(drainTimeoutSeconds=-1), "drainTimeoutSeconds"),
    (built.spec_of(memberWeights=[{"weight": 1}]), "node or addresses says which members"),
    (built.spec_of(memberWeights=[{"weight": 101, "node": "n"}]), "weight"),
    (built.spec_of(memberWeights=[{"weight": 1, "addresses": "10.0.0.1/8"}]), "bits set beyond"),
    (built.spec_of(drainTimeoutSeconds=86_401), "drainTimeoutSeconds"),
    (built.spec_of(enabled="no"), "enabled"),
    (built.spec_of(monitor={"port": 81}), "type"),
    (built.spec_of(monitor={"type": "tcp", "timeoutMilliseconds": 9000}), "longer than half"),
]


@pytest.mark.parametrize(("spec", "message"), BAD)
def test_a_policy_that_makes_no_sense_is_refused_by_the_server(
    real_api: Path, name: str, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.Rejected, match=message):
        stored(real_api, name, spec)


# --- with a controller ---------------------------------------------------------------------------


def says(kind: str, status: str, reason: str) -> Callable[[Json], bool]:
    """Tell of an object whether a condition is so."""

    def true(obj: Json) -> bool:
        listed = (obj.get("status") or {}).get("conditions") or ()
        return (kind, status, reason) in {
            (entry["type"], entry["status"], entry["reason"]) for entry in listed
        }

    return true


def decided(**policy: object) -> Callable[[Json], bool]:
    """Tell of a decision whether its policy has these fields."""
    return lambda obj: policy.items() <= obj["spec"]["policy"].items()


def has_address(obj: Json) -> bool:
    return bool((obj["status"].get("loadBalancer") or {}).get("ingress"))


async def create(api: Client, name: str) -> None:
    await api.create(
        resources.SERVICES, api_builders.service(name, loadBalancerClass=CLASS), "default"
    )


async def events_about(api: Client, policy: str) -> list[tuple[str, str]]:
    """Return type and reason of the events about a policy, as `kubectl describe` finds them."""
    about = f"involvedObject.kind=L4Policy,involvedObject.name={policy}"
    found = await api.raw("GET", f"/api/v1/namespaces/default/events?fieldSelector={about}")
    return [(entry["type"], entry["reason"]) for entry in found["items"]]


def test_a_policy_counts_for_its_service_and_the_oldest_of_two(real_api: Path, name: str) -> None:
    async def body() -> None:
        one, two = f"{name}-a", f"{name}-b"
        async with controlled(real_api, SETTINGS) as api:
            spec = built.spec_of(name, algorithm="source-hash", monitor={"type": "udp"})
            await api.create(POLICIES, body_of(one, spec), "default")
            await until(api, POLICIES, one, says("Accepted", "False", "TargetNotFound"))
            await create(api, name)
            await until(api, POLICIES, one, says("Accepted", "True", "Accepted"))
            monitor = render_monitor(Monitor(Kind.UDP))
            wanted = decided(algorithm="source-hash", monitor=monitor)
            await until(api, DECISIONS, f"default.{name}", wanted)
            # Of one second or not: the name comes after.
            off = built.spec_of(name, enabled=False)
            await api.create(POLICIES, body_of(two, off), "default")
            await until(api, POLICIES, two, says("Accepted", "False", "Conflicted"))
            await until(api, DECISIONS, f"default.{name}", wanted)
            await api.delete(POLICIES, one, "default")
            await until(api, DECISIONS, f"default.{name}", decided(enabled=False))
            told = says("lbctl.io/DataplaneReady", "False", "TrafficOff")
            await until(api, resources.SERVICES, name, told)
            await api.delete(POLICIES, two, "default")
            await until(
                api, DECISIONS, f"default.{name}", lambda o: "enabled" not in o["spec"]["policy"]
            )
            await api.delete(resources.SERVICES, name, "default")

    event_loops.run(body())


@contextlib.asynccontextmanager
async def lax(api: Client) -> AsyncIterator[None]:
    """Let the server take any policy meanwhile, as one of another version might."""
    known = resources.DEFINITIONS, "l4policies.lbctl.io"

    async def takes(value: Json) -> Json:
        found = await api.get(*known)
        schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        before: Json = schema["spec"]
        schema["spec"] = value
        await api.replace(known[0], found)
        return before

    strict = await takes({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    try:
        yield
    finally:
        await takes(strict)


async def insist(ask: Callable[[], Coroutine[Any, Any, Json]]) -> Json:
    """Ask until the server's new schema has come into force; return its answer."""
    while True:
        with contextlib.suppress(errors.Rejected, errors.Retryable):
            return await ask()
        await asyncio.sleep(0.05)


async def judged(api: Client, policy: str, reason: str) -> Json:
    """Return a policy that is not accepted for a reason; watches end while the schema changes."""
    while True:
        obj = await insist(lambda: api.get(POLICIES, policy, "default"))
        if says("Accepted", "False", reason)(obj):
            return obj
        await asyncio.sleep(0.05)


def test_a_policy_from_before_the_schema_keeps_closed_what_is_new_and_open_what_was(
    real_api: Path, name: str
) -> None:
    async def body() -> None:
        new, old = f"{name}-new", f"{name}-old"
        async with controlled(real_api, SETTINGS) as api:
            good = built.spec_of(old, sourceRanges=["192.0.2.0/24"])
            await api.create(POLICIES, body_of(old, good), "default")
            await create(api, old)
            await until(api, POLICIES, old, says("Accepted", "True", "Accepted"))
            bad = body_of(new, built.spec_of(new, **built.BAD))
            async with lax(api):
                await insist(lambda: api.create(POLICIES, bad, "default"))
                spoilt = {"spec": built.BAD}
                await insist(lambda: api.patch(POLICIES, old, spoilt, "default"))
            # The status of what the schema would refuse by now can still be written.
            seen = await judged(api, old, "Invalid")
            assert seen["status"]["accepted"]["sourceRanges"] == ["192.0.2.0/24"]
            await judged(api, new, "Invalid")
            await create(api, new)
            refused = says("lbctl.io/DataplaneReady", "False", "PolicyRefused")
            closed = await until(api, resources.SERVICES, new, refused)
            assert not has_address(closed)
            with pytest.raises(errors.NotFound):
                await api.get(DECISIONS, f"default.{new}")
            wanted = decided(sourceRanges=["192.0.2.0/24"])
            await until(api, DECISIONS, f"default.{old}", wanted)
        async with controlled(real_api, SETTINGS) as api:
            mended = {"spec": {"sourceRanges": ["198.51.100.0/24"]}}
            await insist(lambda: api.patch(POLICIES, new, mended, "default"))
            await until(api, resources.SERVICES, new, has_address)
            await until(api, DECISIONS, f"default.{new}", decided(sourceRanges=["198.51.100.0/24"]))
            await until(api, DECISIONS, f"default.{old}", wanted)
            assert await events_about(api, old) == [("Warning", "Invalid")]
            for made in (new, old):
                await api.delete(resources.SERVICES, made, "default")
                await api.delete(POLICIES, made, "default")

    event_loops.run(body())
