"""Host names on a real API server: its schemas keep what the controller decides about them."""

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
from lbctl.settings import Settings
from real_controller import controlled, until

pytestmark = pytest.mark.root
# A class of its own: Services that other tests of this session left behind are not touched.
CLASS = "example.org/names"
SETTINGS = Settings.model_validate(
    {
        **controller_bed.SETTINGS.model_dump(mode="json", by_alias=True),
        "addressPools": [{"name": "names", "addresses": ["198.19.8.0/24"]}],
        "L4Settings": {"defaultLBController": False, "loadBalancerClass": CLASS},
    }
)


async def create(api: Client, name: str, **notes: str) -> None:
    told = {f"lbctl.io/{key.replace('_', '-')}": text for key, text in notes.items()}
    obj = api_builders.service(name, loadBalancerClass=CLASS)
    obj["metadata"]["annotations"] = told
    await api.create(resources.SERVICES, obj, "default")


def named(host: str, **wanted: Any) -> Callable[[Json], bool]:
    """Tell whether a decision says this about a host."""

    def true(obj: Json) -> bool:
        entries = obj["spec"].get("names") or ()
        return any(entry["host"] == host and wanted.items() <= entry.items() for entry in entries)

    return true


def registered(status: str, reason: str) -> Callable[[Json], bool]:
    def true(obj: Json) -> bool:
        found = obj["status"].get("conditions") or ()
        return any(
            (entry["type"], entry["status"], entry["reason"])
            == ("lbctl.io/NameRegistered", status, reason)
            for entry in found
        )

    return true


def test_a_name_has_one_owner_and_goes_to_the_next_one(real_api: Path, name: str) -> None:
    async def body() -> None:
        host, old, new = f"{name}.lb.example", f"{name}-old", f"{name}-new"
        async with controlled(real_api, SETTINGS) as api:
            await create(api, old, hostname=host, dns_at_zero="keep", ttl="1m")
            shown = named(host, published=True, ttlSeconds=60)
            await until(api, resources.L4_VIRTUAL_SERVICES, f"default.{old}", shown)
            await asyncio.sleep(1)  # creation times are whole seconds
            await create(api, new, hostname=host, dns_at_zero="keep")
            taken = named(host, published=False, takenBy=f"default/{old}")
            await until(api, resources.L4_VIRTUAL_SERVICES, f"default.{new}", taken)
            await until(api, resources.SERVICES, new, registered("False", "HostnameTaken"))
            patch = {"metadata": {"annotations": {"lbctl.io/hostname": None}}}
            await api.patch(resources.SERVICES, old, patch, "default")
            shown = named(host, published=True)
            await until(api, resources.L4_VIRTUAL_SERVICES, f"default.{new}", shown)
            await until(api, resources.SERVICES, new, registered("True", "Published"))
            for made in (old, new):
                await api.delete(resources.SERVICES, made, "default")

    event_loops.run(body())


def test_a_name_without_data_passes_the_schema(real_api: Path, name: str) -> None:
    async def body() -> None:
        async with controlled(real_api, SETTINGS) as api:
            await create(api, name, dns_at_zero="nodata", hostname="not_a_host.lb.example")
            host = f"{name}.default.lb.example"
            empty = named(host, published=False, noData=True)
            await until(api, resources.L4_VIRTUAL_SERVICES, f"default.{name}", empty)
            await until(api, resources.SERVICES, name, registered("False", "HostnameMalformed"))
            await api.delete(resources.SERVICES, name, "default")

    event_loops.run(body())
