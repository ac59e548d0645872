"""The controller's walk on a real API server: its writes pass schemas, defaults and validation.

The same walk on the API server in memory is `tests/unit/lbctl/engine`.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

import api_builders
import controller_bed
import event_loops
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl.settings import AddressPoolSettings
from lbctl.translate.service import FINALIZER
from real_controller import controlled, until, until_gone

pytestmark = pytest.mark.root
# The contract of the API leaves Services behind on that server: there is room for all of them.
POOLS = (AddressPoolSettings(name="default", addresses=("198.51.100.0/24", "2001:db8::/112")),)
SETTINGS = controller_bed.SETTINGS.model_copy(update={"address_pools": POOLS})
True_ = Callable[[Json | None], bool]


def is_shown(obj: Json | None) -> bool:
    return bool(obj and obj["status"].get("loadBalancer", {}).get("ingress"))


def has_members(members: str) -> True_:
    return lambda obj: bool(obj and (obj.get("status") or {}).get("members") == members)


async def slices(api: Client, name: str) -> None:
    body = {
        "metadata": {"name": f"{name}-abc", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.244.1.1"], "nodeName": "node-1", "conditions": {"ready": True}}
        ],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    }
    await api.create(resources.ENDPOINT_SLICES, body, "default")


def test_a_service_is_born_served_and_gone_without_a_trace(real_api: Path, name: str) -> None:
    async def body() -> None:
        async with controlled(real_api, SETTINGS) as api:
            await slices(api, name)
            await api.create(resources.SERVICES, api_builders.service(name), "default")
            service = await until(api, resources.SERVICES, name, is_shown)
            assert service is not None
            assert FINALIZER in service["metadata"]["finalizers"]
            (ingress,) = service["status"]["loadBalancer"]["ingress"]
            decision = await until(
                api, resources.L4_VIRTUAL_SERVICES, f"default.{name}", has_members("1/1")
            )
            assert decision is not None
            assert decision["spec"]["vips"][0]["address"] == ingress["ip"]
            assert decision["spec"]["names"][0]["published"] is True
            assert decision["status"]["state"] == "Down"
            allocation = decision["spec"]["vips"][0]["allocation"]["name"]
            await api.delete(resources.SERVICES, name, "default")
            await until_gone(api, resources.SERVICES, name)
            for resource, gone in (
                (resources.L4_VIRTUAL_SERVICES, f"default.{name}"),
                (resources.IP_ALLOCATIONS, allocation),
            ):
                with pytest.raises(errors.NotFound):
                    await api.get(resource, gone)

    event_loops.run(body())


def test_a_service_that_changes_its_type_is_let_go(real_api: Path, name: str) -> None:
    async def body() -> None:
        async with controlled(real_api, SETTINGS) as api:
            await api.create(resources.SERVICES, api_builders.service(name), "default")
            await until(api, resources.SERVICES, name, is_shown)
            spec = {"type": "ClusterIP", "allocateLoadBalancerNodePorts": None}
            await api.patch(resources.SERVICES, name, {"spec": spec}, "default")
            clean = await until(
                api,
                resources.SERVICES,
                name,
                lambda obj: bool(obj and not obj["status"].get("conditions")),
            )
            assert clean is not None
            assert FINALIZER not in clean["metadata"].get("finalizers", [])

    event_loops.run(body())


def test_the_health_check_port_comes_and_goes_with_local_traffic(real_api: Path, name: str) -> None:
    def asks_at(port: int | None) -> True_:
        return lambda obj: bool(obj and obj["spec"]["policy"].get("healthCheckNodePort") == port)

    async def body() -> None:
        async with controlled(real_api, SETTINGS) as api:
            obj = api_builders.service(name, externalTrafficPolicy="Local")
            made = await api.create(resources.SERVICES, obj, "default")
            port = made["spec"]["healthCheckNodePort"]
            await until(api, resources.L4_VIRTUAL_SERVICES, f"default.{name}", asks_at(port))
            spec = {"externalTrafficPolicy": "Cluster"}
            await api.patch(resources.SERVICES, name, {"spec": spec}, "default")
            await until(api, resources.L4_VIRTUAL_SERVICES, f"default.{name}", asks_at(None))

    event_loops.run(body())


def test_an_address_that_cannot_be_had_is_told(real_api: Path, name: str) -> None:
    async def body() -> None:
        async with controlled(real_api, SETTINGS) as api:
            obj = api_builders.service(name, loadBalancerIP="203.0.113.1")
            await api.create(resources.SERVICES, obj, "default")
            told = await until(
                api,
                resources.SERVICES,
                name,
                lambda obj: bool(obj and obj["status"].get("conditions")),
            )
            assert told is not None
            assert [entry["reason"] for entry in told["status"]["conditions"]] == [
                "AddressNotInPool"
            ]

    event_loops.run(body())


def test_another_address_takes_over_in_place(real_api: Path, name: str) -> None:
    def shows(address: str) -> True_:
        ingress = [{"ip": address, "ipMode": "VIP"}]
        return lambda obj: bool(obj and obj["status"]["loadBalancer"].get("ingress") == ingress)

    async def body() -> None:
        async with controlled(real_api, SETTINGS) as api:
            await slices(api, name)
            obj = api_builders.service(name, loadBalancerIP="198.51.100.201")
            await api.create(resources.SERVICES, obj, "default")
            await until(api, resources.SERVICES, name, shows("198.51.100.201"))
            listed = await api.list(resources.L4_VIRTUAL_SERVICES)
            patch = {"spec": {"loadBalancerIP": "198.51.100.202"}}
            await api.patch(resources.SERVICES, name, patch, "default")
            await until(api, resources.SERVICES, name, shows("198.51.100.202"))
            stages = await stages_since(api, f"default.{name}", listed.resource_version)
            assert stages == [
                [("198.51.100.201", "Current", False), ("198.51.100.202", "Incoming", False)],
                [("198.51.100.202", "Current", False), ("198.51.100.201", "Outgoing", True)],
                [("198.51.100.202", "Current", False)],
            ]
            with pytest.raises(errors.NotFound):
                while True:
                    await api.get(resources.IP_ALLOCATIONS, "ip-198-51-100-201")

    event_loops.run(body())


async def stages_since(api: Client, name: str, version: str) -> list[list[tuple[str, str, bool]]]:
    """Return the addresses that a decision had, one after another, until it has one again."""
    found: list[list[tuple[str, str, bool]]] = []
    watch = api.watch(resources.L4_VIRTUAL_SERVICES, version)
    async with contextlib.aclosing(watch) as changes:
        async for event in changes:
            if event.type == "BOOKMARK" or event.object["metadata"]["name"] != name:
                continue
            vips = event.object["spec"]["vips"]
            now = [(vip["address"], vip["role"], "drainStart" in vip) for vip in vips]
            if now not in found and now != [("198.51.100.201", "Current", False)]:
                found.append(now)
            if now == [("198.51.100.202", "Current", False)]:
                return found
    raise AssertionError("the watch ended")
