"""What `lbctl explain` and `lbctl get` say of the API server in memory, beside a controller."""

import datetime
from pathlib import Path
from typing import Any

from controller_bed import NAMESPACE, SETTINGS, Bed
from lbctl.engine.caches import Caches
from lbctl.inspection import explain, gather
from lbctl.inspection.scene import Scene
from lbctl.inspection.stages import Explanation, Stage
from lbctl.kube import resources
from lbctl.plan import times
from lbctl.settings import Settings

KEY = "default/kuard"


def settings(**sections: Any) -> Settings:
    """Return the bed's settings with whole sections replaced."""
    tree = SETTINGS.model_dump(mode="json", by_alias=True)
    return Settings.model_validate({**tree, **sections})


async def explained(bed: Bed, tree: Settings = SETTINGS, key: str = KEY) -> Explanation:
    """Return what explain says of a Service now."""
    return explain.explain(await gather.around(bed.api, tree, key), key)


async def scene(bed: Bed, tree: Settings = SETTINGS) -> Scene:
    """Return everything there is."""
    known = [source for source, _ in Caches().sources()]
    return await gather.whole(bed.api, tree, known)


def stage(found: Explanation, name: str) -> Stage:
    """Return the stage of that name."""
    return next(entry for entry in found.stages if entry.name == name)


async def leads(bed: Bed, holder: str = "somebody") -> None:
    """Let somebody hold the controller's Lease who decides nothing."""
    now = times.render(datetime.datetime.now(tz=datetime.UTC))
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 600, "renewTime": now}
    body = {"metadata": {"name": SETTINGS.lease.name}, "spec": spec}
    await bed.api.create(resources.LEASES, body, NAMESPACE)


async def configure(bed: Bed, tree: Settings) -> None:
    """Store settings where the chart does."""
    text = {gather.SETTINGS_KEY: tree.model_dump_json(by_alias=True)}
    body = {"metadata": {"name": gather.SETTINGS_MAP}, "data": text}
    await bed.api.create(resources.CONFIG_MAPS, body, NAMESPACE)


async def endpoints(bed: Bed, *conditions: dict[str, bool], port: str = "") -> None:
    """Give kuard one endpoint for each of those conditions."""
    body = {
        "metadata": {"name": "kuard-abc", "labels": {"kubernetes.io/service-name": "kuard"}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [f"10.244.1.{n + 1}"], "nodeName": "node-1", "conditions": entry}
            for n, entry in enumerate(conditions)
        ],
        "ports": [{"name": port, "port": 8080, "protocol": "TCP"}],
    }
    await bed.api.create(resources.ENDPOINT_SLICES, body, "default")


def settings_file(folder: Path, tree: Settings = SETTINGS) -> Path:
    """Write settings and return the path."""
    path = folder / "settings.yaml"
    path.write_text(tree.model_dump_json(by_alias=True))
    return path


async def decide(bed: Bed, uid: str) -> None:
    """Let a controller that is gone have decided about kuard."""
    spec = {
        "service": {"namespace": "default", "name": "kuard", "uid": uid},
        "name": "lab--default-kuard",
        "phase": "Serving",
        "vips": [{"address": "192.0.2.1", "family": "IPv4", "role": "Current"}],
        "listeners": [
            {"name": "", "protocol": "TCP", "port": 80, "pool": "lab--default-kuard--80"}
        ],
        "names": [{"host": "kuard.default.lb.example", "ttlSeconds": 5, "published": True}],
    }
    body: dict[str, Any] = {"metadata": {"name": "default.kuard"}, "spec": spec}
    await bed.api.create(resources.L4_VIRTUAL_SERVICES, body)
    holder = {"namespace": "default", "name": "kuard", "uid": uid}
    given = {"address": "192.0.2.1", "pool": "default", "state": "Bound", "holders": [holder]}
    body = {"metadata": {"name": "ip-192-0-2-1"}, "spec": given}
    await bed.api.create(resources.IP_ALLOCATIONS, body)


async def pool(bed: Bed, name: str = "default", **status: Any) -> None:
    """Make an AddressPool with its counters."""
    spec = {"addresses": ["192.0.2.1-192.0.2.3"], "priority": 100}
    body: dict[str, Any] = {"metadata": {"name": name}, "spec": spec}
    await bed.api.create(resources.ADDRESS_POOLS, body)
    counted = {
        "assigned": {"ipv4": "1", "ipv6": "0"},
        "available": {"ipv4": "2", "ipv6": "0"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": ""}],
        **status,
    }
    await bed.api.patch(resources.ADDRESS_POOLS, name, {"status": counted}, sub="status")
