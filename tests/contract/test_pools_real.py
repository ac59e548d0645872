"""AddressPool objects on a real API server, with the controller at work."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import api_builders
import controller_bed
import event_loops
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.settings import AddressPoolSettings
from real_controller import controlled, until

pytestmark = pytest.mark.root
POOLS = resources.ADDRESS_POOLS
LISTED = (AddressPoolSettings(name="settings-pool", addresses=("203.0.113.0/30",)),)
# A class of its own: Services that other tests of this session left behind are not touched.
CLASS = "example.org/pools"
SETTINGS = controller_bed.SETTINGS.model_copy(
    update={
        "address_pools": LISTED,
        "l4": controller_bed.SETTINGS.l4.model_copy(
            update={"default_lb_controller": False, "load_balancer_class": CLASS}
        ),
    }
)


def is_ready(status: str, reason: str) -> Callable[[Json], bool]:
    def true(obj: Json) -> bool:
        conditions = (obj.get("status") or {}).get("conditions") or ()
        return [(entry["status"], entry["reason"]) for entry in conditions] == [(status, reason)]

    return true


def counts(assigned: str, available: str) -> Callable[[Json], bool]:
    def true(obj: Json) -> bool:
        status = obj.get("status") or {}
        found = [status.get(key, {}).get("ipv4") for key in ("assigned", "available")]
        return found == [assigned, available]

    return true


def shows(*addresses: str) -> Callable[[Json], bool]:
    def true(obj: Json) -> bool:
        ingress = (obj["status"].get("loadBalancer") or {}).get("ingress") or ()
        return [entry["ip"] for entry in ingress] == list(addresses)

    return true


def refused(reason: str) -> Callable[[Json], bool]:
    def true(obj: Json) -> bool:
        conditions = obj["status"].get("conditions") or ()
        return any(entry["reason"] == reason for entry in conditions)

    return true


async def declare(api: Client, name: str, *addresses: str, **spec: Any) -> None:
    body = {"metadata": {"name": name}, "spec": {"addresses": list(addresses), **spec}}
    await api.create(POOLS, body)


async def create(api: Client, name: str, **spec: Any) -> None:
    obj = api_builders.service(name, loadBalancerClass=CLASS, **spec)
    await api.create(resources.SERVICES, obj, "default")


def test_pools_of_settings_are_mirrored_and_of_objects_judged(real_api: Path, name: str) -> None:
    async def body() -> None:
        async with controlled(real_api, SETTINGS) as api:
            mirror = await until(api, POOLS, "settings-pool", is_ready("True", "Serves"))
            assert mirror["metadata"]["labels"] == {"lbctl.io/from": "settings"}
            assert counts("0", "2")(mirror)
            await declare(api, f"{name}-twice", "203.0.113.2-203.0.113.9")
            await until(api, POOLS, f"{name}-twice", is_ready("False", "Overlaps"))
            await declare(api, f"{name}-back", "198.19.9.9-198.19.9.1")
            await until(api, POOLS, f"{name}-back", is_ready("False", "Malformed"))
            patch = {"spec": {"addresses": ["198.19.9.1-198.19.9.9"]}}
            await api.patch(POOLS, f"{name}-back", patch)
            await until(api, POOLS, f"{name}-back", is_ready("True", "Serves"))
            for made in ("twice", "back"):
                await api.delete(POOLS, f"{name}-{made}")

    event_loops.run(body())


def test_a_pool_that_changes_moves_nobody_and_helps_who_waits(real_api: Path, name: str) -> None:
    async def body() -> None:
        one, two = f"{name}-one", f"{name}-two"
        async with controlled(real_api, SETTINGS) as api:
            await declare(api, name, "198.19.7.1-198.19.7.1", autoAssign=False)
            wanted = {"annotations": {"lbctl.io/address-pool": name}}
            for service in (one, two):
                obj = api_builders.service(service, loadBalancerClass=CLASS)
                obj["metadata"] |= wanted
                await api.create(resources.SERVICES, obj, "default")
                if service == one:
                    await until(api, resources.SERVICES, one, shows("198.19.7.1"))
            await until(api, resources.SERVICES, two, refused("PoolExhausted"))
            await until(api, POOLS, name, counts("1", "0"))
            await api.patch(POOLS, name, {"spec": {"addresses": ["198.19.7.5-198.19.7.6"]}})
            await until(api, resources.SERVICES, two, shows("198.19.7.5"))
            await until(api, resources.SERVICES, one, shows("198.19.7.1"))
            await until(api, POOLS, name, counts("2", "1"))
            await api.delete(POOLS, name)
        # A controller that comes up without the pool lets everybody keep what he has.
        async with controlled(real_api, SETTINGS) as api:
            await create(api, f"{name}-other")
            await until(api, resources.SERVICES, f"{name}-other", shows("203.0.113.1"))
            await until(api, resources.SERVICES, one, shows("198.19.7.1"))
            await until(api, resources.SERVICES, two, shows("198.19.7.5"))
            for service in (one, two, f"{name}-other"):
                await api.delete(resources.SERVICES, service, "default")
            await until(api, POOLS, "settings-pool", counts("0", "2"))

    event_loops.run(body())


async def asks(api: Client, service: str, pool: str) -> None:
    """Create a Service that wants an address of one pool."""
    obj = api_builders.service(service, loadBalancerClass=CLASS)
    obj["metadata"] |= {"annotations": {"lbctl.io/address-pool": pool}}
    await api.create(resources.SERVICES, obj, "default")


async def told(api: Client, pool: str) -> list[tuple[str, str]]:
    """Return type and reason of the events about a pool, as `kubectl describe` finds them."""
    path = f"/api/v1/events?fieldSelector=involvedObject.name={pool}"
    found = (await api.raw("GET", path))["items"]
    assert {entry["involvedObject"]["kind"] for entry in found} <= {"AddressPool"}
    found.sort(key=lambda entry: int(entry["metadata"]["resourceVersion"]))
    return [(entry["type"], entry["reason"]) for entry in found]


def test_a_pool_that_was_edited_badly_gives_on_and_so_it_does_for_the_next_controller(
    real_api: Path, name: str
) -> None:
    async def body() -> None:
        one, two, late = f"{name}-one", f"{name}-two", f"{name}-late"
        async with controlled(real_api, SETTINGS) as api:
            serves = {"namespaces": ["default"]}
            await declare(api, name, "198.19.6.1-198.19.6.9", autoAssign=False, serves=serves)
            good = await until(api, POOLS, name, is_ready("True", "Serves"))
            # The API server lets a range through that ends before it begins.
            await api.patch(POOLS, name, {"spec": {"addresses": ["198.19.6.9-198.19.6.1"]}})
            bad = await until(api, POOLS, name, is_ready("False", "Malformed"))
            assert bad["status"]["accepted"] == good["spec"]
            assert "last good spec" in bad["status"]["conditions"][0]["message"]
            await asks(api, one, name)
            await until(api, resources.SERVICES, one, shows("198.19.6.1"))
        async with controlled(real_api, SETTINGS) as api:
            await asks(api, two, name)
            await until(api, resources.SERVICES, two, shows("198.19.6.2"))
            # Nobody else comes by what the last good spec has.
            await declare(api, late, "198.19.6.5")
            await until(api, POOLS, late, is_ready("False", "Overlaps"))
            mended = {"addresses": ["198.19.6.1-198.19.6.4"], "serves": None}
            await api.patch(POOLS, name, {"spec": mended})
            right = await until(api, POOLS, name, is_ready("True", "Serves"))
            assert right["status"]["accepted"] == right["spec"]
            assert "serves" not in right["status"]["accepted"]
            await until(api, POOLS, late, is_ready("True", "Serves"))
            while len(await told(api, name)) < 2:  # noqa: ASYNC110 (the limit of `run` ends it)
                await asyncio.sleep(0.05)
            assert await told(api, name) == [("Warning", "Malformed"), ("Normal", "Serves")]
            for service in (one, two):
                await api.delete(resources.SERVICES, service, "default")
            await until(api, POOLS, name, counts("0", "4"))
            for pool in (name, late):
                await api.delete(POOLS, pool)

    event_loops.run(body())
