"""A Service that changes all the time costs itself what it must, and others nothing."""

from collections.abc import Callable

import pytest

from controller_bed import Bed, Play, served
from fakes.api_objects import Json
from lbctl.kube import resources

FLAPS = 40
FLAPPER = "flapper"
DECISION = f"default.{FLAPPER}"


def of_port(number: int) -> Json:
    return {"spec": {"ports": [{"name": "", "port": 9000 + number, "protocol": "TCP"}]}}


def of_annotation(number: int) -> Json:
    """Ask for the one or the other of two addresses."""
    return {
        "metadata": {"annotations": {"lbctl.io/load-balancer-ips": f"192.0.2.{2 + number % 2}"}}
    }


def of_type(number: int) -> Json:
    kind = ("ClusterIP", "LoadBalancer")[number % 2]
    return {"spec": {"type": kind, "ports": [{"name": "", "port": 9000 + number}]}}


async def flap(bed: Bed, patch: Json) -> None:
    await bed.api.patch(resources.SERVICES, FLAPPER, patch, "default")


def written(bed: Bed) -> list[str]:
    """Return what the controller wrote about the flapper: no user writes any of that."""
    ours = ("l4virtualservices", "ipallocations", "services/status")
    return [entry for entry in bed.fake.objects.writes if entry.split()[1].startswith(ours)]


def ports(bed: Bed) -> list[int]:
    spec = (bed.decision(FLAPPER) or {"spec": {"listeners": ()}})["spec"]
    return [entry["port"] for entry in spec["listeners"]]


def test_while_a_write_about_it_takes_long_others_are_served_and_its_changes_count_once(
    play: Play,
) -> None:
    async def body(bed: Bed) -> None:
        await bed.create(FLAPPER)
        await served(bed, FLAPPER)
        gate = bed.fake.hold("PUT", DECISION)
        await flap(bed, of_port(0))
        await bed.until(lambda: any(DECISION in call for call in bed.fake.calls if "PUT" in call))
        for number in range(1, FLAPS + 1):
            await flap(bed, of_port(number))
        await bed.create("other")
        await served(bed, "other")
        assert ports(bed) == [8080]  # nothing about the flapper has got through yet
        before = len(bed.fake.objects.writes)
        gate.set()
        await bed.until(lambda: ports(bed) == [9000 + FLAPS])
        await bed.until(lambda: bed.state(FLAPPER) is not None)
        about = [entry for entry in bed.fake.objects.writes[before:] if FLAPPER in entry]
        # What was on its way, and the state of now: 39 changes in between cost nothing.
        assert [entry for entry in about if entry == f"replace l4virtualservices {DECISION}"] == [
            f"replace l4virtualservices {DECISION}"
        ] * 2

    play(body)


@pytest.mark.parametrize(
    ("change", "most"),
    [
        pytest.param(of_port, 2, id="port"),
        pytest.param(of_annotation, 8, id="address asked for"),
        pytest.param(of_type, 14, id="type"),
    ],
)
def test_what_one_change_more_costs_is_bounded_and_another_service_is_born_meanwhile(
    play: Play, change: Callable[[int], Json], most: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(bed: Bed) -> None:
        await bed.create(FLAPPER)
        await served(bed, FLAPPER)
        before = len(written(bed))
        await bed.create("other")
        for number in range(FLAPS):
            await flap(bed, change(number))
        await served(bed, "other")
        assert len(written(bed)) - before <= FLAPS * most

    play(body)
    assert [entry.message for entry in caplog.records if entry.levelname == "ERROR"] == []
