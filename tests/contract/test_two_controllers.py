"""Two controllers that both believe they lead, on a real API server: addresses stay put."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import controller_bed
import event_loops
from lbctl import app
from lbctl.kube import config, resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json, metadata, name_of
from lbctl.kube.resources import Resource
from lbctl.model import errors
from lbctl.settings import AddressPoolSettings, Settings

pytestmark = pytest.mark.root

CLASS = "lbctl.io/race"
COUNT = 60
ADDRESSES = 20
MAX_WRITES = 12
"""Of one Service, from its birth to its death, with its scaling; both controllers together."""
POOL = AddressPoolSettings(name="default", addresses=(f"203.0.113.1-203.0.113.{ADDRESSES}",))


def settings(lease: str) -> Settings:
    known = controller_bed.SETTINGS
    ours = known.l4.model_copy(
        update={"load_balancer_class": CLASS, "default_lb_controller": False}
    )
    times = known.lease.model_copy(update={"name": lease, "duration": 20})
    return known.model_copy(update={"address_pools": (POOL,), "l4": ours, "lease": times})


class Witness:
    """Sees every state of every Service, and what must never be."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        """Address by UID."""
        self.faults: list[str] = []
        self.writes: Counter[str] = Counter()
        self.changed = asyncio.Event()

    def see(self, kind: str, obj: Json) -> None:
        uid = metadata(obj)["uid"]
        if kind != "BOOKMARK":
            self.writes[name_of(obj)] += 1
            self._look(kind, uid, obj)
            self.changed.set()

    def _look(self, kind: str, uid: str, obj: Json) -> None:
        if kind == "DELETED" or "deletionTimestamp" in metadata(obj):
            self.shown.pop(uid, None)
            return
        ingress = obj["status"].get("loadBalancer", {}).get("ingress") or ()
        addresses = [entry["ip"] for entry in ingress]
        before = self.shown.get(uid)
        if before is not None and addresses != [before]:
            self.faults.append(f"{name_of(obj)} showed {before}, now {addresses}")
        if addresses:
            others = [other for other, its in self.shown.items() if its == addresses[0]]
            if others not in ([], [uid]):
                self.faults.append(f"{addresses[0]} shown by two")
            self.shown[uid] = addresses[0]


async def watch(api: Client, resource: Resource, witness: Witness, version: str) -> None:
    namespace = "default" if resource.namespaced else None
    async with contextlib.aclosing(api.watch(resource, version, namespace)) as events:  # type: ignore[type-var]
        async for event in events:
            spec = event.object.get("spec") or {}
            if resource is not resources.SERVICES or spec.get("loadBalancerClass") == CLASS:
                witness.see(event.type, event.object)


@contextlib.asynccontextmanager
async def raced(kubeconfig: Path) -> AsyncIterator[tuple[Client, Witness]]:
    async with Client(config.load(kubeconfig)) as api:
        version = (await api.list(resources.SERVICES, "default")).resource_version
        witness = Witness()
        programs = [
            *(app.run_controller(settings(lease), kubeconfig) for lease in ("one", "other")),
            watch(api, resources.SERVICES, witness, version),
        ]
        async with event_loops.running(*programs) as tasks:
            yield api, witness
            assert controller_bed.failed(tasks) == []


async def create(api: Client, name: str) -> None:
    spec = {
        "type": "LoadBalancer",
        "loadBalancerClass": CLASS,
        "ports": [{"port": 80}],
    }
    await api.create(resources.SERVICES, {"metadata": {"name": name}, "spec": spec}, "default")


async def scale(api: Client, name: str, ready: int) -> None:
    body: Json = {
        "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [f"10.244.1.{n + 1}"], "nodeName": "node-1", "conditions": {}}
            for n in range(ready)
        ],
        "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
    }
    try:
        await api.create(resources.ENDPOINT_SLICES, body, "default")
    except errors.AlreadyExists:
        await api.replace(resources.ENDPOINT_SLICES, body, "default")


async def live(api: Client, name: str, chance: random.Random) -> None:
    """Be born, scaled up and down, and perhaps die and be born again."""
    await asyncio.sleep(chance.uniform(0, 1))
    await create(api, name)
    for _ in range(2):
        await asyncio.sleep(chance.uniform(0, 1))
        await scale(api, name, chance.randint(0, 3))
    if chance.random() < 0.5:
        await api.delete(resources.SERVICES, name, "default")


async def until_full(witness: Witness, wanted: int) -> None:
    while len(witness.shown) < wanted:
        witness.changed.clear()
        await witness.changed.wait()


def test_no_address_is_shown_twice_or_changes_while_two_lead(real_api: Path) -> None:
    async def body() -> None:
        chance = random.Random(5)
        names = [f"race-{number}" for number in range(COUNT)]
        async with raced(real_api) as (api, witness):
            await asyncio.gather(*(live(api, name, chance) for name in names))
            alive = [
                name_of(obj)
                for obj in (await api.list(resources.SERVICES, "default")).items
                if obj["spec"].get("loadBalancerClass") == CLASS
                and "deletionTimestamp" not in metadata(obj)
            ]
            await until_full(witness, min(len(alive), ADDRESSES))
            await asyncio.sleep(2)  # whoever wants to undo the other's work begins now
            assert witness.faults == []
            calm = sum(witness.writes.values())
            await asyncio.sleep(2)
            assert sum(witness.writes.values()) == calm
            assert max(witness.writes.values()) <= MAX_WRITES
            await agree(api, witness)
            for name in alive:
                await api.delete(resources.SERVICES, name, "default")
            await gone(api)

    event_loops.run(body())


async def agree(api: Client, witness: Witness) -> None:
    """Check that each address that is shown is held by who shows it, by him alone."""
    listed = (await api.list(resources.IP_ALLOCATIONS)).items
    held = {obj["spec"]["address"]: [e["uid"] for e in obj["spec"]["holders"]] for obj in listed}
    for uid, address in witness.shown.items():
        assert held[address] == [uid]


async def gone(api: Client) -> None:
    """Wait until nothing of the race is left, so that other tests find their server empty."""
    for resource in (resources.SERVICES, resources.L4_VIRTUAL_SERVICES, resources.IP_ALLOCATIONS):
        while any(_is_ours(obj) for obj in (await api.list(resource)).items):  # noqa: ASYNC110
            await asyncio.sleep(0.2)


def _is_ours(obj: Json) -> bool:
    return name_of(obj).startswith(("race-", "default.race-", "ip-203-0-113-"))
