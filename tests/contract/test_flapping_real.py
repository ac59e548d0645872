"""A Service that changes 20 times a second on a real API server, and others beside it."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

import api_builders
import controller_bed
import event_loops
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.kube.resources import Resource
from lbctl.settings import AddressPoolSettings
from real_controller import controlled, until

pytestmark = pytest.mark.root
# A class and a pool of its own: Services that other tests left behind are not touched.
CLASS = "example.org/flapping"
POOL = AddressPoolSettings(name="flapping", addresses=("203.0.113.128/26",))
SETTINGS = controller_bed.SETTINGS.model_copy(
    update={
        "address_pools": (POOL,),
        "l4": controller_bed.SETTINGS.l4.model_copy(
            update={"default_lb_controller": False, "load_balancer_class": CLASS}
        ),
    }
)
BETWEEN_S = 0.05
FLAPS = 60
BIRTHS = 8
WRITES_PER_FLAP = 14
"""A death and a birth (`docs/explanation/writes.md`), where the type changes."""


def change(number: int) -> Json:
    """Return the next of three kinds of change: ports, type, annotations; ours at the end."""
    port = {"name": "", "port": 9000 + number, "protocol": "TCP"}
    note = {"lbctl.io/load-balancer-ips": f"203.0.113.{180 + number % 2}"}
    served = {"type": "LoadBalancer", "loadBalancerClass": CLASS, "ports": [port]}
    match number % 3:
        case 0:
            return {"spec": {"type": "ClusterIP", "loadBalancerClass": None, "ports": [port]}}
        case 1:
            return {"spec": served}
        case _:
            return {"metadata": {"annotations": note}, "spec": served}


def is_shown(obj: Json) -> bool:
    return bool((obj["status"].get("loadBalancer") or {}).get("ingress"))


async def count(api: Client, resource: Resource, name: str, seen: Counter[str]) -> None:
    """Count the changes of an object, for ever, by their versions."""
    listed = await api.list(resource)
    async for event in api.watch(resource, listed.resource_version):
        if event.type != "BOOKMARK" and event.object["metadata"]["name"] == name:
            seen[resource.plural] += 1


async def births(api: Client, name: str) -> list[str]:
    """Create Services one after the other; return their addresses."""
    found = []
    for number in range(BIRTHS):
        service = api_builders.service(f"{name}-{number}", loadBalancerClass=CLASS)
        await api.create(resources.SERVICES, service, "default")
        shown = await until(api, resources.SERVICES, f"{name}-{number}", is_shown)
        found.append(shown["status"]["loadBalancer"]["ingress"][0]["ip"])
    return found


async def flap(api: Client, name: str, others: asyncio.Future[list[str]]) -> int:
    """Change a Service until the others are born, and often enough; return how often."""
    number = 0
    while number < FLAPS or not others.done() or number % 3 != 2:
        await api.patch(resources.SERVICES, name, change(number), "default")
        await asyncio.sleep(BETWEEN_S)
        number += 1
    return number


def test_others_are_born_while_it_flaps_and_each_change_costs_a_bounded_number_of_writes(
    real_api: Path, name: str
) -> None:
    async def body() -> None:
        async with controlled(real_api, SETTINGS) as api:
            await api.create(
                resources.SERVICES, api_builders.service(name, loadBalancerClass=CLASS), "default"
            )
            await until(api, resources.SERVICES, name, is_shown)
            seen: Counter[str] = Counter()
            about = ((resources.SERVICES, name), (resources.L4_VIRTUAL_SERVICES, f"default.{name}"))
            counting = [count(api, resource, entry, seen) for resource, entry in about]
            async with event_loops.running(births(api, name), *counting) as (others, *_):
                flaps = await flap(api, name, others)
                addresses = await others
                ours = {"spec": {"ports": [{"port": 80}]}, **change(2)}
                await api.patch(resources.SERVICES, name, ours, "default")
                await until(api, resources.SERVICES, name, is_shown)
            assert len({*addresses}) == BIRTHS
            # The changes that the user made are among those of the Service.
            assert seen.total() - flaps <= flaps * WRITES_PER_FLAP
            for entry in (name, *(f"{name}-{number}" for number in range(BIRTHS))):
                await api.delete(resources.SERVICES, entry, "default")

    event_loops.run(body())
