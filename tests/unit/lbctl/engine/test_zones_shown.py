"""Zone objects: one serial for each content of a zone, raised by who leads."""

from pathlib import Path

import controller_bed
import event_loops
from controller_bed import SETTINGS, Bed, Play, served
from lbctl.kube import resources
from lbctl.kube.objects import Json
from lbctl.model.zones import Digests
from lbctl.translate import zones as zone_basis
from lbctl_dns import decisions

ORIGIN = "lb.example"


def zone(bed: Bed, origin: str = ORIGIN) -> Json:
    return (bed.find(resources.ZONES, origin) or {}).get("spec") or {}


def digest(bed: Bed) -> str:
    """Return the digest that a name server makes of the decisions now."""
    digests = Digests([ORIGIN], zone_basis.basis(SETTINGS))
    for obj in bed.all(resources.L4_VIRTUAL_SERVICES):
        digests.put(obj["metadata"]["name"], decisions.slim(obj))
    return digests.of(ORIGIN)


def test_each_content_of_a_zone_has_a_serial_of_its_own(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.until(lambda: bool(zone(bed)))
        first, empty = zone(bed)["serial"], zone(bed)["digest"]
        assert empty == digest(bed)
        await bed.agent("node-1")
        await bed.scale(1)
        await bed.create()
        await bed.until(lambda: bool(bed.decision()))
        await bed.acknowledge("node-1")
        await served(bed)
        await bed.until(lambda: bed.published() and zone(bed)["digest"] == digest(bed) != empty)
        second = zone(bed)["serial"]
        await bed.scale(0)
        await bed.until(lambda: not bed.published() and zone(bed)["digest"] == empty)
        assert first < second < zone(bed)["serial"]

    play(body)


def test_what_publishes_nothing_raises_no_serial(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.until(lambda: bool(zone(bed)))
        for name in ("a", "b", "c"):
            await bed.create(name)
            await served(bed, name)
        await event_loops.turns(200)
        written = [entry for entry in bed.fake.objects.writes if "zones" in entry]
        assert len(written) == len(bed.all(resources.ZONES))

    play(body)


def test_the_addresses_of_pools_have_zones(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.until(lambda: bool(zone(bed, "2.0.192.in-addr.arpa")))
        pool = {"metadata": {"name": "more"}, "spec": {"addresses": ["198.51.100.0/26"]}}
        await bed.api.create(resources.ADDRESS_POOLS, pool)
        await bed.until(lambda: bool(zone(bed, "100.51.198.in-addr.arpa")))
        await bed.api.delete(resources.ADDRESS_POOLS, "more")
        await bed.until(lambda: not zone(bed, "100.51.198.in-addr.arpa"))
        assert zone(bed)

    play(body)


def test_a_zone_that_the_settings_no_longer_have_loses_its_object(tmp_path: Path) -> None:
    async def within() -> None:
        async with controller_bed.controlled(tmp_path) as bed:
            await bed.until(lambda: bool(zone(bed)))
            await bed.api.create(
                resources.ZONES,
                {
                    "metadata": {"name": "old.example"},
                    "spec": {"serial": 1, "digest": "0" * 32, "resourceVersion": "1"},
                },
            )
            await bed.until(lambda: not zone(bed, "old.example"))
            assert zone(bed)

    assert SETTINGS.zones == (ORIGIN,)
    event_loops.run(within())
